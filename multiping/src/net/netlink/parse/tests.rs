//! Answers as the kernel gives them, cut short and damaged.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

use super::*;

// Captured on Linux 6.18, x86-64. The numbers in them are little-endian.

/// `near`, whose peer was down once.
const LINK: &str = "\
    640400001000020007000000884b000000000100030000004310010000000000090003006e656172000000000800\
    0d00e803000005001000060000000500110000000000050043000000000008000400dc0500000800320044000000\
    08003300ffff000008001b000000000008001e000000000008003d000000000008001f000200000008002800ffff\
    0000080029000000010008003a000000010008003f0000000100080040000000010008003b00f8ff070008003c00\
    ffff0000080042000000000008002000020000000500210001000000080023000400000008002f00020000000800\
    3000020000000600440000000000060045000000000005002700000000000a0001009e43fddfc69400000a000200\
    ffffffffffff0000cc00170002000000000000000400000000000000b4000000000000000c0c0000000000000000\
    00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
    00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
    00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
    00000000000000000000000000000000000000000000000000000000640007000200000004000000b40000000c0c\
    00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
    0000000000000000000000000000000000000000000000000000000000000000000000000c002b00050002000000\
    0000100012000900010076657468000000000800050002000000070006006d710000c0011a008c00020088000100\
    00000000000000000000000001000000010000000100000001000000000000000100000000000000000000000000\
    00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
    00000000000000000000000010270000e8030000000000000000000000000000000000000100000030010a000800\
    01000000008014000500ffff0000b8fd0600b4780000e8030000f40002000000000040000000dc05000001000000\
    010000000100000001000000ffffffffa00f0000e803000000000000803a09008051010003000000580200001000\
    00000000000001000000010000000100000060ea0000000000000000000000000000000000000000000000000000\
    01000000000000000000000010270000e80300000100000000000000000000000100000000000000000000000100\
    00000000000000000000000000000000000080ee3600000000000000000001000000000000000000000000000000\
    00000000000000000004000000000000ffff0000ffffffff01000000000000000000000000000000140007000000\
    0000000000000000000000000000050008000000000024000e000000000000000000000000000000000000000000\
    00000000000000000000000004003e8004004180";
/// To 192.0.2.9 over `near`.
const ROUTE: &str = "\
    680000001800000007000000884b000002200000fe0000010002000008000f00fe00000008000100c00002090800\
    04000300000008000700c0000201080019000000000024000c000200000000000000000000000000000000000000\
    000000000000000000000000";
/// To fd00::9 over `near`.
const ROUTE_V6: &str = "\
    9c0000001800000007000000884b00000a808000fe0200010000000008000f00fe00000014000100fd0000000000\
    00000000000000000009140002000000000000000000000000000000000014000700fd0000000000000000000000\
    000000010800060000010000080004000300000024000c0002000000000000000000000000000000000000000000\
    000000000000000000000500140000000000";
/// To 10.0.0.9, as configured: by 192.0.2.2 over 4 and by fe80::2 over 6.
const MULTIPATH: &str = "\
    6000000018000000070000005a56000002080000fe0300010000000008000f00fe000000080001000a0000003400\
    0900100000000400000008000500c00002022000000006000000160012000a00fe80000000000000000000000000\
    00020000";
/// To 10.0.0.9 by 192.0.2.2.
const ROUTED: &str = "\
    7000000018000000070000005a56000002200000fe0000010002000008000f00fe000000080001000a0000090800\
    04000400000008000700c000020108000500c0000202080019000000000024000c00020000000000000000000000\
    0000000000000000000000000000000000000000";
/// 192.0.2.9, which is permanent.
const NEIGHBOUR: &str = "\
    4c0000001c000000070000005a56000002000000040000008000000108000100c00002090a000200020000000009\
    000008000400000000001400030054000000540000005400000001000000";
/// Of a bridge: that neighbour behind 3, and another one.
const FORWARDING: &str = "\
    4c0000001c000200070000005a5600000700000003000000800000000a0002000200000000090000080009000400\
    000008000f000000000014000300000000005400000054000000000000004c0000001c000200070000005a560000\
    0700000003000000020000000a0002008291c620921e0000080009000400000008000f0000000000140003000000\
    0000540000000800000000000000";
/// To 198.51.100.9.
const NO_ROUTE: &str = "\
    380000000200000007000000884b00009bffffff240000001a000100070000000000000002200000000000000000\
    000008000100c6336409";
/// Of `lo`, of `near` (mq with two tbf), clsact of `near`.
const QDISCS: &str = "\
    940000002400020007000000884b0000000000000100000000000000ffffffff020000000c0001006e6f71756575\
    650005000c0000000000300007001400010000000000000000000000000000000000180003000000000000000000\
    0000000000000000000000002c000300000000000000000000000000000000000000000000000000000000000000\
    00000000000000000000900000002400020007000000884b0000000000000300000000000100ffffffff01000000\
    070001006d71000005000c00000000003000070014000100440b0000000000000200000000000000180003004e00\
    00005cb7010000000000000000004e0000002c000300440b00000000000002000000000000004e00000000000000\
    000000004e0000005cb7010000000000bc0000002400020007000000884b00000000000003000000000002000100\
    01000100000008000100746266002c00020028000100000100000000000001000000000000000000000000000000\
    a086010060defb740000000005000c00000000003000070014000100a20500000000000001000000000000001800\
    030024000000c8ca00000000000000000000240000002c000300a205000000000000010000000000000024000000\
    000000000000000024000000c8ca000000000000bc0000002400020007000000884b000000000000030000000000\
    0300020001000100000008000100746266002c000200280001000001000000000000010000000000000000000000\
    00000000a086010060defb740000000005000c00000000003000070014000100a205000000000000010000000000\
    0000180003002a00000094ec000000000000000000002a0000002c000300a2050000000000000100000000000000\
    2a00000000000000000000002a00000094ec000000000000980000002400020007000000884b0000000000000300\
    00000000fffff1ffffff010000000b000100636c7361637400000400020005000c00000000003000070014000100\
    000000000000000000000000000000001800030000000000000000000000000000000000000000002c0003000000\
    0000000000000000000000000000000000000000000000000000000000000000000000000000";
/// The neighbour's link-layer address.
const MAC: Mac = [2, 0, 0, 0, 0, 9];
/// The end of a dump.
const DONE: &str = "\
    140000000300020007000000884b000000000000";
/// The table of IPv4, and its parameters for one interface.
const NEIGHBOURS: &str = "\
    780100004000020007000000884b0000020000000e0001006172705f63616368650000000c000800307500000000\
    000008000200800000000800030000020000080004000004000024000500040050010300000080d0000048ee0100\
    b93209d3ff07000000000000000000005c000700331900000000000030190000000000000800000000000000281c\
    00000000000001310000000000004000000000000000000000000000000000000000000000002b01000000000000\
    1a010000000000001201000000000000b00006000800020001000000080010000040030008000800650000000800\
    0e0040000000080009000000000008000a000300000008000b000300000008001100000000000c000300b8830000\
    000000000c00040030750000000000000c00060060ea0000000000000c00070088130000000000000c000500e803\
    0000000000000c000c00e8030000000000000c000d0020030000000000000c000f00e8030000000000000c001300\
    8813000000000000dc0000004000020007000000884b0000020000000e0001006172705f6361636865000000b800\
    0600080001000300000008000200020000000800100000400300080008006500000008000e004000000008000900\
    0000000008000a000300000008000b000300000008001100000000000c0003000c4d0000000000000c0004003075\
    0000000000000c00060060ea0000000000000c00070088130000000000000c000500e8030000000000000c000c00\
    e8030000000000000c000d0020030000000000000c000f00e8030000000000000c0013008813000000000000";

const ALL: [&str; 11] =
    [LINK, ROUTE, ROUTE_V6, MULTIPATH, ROUTED, NEIGHBOUR, FORWARDING, NO_ROUTE, QDISCS, DONE, NEIGHBOURS];

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn whole(datagram: &[u8]) -> Vec<Message<'_>> {
    messages(datagram).collect::<io::Result<_>>().unwrap()
}

fn errno<T>(result: io::Result<T>) -> Option<i32> {
    result.err().map(|error| error.raw_os_error().unwrap())
}

/// What a message of this type comes to, or the errno.
fn parsed(message_type: u16, body: &[u8]) -> Result<String, i32> {
    fn show<T: std::fmt::Debug>(result: io::Result<T>) -> Result<String, i32> {
        result.map(|value| format!("{value:?}")).map_err(|error| error.raw_os_error().unwrap())
    }
    match message_type {
        libc::RTM_NEWLINK => show(interface(body)),
        libc::RTM_NEWROUTE => match hops(body) {
            Ok(hops) if hops.is_empty() => show(route(body)),
            hops => show(hops),
        },
        libc::RTM_NEWNEIGH if body.first() == Some(&(libc::AF_BRIDGE as u8)) => show(forwarding(body, MAC)),
        libc::RTM_NEWNEIGH => show(neighbour(body)),
        libc::RTM_NEWQDISC => show(backlog(body)),
        libc::RTM_NEWNEIGHTBL => show(neighbour_table(body)),
        _ => show(outcome(&Message { message_type, flags: 0, seq: 0, body })),
    }
}

/// The interfaces of the next hops of a route.
fn hops(body: &[u8]) -> io::Result<Vec<u32>> {
    let mut hops = Vec::new();
    next_hops(body, |hop| hops.push(hop)).map(|()| hops)
}

/// The length of what comes before the attributes.
fn fixed_part(message_type: u16) -> usize {
    match message_type {
        libc::RTM_NEWLINK => 16,
        libc::RTM_NEWROUTE | libc::RTM_NEWNEIGH => 12,
        libc::RTM_NEWQDISC => 20,
        _ => 4,
    }
}

#[test]
fn what_the_kernel_answers_is_understood() {
    if cfg!(target_endian = "big") {
        return assert!(messages(&bytes(LINK)).all(|message| message.is_err()));
    }
    let link = bytes(LINK);
    let message = whole(&link)[0];
    assert_eq!((message.message_type, message.flags, message.seq), (libc::RTM_NEWLINK, 2, 7));
    let near = Interface {
        index: 3,
        up: true,
        loopback: false,
        carrier: true,
        carrier_down_count: 2,
        master: None,
        link: Some(2),
        bridge: false,
    };
    assert_eq!(interface(message.body).unwrap(), near);

    let v4 = |last| Some(Address::V4([192, 0, 2, last].into()));
    let v6 = Some(Address::V6("fd00::1".parse().unwrap(), 0));
    for (datagram, interface, router, source) in
        [(ROUTE, 3, None, v4(1)), (ROUTE_V6, 3, None, v6), (ROUTED, 4, v4(2), v4(1))]
    {
        let hop = NextHop { interface, router, source };
        assert_eq!(route(whole(&bytes(datagram))[0].body).unwrap(), Some(hop));
    }
    assert_eq!(hops(whole(&bytes(MULTIPATH))[0].body).unwrap(), [4, 6]);
    assert_eq!(hops(whole(&bytes(ROUTED))[0].body).unwrap(), []);
    assert_eq!(neighbour(whole(&bytes(NEIGHBOUR))[0].body).unwrap(), Some(MAC));
    let forwarding_table = bytes(FORWARDING);
    let ports: Vec<_> = whole(&forwarding_table).iter().map(|message| forwarding(message.body, MAC).unwrap()).collect();
    assert_eq!(ports, [Some(3), None]);
    assert_eq!(errno(outcome(&whole(&bytes(NO_ROUTE))[0])), Some(libc::ENETUNREACH));
    assert_eq!(errno(outcome(&whole(&bytes(DONE))[0])), None);

    let qdiscs = bytes(QDISCS);
    let backlogs: Vec<_> = whole(&qdiscs).iter().map(|message| backlog(message.body).unwrap()).collect();
    assert_eq!(backlogs, [Some((1, 0)), Some((3, 78)), None, None, None]);

    let neighbours = bytes(NEIGHBOURS);
    let tables: Vec<_> = whole(&neighbours).iter().map(|message| neighbour_table(message.body).unwrap()).collect();
    let table = NeighbourTable { entries: 3, max_entries: 1024, table_fulls: 274 };
    assert_eq!(tables, [Some(table), None]);
}

#[test]
fn older_kernels_leave_something_out() {
    // struct ifinfomsg, struct tcmsg and struct ndtmsg without attributes.
    let mut body = [0; 20];
    assert_eq!(interface(&body[..16]).unwrap().carrier_down_count, 0);
    body[12..16].copy_from_slice(&TC_H_ROOT.to_ne_bytes());
    assert_eq!(backlog(&body).unwrap(), None);
    assert_eq!(neighbour_table(&body[..4]).unwrap(), None);
    // Without TCA_STATS2, TCA_STATS has it.
    let mut with_stats = body.to_vec();
    with_stats.extend([40u16.to_ne_bytes(), libc::TCA_STATS.to_ne_bytes()].concat());
    with_stats.extend([0; 28]);
    with_stats.extend([5u32.to_ne_bytes(), 700u32.to_ne_bytes()].concat());
    assert_eq!(backlog(&with_stats).unwrap(), Some((0, 5)));
    // Statistics without the count of refusals.
    let mut with_stats = vec![0; 4];
    with_stats.extend([84u16.to_ne_bytes(), NDTA_STATS.to_ne_bytes()].concat());
    with_stats.extend([0; 80]);
    assert_eq!(errno(neighbour_table(&with_stats)), Some(libc::EBADMSG));
}

#[test]
fn a_route_that_refuses_packets_is_none() {
    for route_type in [libc::RTN_BLACKHOLE, libc::RTN_UNREACHABLE, libc::RTN_PROHIBIT, libc::RTN_THROW] {
        let mut body = bytes(ROUTE).split_off(HEADER);
        body[7] = route_type;
        assert_eq!(route(&body).unwrap(), None);
    }
    // One without an interface is no answer.
    assert_eq!(errno(route(&[0; 12])), Some(libc::EBADMSG));
}

#[test]
fn a_neighbour_that_did_not_answer_has_no_address() {
    for state in [0x01, 0x20] {
        let mut body = bytes(NEIGHBOUR).split_off(HEADER);
        body[8..10].copy_from_slice(&u16::to_ne_bytes(state));
        assert_eq!(neighbour(&body).unwrap(), None);
    }
}

#[test]
fn a_next_hop_that_is_dead_is_left_out_and_a_length_of_nothing_is_malformed() {
    let body = bytes(MULTIPATH).split_off(HEADER);
    let first = body.windows(4).position(|window| window == [0x10, 0, 0, 0]).unwrap();
    let mut dead = body.clone();
    dead[first + 2] |= RTNH_F_DEAD;
    assert_eq!(hops(&dead).unwrap(), [6]);
    let mut endless = body;
    endless[first] = 0;
    assert_eq!(errno(hops(&endless)), Some(libc::EBADMSG));
}

#[test]
fn an_outcome_is_a_negated_errno() {
    let outcome_of = |message_type: libc::c_int, body: &[u8]| {
        errno(outcome(&Message { message_type: message_type as u16, flags: 0, seq: 0, body }))
    };
    for message_type in [libc::NLMSG_ERROR, libc::NLMSG_DONE] {
        assert_eq!(outcome_of(message_type, &0i32.to_ne_bytes()), None);
        assert_eq!(outcome_of(message_type, &(-libc::EBUSY).to_ne_bytes()), Some(libc::EBUSY));
        assert_eq!(outcome_of(message_type, &1i32.to_ne_bytes()), Some(libc::EBADMSG));
        assert_eq!(outcome_of(message_type, &i32::MIN.to_ne_bytes()), Some(i32::MAX));
    }
    assert_eq!(outcome_of(libc::NLMSG_DONE, &[]), None);
    assert_eq!(outcome_of(libc::NLMSG_ERROR, &[0; 3]), Some(libc::EBADMSG));
}

#[test]
fn a_datagram_that_is_cut_short_ends_with_an_error() {
    for datagram in ALL.map(bytes) {
        let mut ends = vec![0];
        let all: Vec<_> = messages(&datagram).flatten().collect();
        for message in &all {
            ends.push(ends[ends.len() - 1] + (HEADER + message.body.len()).next_multiple_of(ALIGNMENT));
        }
        for length in 0..datagram.len() {
            let cut: Vec<_> = messages(&datagram[..length]).collect();
            let before = ends.iter().filter(|end| **end <= length).count() - 1;
            let good: Vec<_> = cut.iter().flatten().copied().collect();
            assert_eq!(good, all[..before]);
            assert_eq!(cut.len() - good.len(), usize::from(!ends.contains(&length)), "at {length}");
        }
    }
}

#[test]
fn a_message_that_is_cut_short_is_malformed_or_lacks_an_attribute() {
    let types = [libc::RTM_NEWLINK, libc::RTM_NEWROUTE, libc::RTM_NEWNEIGH, libc::RTM_NEWQDISC, libc::RTM_NEWNEIGHTBL];
    for datagram in ALL.map(bytes) {
        for Message { message_type, body, .. } in whole(&datagram) {
            let fixed = fixed_part(message_type);
            let mut ends = vec![fixed];
            let mut rest = body.get(fixed..).filter(|_| types.contains(&message_type)).unwrap_or_default();
            while let Some((_, value)) = split_attribute(rest) {
                let end = body.len() - rest.len() + ATTRIBUTE_HEADER + value.len();
                rest = after(rest, ATTRIBUTE_HEADER + value.len());
                // The last one may lack its padding.
                ends.extend(end..=body.len() - rest.len());
            }
            let complete = parsed(message_type, body).ok();
            let mut malformed = 0;
            for length in 0..body.len() {
                match parsed(message_type, &body[..length]) {
                    Err(errno) => malformed += usize::from(errno == libc::EBADMSG),
                    understood => {
                        let lacks_something = understood.ok() != complete;
                        assert!(!lacks_something || ends.contains(&length) || length == 0, "at {length}");
                    }
                }
            }
            assert!(malformed >= fixed - 1, "{malformed} of {}", body.len());
        }
    }
}

#[test]
fn what_is_damaged_is_malformed_or_understood() {
    let mut rng = fastrand::Rng::with_seed(1);
    let (mut damaged, mut understood) = (0, 0);
    for round in 0..20_000 {
        let mut datagram = bytes(ALL[round % ALL.len()]);
        for _ in 0..rng.usize(1..=8) {
            let place = rng.usize(..datagram.len());
            datagram[place] = rng.u8(..);
        }
        datagram.truncate(rng.usize(1..=2 * datagram.len()));
        let mut length = 0;
        for message in messages(&datagram) {
            match message {
                Ok(message) => {
                    length += HEADER + message.body.len();
                    match parsed(message.message_type, message.body) {
                        Ok(_) => understood += 1,
                        Err(errno) => assert!(errno > 0),
                    }
                }
                Err(error) => {
                    assert_eq!(error.raw_os_error(), Some(libc::EBADMSG));
                    damaged += 1;
                }
            }
        }
        assert!(length <= datagram.len());
    }
    assert!(damaged > 1000 && understood > 1000, "{damaged} {understood}");
}

#[test]
fn noise_is_no_message() {
    let mut noise = [0; 4096];
    fastrand::Rng::with_seed(1).fill(&mut noise);
    for at in 0..noise.len() {
        for end in [at, at + 1, at + 15, at + 16, at + 64, noise.len()] {
            let datagram = noise.get(at..end).unwrap_or_default();
            let messages: Vec<_> = messages(datagram).collect();
            assert!(messages.len() <= datagram.len() / HEADER + 1);
            for message in messages.iter().flatten() {
                for message_type in [message.message_type, 2, 3, 16, 24, 36, 64] {
                    assert!(parsed(message_type, message.body).err().is_none_or(|errno| errno > 0));
                }
            }
        }
    }
    // A length of 0 would be read for ever.
    assert!(messages(&[0; 64]).next().unwrap().is_err());
    assert_eq!(messages(&[0; 64]).count(), 1);
    assert_eq!(errno(attribute(&[0; 8], 1)), Some(libc::EBADMSG));
}
