//! Tests of `list`: a list is parsed by the rules of the manual page, in pieces of any size.
//!
//! One test for each rule. The result must not depend on where a pipe cuts the list, so most tests
//! parse their text whole, byte by byte and in pieces of several sizes, and compare the results.
//! The deduplication of addresses is compared with a naive implementation, over many random lists.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fastrand::Rng;
use multiping::address::{Address, Addresses, Family, TargetId};
use xymonping::limits::Limits;
use xymonping::list::{List, ListParser, MAX_LINE, Rules};
use xymonping::message::{Error, Reject};

/// The interfaces of a machine, by name and by number.
fn interface(name: &str) -> Option<u32> {
    match name {
        "lo" | "1" => Some(1),
        "eth0" | "2" => Some(2),
        "wlan0" | "3" => Some(3),
        _ => None,
    }
}

const BROADCASTS: [Ipv4Addr; 1] = [Ipv4Addr::new(192, 0, 2, 127)];

fn rules(limits: &Limits) -> Rules<'_> {
    Rules { family: None, limits, broadcasts: &BROADCASTS, interface: &interface }
}

/// How often something random is tried. Miri takes a thousand times as long.
const fn trials(many: u32) -> u32 {
    if cfg!(miri) { many.div_ceil(1000) } else { many }
}

/// A parsed list in a form that can be compared.
#[derive(Debug, PartialEq, Eq)]
struct Parsed {
    /// Addresses as printed, each with the number of its target.
    lines: Vec<(String, u32)>,
    addresses: Vec<Address>,
    remarks: Vec<(u64, String, Option<Reject>)>,
    rejected: u64,
    two_addresses: u64,
}

impl From<List> for Parsed {
    fn from(list: List) -> Self {
        let lines = list.lines.iter(&list.addresses);
        Parsed {
            lines: lines.map(|(target, shown)| (shown.to_string(), target.0)).collect(),
            addresses: list.addresses.iter().map(|(_, address)| address).collect(),
            remarks: list.remarks.iter().map(|it| (it.line, it.text.to_string(), it.reject)).collect(),
            rejected: list.rejected,
            two_addresses: list.two_addresses,
        }
    }
}

impl Parsed {
    fn shown(&self) -> Vec<&str> {
        self.lines.iter().map(|(shown, _)| shown.as_str()).collect()
    }
}

/// Parses `text` in pieces of `size` bytes.
fn parse_in_pieces(rules: Rules, text: &[u8], size: usize) -> Result<Parsed, Error> {
    let mut parser = ListParser::new(rules);
    for piece in text.chunks(size) {
        parser.feed(piece)?;
    }
    parser.finish().map(Parsed::from)
}

/// Parses `text` by the rules for ordinary users, whole and in pieces, with the same result.
fn parse(text: impl AsRef<[u8]>) -> Parsed {
    let text = text.as_ref();
    let whole = parse_in_pieces(rules(&Limits::ORDINARY), text, text.len().max(1)).unwrap();
    let sizes: &[usize] = if cfg!(miri) { &[7] } else { &[1, 2, 3, 7, 64, 1000, 1024, 1025, 1026, 1027, 1028] };
    for &size in sizes {
        let pieces = parse_in_pieces(rules(&Limits::ORDINARY), text, size).unwrap();
        assert_eq!(pieces, whole, "{:?} in pieces of {size}", text.escape_ascii().to_string());
    }
    whole
}

/// The addresses of the output lines of a list without errors.
fn accepted(text: impl AsRef<[u8]>) -> Vec<String> {
    let outcome = parse(text);
    assert_eq!((outcome.remarks.as_slice(), outcome.rejected, outcome.two_addresses), (&[][..], 0, 0));
    outcome.lines.into_iter().map(|(shown, _)| shown).collect()
}

/// Why a list of one line is rejected.
fn rejected(line: impl AsRef<[u8]>) -> Reject {
    let line = line.as_ref();
    let outcome = parse(line);
    assert_eq!(
        (outcome.lines.len(), outcome.addresses.len(), outcome.rejected),
        (0, 0, 1),
        "{:?}",
        line.escape_ascii()
    );
    outcome.remarks[0].2.unwrap()
}

// Addresses.

#[test]
fn dotted_quads_are_accepted() {
    for text in ["192.0.2.1", "0.0.0.1", "1.0.0.0", "10.20.30.40", "127.0.0.1", "223.255.255.255", "240.0.0.1"] {
        assert_eq!(accepted(text), [text]);
    }
}

#[test]
fn parts_with_leading_zeros_are_rejected() {
    for text in ["010.0.0.1", "10.00.0.1", "10.0.0.01", "192.168.001.1", "10.0.0.08", "0010.0.0.1"] {
        assert_eq!(rejected(text), Reject::NotAnAddress, "{text}");
    }
}

#[test]
fn short_forms_are_rejected() {
    for text in ["127.1", "10.1.1", "1", "2130706433", "10.0.0.", ".10.0.0.1", "10..0.1", "10.0.0.0.1", "10.0.0.1."] {
        assert_eq!(rejected(text), Reject::NotAnAddress, "{text}");
    }
}

#[test]
fn octal_and_hexadecimal_forms_are_rejected() {
    for text in ["0177.0.0.1", "0x7f.0.0.1", "0x7f000001", "017700000001", "10.0.0.0x1", "7f.0.0.1"] {
        assert_eq!(rejected(text), Reject::NotAnAddress, "{text}");
    }
}

#[test]
fn parts_out_of_range_signs_and_other_digits_are_rejected() {
    for text in ["256.0.0.1", "10.0.0.999", "4294967296", "+10.0.0.1", "-1.0.0.1", "10.0.0.+1", "1e1.0.0.1", "１.0.0.1"]
    {
        assert_eq!(rejected(text), Reject::NotAnAddress, "{text}");
    }
}

#[test]
fn names_prefixes_ports_and_lists_are_rejected() {
    for text in
        ["localhost", "www.example.org", "10.0.0.0/8", "10.0.0.1:80", "10.0.0.1,10.0.0.2", "10.0.0.1-9", "-", "="]
    {
        let reject = rejected(text);
        assert_eq!(reject, if text.contains(':') { Reject::DottedTail } else { Reject::NotAnAddress }, "{text}");
    }
}

#[test]
fn every_ipv6_spelling_is_accepted_and_printed_in_the_form_of_rfc_5952() {
    for (typed, printed) in [
        ("2001:db8::1", "2001:db8::1"),
        ("2001:DB8::A", "2001:db8::a"),
        ("2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"),
        ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
        ("2001:db8:0:0:0:1:0:0", "2001:db8::1:0:0"),
        ("2001:db8::", "2001:db8::"),
        ("::1", "::1"),
        ("0::1", "::1"),
        ("::102:304", "::102:304"),
        ("64:ff9b::102:304", "64:ff9b::102:304"),
    ] {
        assert_eq!(accepted(typed), [printed]);
    }
}

#[test]
fn malformed_ipv6_addresses_are_rejected() {
    for text in [
        ":",
        ":::",
        "1::2::3",
        "2001:db8",
        "2001:db8:::1",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "2001:db8::12345",
        "2001:db8::g",
        "[2001:db8::1]",
        "2001:db8::1/64",
        "2001:db8::-1",
    ] {
        assert_eq!(rejected(text), Reject::NotAnAddress, "{text}");
    }
}

#[test]
fn an_ipv6_address_with_a_dotted_quad_inside_is_rejected_as_two_lines() {
    for text in [
        "2001:db8:18::abc3.1.1.1", // what xymonnet makes of `2001:db8:18::abcd` and `3.1.1.1`
        "2001:db8::192.0.2.1",
        "::192.0.2.1",
        "64:ff9b::192.0.2.1",
        "::ffff:192.0.2.1",
        "fe80::1.2.3.4%eth0",
        "10.0.0.1::1",
        "2001:db8::1.",
    ] {
        assert_eq!(rejected(text), Reject::DottedTail, "{text}");
    }
}

#[test]
fn mapped_addresses_are_rejected() {
    for text in ["::ffff:c000:201", "0:0:0:0:0:ffff:c000:201", "::FFFF:0:0", "::ffff:ffff:ffff"] {
        assert_eq!(rejected(text), Reject::Mapped, "{text}");
    }
}

#[test]
fn addresses_next_to_the_mapped_ones_are_accepted() {
    for text in ["::fffe:c000:201", "::1:ffff:c000:201", "::ffff:0:c000:201"] {
        assert_eq!(accepted(text), [text]);
    }
}

#[test]
fn unspecified_addresses_are_rejected_for_all_users() {
    for text in ["0.0.0.0", "::", "0:0:0:0:0:0:0:0", "::0"] {
        assert_eq!(rejected(text), Reject::Unspecified, "{text}");
        let root = parse_in_pieces(rules(&Limits::ROOT), text.as_bytes(), 64).unwrap();
        assert_eq!(root.remarks[0].2, Some(Reject::Unspecified), "{text} as root");
    }
}

// Multicast and broadcast.

const GROUPS: [(&str, Reject); 8] = [
    ("224.0.0.1", Reject::Multicast),
    ("239.255.255.255", Reject::Multicast),
    ("ff02::1%eth0", Reject::Multicast),
    ("ff05::2", Reject::Multicast),
    ("ff0e::101", Reject::Multicast),
    ("ff12::1%2", Reject::Multicast),
    ("255.255.255.255", Reject::Broadcast),
    ("192.0.2.127", Reject::Broadcast),
];

#[test]
fn ordinary_users_may_not_probe_multicast_and_broadcast_addresses() {
    for (text, reject) in GROUPS {
        assert_eq!(rejected(text), reject, "{text}");
    }
}

#[test]
fn root_may_probe_multicast_and_broadcast_addresses() {
    for (text, _) in GROUPS {
        let outcome = parse_in_pieces(rules(&Limits::ROOT), text.as_bytes(), 64).unwrap();
        assert_eq!((outcome.shown(), outcome.rejected), (vec![text], 0));
    }
}

#[test]
fn only_broadcast_addresses_of_local_networks_are_rejected() {
    assert_eq!(
        accepted("192.0.2.255\n10.255.255.255\n192.0.2.126\n223.255.255.255"),
        ["192.0.2.255", "10.255.255.255", "192.0.2.126", "223.255.255.255"]
    );
}

// Zones.

/// The parser takes a shorter way for it.
#[test]
fn an_address_alone_in_its_line_is_judged_as_with_a_blank_after_it() {
    let outcome = |family, limits, line: &str| {
        let parsed = parse_in_pieces(Rules { family, ..rules(limits) }, line.as_bytes(), 100).unwrap();
        let reasons: Vec<_> = parsed.remarks.iter().map(|&(line, _, reject)| (line, reject)).collect();
        (parsed.lines, parsed.rejected, parsed.two_addresses, reasons)
    };
    for address in
        ["192.0.2.1", "0.0.0.0", "224.0.0.1", "192.0.2.127", "255.255.255.255", "192.0.2.01", "192.0.2", "::1"]
    {
        for limits in [&Limits::ORDINARY, &Limits::ROOT] {
            for family in [None, Some((Family::V4, "-4")), Some((Family::V6, "-6"))] {
                let alone = outcome(family, limits, &format!("\n{address}\n"));
                assert_eq!(alone, outcome(family, limits, &format!("\n{address} \n")), "{address} {family:?}");
                assert_eq!(alone.0.len() as u64 + alone.1, 1);
            }
        }
    }
}

#[test]
fn link_local_addresses_need_a_zone() {
    for text in ["fe80::1", "FE80::1", "febf:ffff::1"] {
        assert_eq!(rejected(text), Reject::NeedsZone, "{text}");
    }
    let root = parse_in_pieces(rules(&Limits::ROOT), b"ff02::1", 64).unwrap();
    assert_eq!(root.remarks[0].2, Some(Reject::NeedsZone));
}

#[test]
fn a_zone_is_printed_as_typed() {
    assert_eq!(accepted("fe80::1%eth0\nFE80:0::2%2\nfebf::3%lo"), ["fe80::1%eth0", "fe80::2%2", "febf::3%lo"]);
}

#[test]
fn zones_are_compared_by_interface_and_each_line_keeps_its_spelling() {
    let outcome = parse("fe80::1%eth0\nfe80::1%2\nfe80::1%wlan0\nfe80::1%3\nfe80::1%eth0\n");
    assert_eq!(
        outcome.lines,
        [
            ("fe80::1%eth0".to_owned(), 0),
            ("fe80::1%2".to_owned(), 0),
            ("fe80::1%wlan0".to_owned(), 1),
            ("fe80::1%3".to_owned(), 1),
            ("fe80::1%eth0".to_owned(), 0),
        ]
    );
    let ip = "fe80::1".parse().unwrap();
    assert_eq!(outcome.addresses, [Address::V6(ip, 2), Address::V6(ip, 3)]);
}

#[test]
fn a_list_with_many_zones_is_read_in_linear_time() {
    // If each line were compared with all zones before it, this would take minutes.
    let count = trials(50_000);
    let every = |name: &str| name.parse().ok();
    let text: String = (1..=count).map(|zone| format!("fe80::1%{zone}\n")).collect();
    let rules = Rules { family: None, limits: &Limits::ORDINARY, broadcasts: &[], interface: &every };
    let outcome = parse_in_pieces(rules, (text.clone() + &text).as_bytes(), 1 << 16).unwrap();
    assert_eq!(outcome.shown().join("\n") + "\n", text.clone() + &text);
    assert_eq!(outcome.addresses.len(), count as usize);
}

#[test]
fn zones_stay_with_their_lines_among_lines_that_have_none() {
    let text = "192.0.2.1\nfe80::9%2\n2001:db8::1\n192.0.2.1\nfe80::9%eth0\n2001:db8::1\nfe80::8%lo\n";
    assert_eq!(accepted(text).join("\n") + "\n", text);
}

#[test]
fn a_zone_is_refused_on_addresses_that_have_none() {
    for text in ["2001:db8::1%eth0", "::1%lo", "fec0::1%eth0", "fd00::1%eth0", "192.0.2.1%eth0", "2001:db8::1%"] {
        assert_eq!(rejected(text), Reject::UnwantedZone, "{text}");
    }
}

#[test]
fn a_zone_that_is_not_an_interface_is_rejected() {
    for text in ["fe80::1%eth9", "fe80::1%", "fe80::1%9", "fe80::1%eth0%eth0", "fe80::1%ETH0"] {
        assert_eq!(rejected(text), Reject::NoSuchZone, "{text}");
    }
}

// Lines.

#[test]
fn a_line_of_1024_bytes_is_accepted() {
    for blank in [" ", "\t"] {
        let line = "192.0.2.1".to_owned() + &blank.repeat(MAX_LINE - 9);
        assert_eq!(line.len(), MAX_LINE);
        assert_eq!(accepted(&line), ["192.0.2.1"]);
        assert_eq!(accepted(line.clone() + "\n192.0.2.2\n"), ["192.0.2.1", "192.0.2.2"]);
    }
}

#[test]
#[cfg_attr(miri, ignore = "takes minutes in Miri")]
fn a_line_of_1025_bytes_is_rejected_once_and_never_split() {
    // Wherever such a line might be split, the second part would begin with an address.
    for len in [1025, 1026, 2048, 2049, 5000, 100_000] {
        let line: String = "192.0.2.1 ".chars().cycle().take(len).collect();
        assert_eq!(rejected(&line), Reject::TooLong);
        let outcome = parse(format!("10.0.0.1\n{line}\n10.0.0.2\n{line}\n"));
        assert_eq!((outcome.shown(), outcome.rejected, outcome.two_addresses), (vec!["10.0.0.1", "10.0.0.2"], 2, 0));
        assert_eq!(outcome.remarks.iter().map(|it| it.0).collect::<Vec<_>>(), [2, 4]);
    }
}

#[test]
#[cfg_attr(miri, ignore = "takes minutes in Miri")]
fn lines_near_the_limit_are_judged_alike_in_pieces_of_every_size() {
    for len in 1023..=1026 {
        let line: String = "192.0.2.1 #".chars().chain(std::iter::repeat('x')).take(len).collect();
        let text = format!("10.0.0.1\n{line}\n10.0.0.2");
        for size in 1..=text.len() {
            let outcome = parse_in_pieces(rules(&Limits::ORDINARY), text.as_bytes(), size).unwrap();
            let (lines, rejects) = if len > 1024 { (2, 1) } else { (3, 0) };
            assert_eq!((outcome.lines.len(), outcome.rejected), (lines, rejects), "{len} bytes in pieces of {size}");
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "takes minutes in Miri")]
fn comments_and_blank_lines_may_have_any_length() {
    for len in [1024, 1025, 1027, 1028, 1029, 5000, 100_000] {
        let blanks = " \t".repeat(len / 2);
        let comment = "#".repeat(len - 2);
        for line in [format!("{blanks}\r"), format!("#{comment}"), format!(" #{comment}\0"), format!("{blanks}# x")] {
            assert_eq!(accepted(&line), Vec::<String>::new(), "{len}");
            assert_eq!(accepted(format!("10.0.0.1\n{line}\n10.0.0.2\n{line}")), ["10.0.0.1", "10.0.0.2"], "{len}");
        }
        assert_eq!(accepted(format!("\u{feff}#{comment}\n10.0.0.1")), ["10.0.0.1"], "{len}");
    }
}

#[test]
fn blanks_before_an_address_count_as_any_others() {
    for blanks in [1015, 1016, 2000] {
        let outcome = parse(format!("{}192.0.2.1\n10.0.0.1\n", " ".repeat(blanks)));
        assert_eq!(outcome.rejected, u64::from(blanks > 1015), "{blanks}");
    }
}

/// A list in UTF-16 of either byte order.
fn utf16(text: &str, is_big_endian: bool) -> Vec<u8> {
    let bytes = |unit: u16| if is_big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() };
    text.encode_utf16().flat_map(bytes).collect()
}

#[test]
fn a_list_in_utf16_is_refused_as_such() {
    for text in
        ["192.0.2.1\r\n192.0.2.2\r\n", "::1", "\r\n\n# \u{442}\u{435}\n10.0.0.1 \u{442}\u{435}\n", "localhost\n"]
    {
        for is_big_endian in [false, true] {
            for text in [text.to_owned(), format!("\u{feff}{text}")] {
                let list = utf16(&text, is_big_endian);
                for size in [1, 2, 3, 7, list.len()] {
                    let result = parse_in_pieces(rules(&Limits::ORDINARY), &list, size);
                    assert!(matches!(result, Err(Error::Utf16List)), "{text:?} {is_big_endian}: {result:?}");
                }
            }
        }
    }
    let words = "list: UTF-16 text (nothing was probed; convert it first: iconv -f UTF-16 -t UTF-8)";
    assert_eq!(Error::Utf16List.to_string(), words);
}

#[test]
fn lines_in_utf16_among_others_are_rejected() {
    for is_big_endian in [false, true] {
        let lines = utf16("192.0.2.1\n192.0.2.2\n", is_big_endian);
        for list in [[&b"10.0.0.1\n"[..], &lines].concat(), [&lines[..], b"\n10.0.0.1\n"].concat()] {
            let outcome = parse(&list);
            assert_eq!(outcome.shown(), ["10.0.0.1"]);
            assert!(outcome.rejected >= 2 && outcome.remarks.iter().all(|remark| remark.2 == Some(Reject::Nul)));
        }
    }
    // NUL bytes alone are no such text.
    for line in ["\0", "\0\0\0\0\0\0\0\0", "a\0b\0", "192.0.2.1\0\0\0", "\u{0}192.0.2.1"] {
        assert_eq!(rejected(line), Reject::Nul, "{line:?}");
    }
}

#[test]
fn a_byte_order_mark_at_the_start_is_skipped() {
    assert_eq!(accepted("\u{feff}192.0.2.1\n192.0.2.2\n"), ["192.0.2.1", "192.0.2.2"]);
    assert_eq!(accepted("\u{feff}"), Vec::<String>::new());
    assert_eq!(accepted("\u{feff}\n192.0.2.1"), ["192.0.2.1"]);
    assert_eq!(accepted("\u{feff}# hosts\n192.0.2.1"), ["192.0.2.1"]);
}

#[test]
fn a_byte_order_mark_anywhere_else_is_rejected() {
    let outcome = parse("192.0.2.1\n\u{feff}192.0.2.2\n");
    assert_eq!((outcome.shown(), outcome.remarks[0].0, outcome.rejected), (vec!["192.0.2.1"], 2, 1));
    assert_eq!(rejected("\u{feff}\u{feff}192.0.2.1"), Reject::NotAnAddress);
    assert_eq!(rejected(" \u{feff}192.0.2.1"), Reject::NotAnAddress);
    assert_eq!(rejected(b"\xef\xbb192.0.2.1"), Reject::NotAnAddress);
}

#[test]
#[cfg_attr(miri, ignore = "takes minutes in Miri")]
fn a_byte_order_mark_does_not_count_for_the_length_of_its_line() {
    for len in 1020..=1030 {
        let line: String = "192.0.2.1 #".chars().chain(std::iter::repeat('x')).take(len).collect();
        let outcome = parse(format!("\u{feff}{line}\n10.0.0.1\n"));
        assert_eq!(outcome.rejected, u64::from(len > 1024), "{len} bytes");
    }
}

#[test]
fn a_nul_anywhere_in_a_line_rejects_it() {
    for line in ["\0", "\u{0}192.0.2.1", "192.0.2.1\0", "192.0.2.1 label\0", "192.0.2.1 # \0", "192.0.2.1\0 192.0.2.2"]
    {
        assert_eq!(rejected(line), Reject::Nul, "{line:?}");
    }
}

#[test]
fn blanks_around_an_address_and_carriage_returns_do_not_matter() {
    let text = " 192.0.2.1\n\t192.0.2.2\t\n  \t 192.0.2.3 \t \n192.0.2.4\r\n192.0.2.5 \r\n192.0.2.6\r\r\n";
    assert_eq!(accepted(text), (1..=6).map(|last| format!("192.0.2.{last}")).collect::<Vec<_>>());
}

#[test]
fn blank_lines_and_comments_are_ignored() {
    assert_eq!(accepted(""), Vec::<String>::new());
    assert_eq!(accepted("\n\n \n\t\n\r\n # comment\n#\n#192.0.2.1\n##\n   # 192.0.2.1\r\n"), Vec::<String>::new());
    assert_eq!(accepted("\n# one\n192.0.2.1\n\n# two\n192.0.2.2\n\n"), ["192.0.2.1", "192.0.2.2"]);
}

#[test]
fn blank_lines_and_comments_have_line_numbers() {
    let outcome = parse("\n# one\n\r\nx\n192.0.2.1\n\ny");
    assert_eq!(outcome.remarks.iter().map(|it| it.0).collect::<Vec<_>>(), [4, 7]);
}

#[test]
fn what_follows_the_address_is_a_label() {
    for line in [
        "192.0.2.1 www",
        "192.0.2.1\twww.example.org # not 192.0.2.9",
        "192.0.2.1 # 192.0.2.9",
        "192.0.2.1 #192.0.2.9",
        "192.0.2.1 router at 192.0.2.9",
        "192.0.2.1 127.1",
        "192.0.2.1 is alive (1 usec)",
        "192.0.2.1 \u{e9}\u{1f600}",
    ] {
        assert_eq!(accepted(line), ["192.0.2.1"]);
    }
    assert_eq!(accepted(b"192.0.2.1 \xff\xfe\x80"), ["192.0.2.1"]);
}

#[test]
fn a_comment_needs_a_blank_before_it() {
    assert_eq!(rejected("192.0.2.1# comment"), Reject::NotAnAddress);
    assert_eq!(rejected("192.0.2.1#"), Reject::NotAnAddress);
}

#[test]
fn invalid_utf_8_is_not_an_address() {
    for line in [&b"\xff"[..], b"192.0.2.1\xff", b"\xc3\xa9", b"fe80::1%\xff", b"192.0.2.1\xc2\xa0"] {
        assert_eq!(rejected(line), Reject::NotAnAddress, "{}", line.escape_ascii());
    }
}

#[test]
fn a_label_that_is_an_address_gets_a_remark_and_its_line_is_accepted() {
    for line in ["192.0.2.1 192.0.2.2", "192.0.2.1\t2001:db8::1 x", "192.0.2.1 192.0.2.1", "192.0.2.1\r192.0.2.2 # c"] {
        let outcome = parse(format!("10.0.0.1\n{line}\n"));
        assert_eq!(outcome.shown(), ["10.0.0.1", "192.0.2.1"]);
        assert_eq!((outcome.rejected, outcome.two_addresses), (0, 1));
        assert_eq!(outcome.remarks, [(2, format!("\"{}\"", line.as_bytes().escape_ascii()), None)]);
    }
}

#[test]
fn a_rejected_line_gets_one_remark_whatever_its_label() {
    let outcome = parse("localhost 192.0.2.2");
    assert_eq!((outcome.remarks.len(), outcome.rejected, outcome.two_addresses), (1, 1, 0));
}

#[test]
fn the_last_line_needs_no_newline() {
    assert_eq!(accepted("192.0.2.1\n192.0.2.2"), accepted("192.0.2.1\n192.0.2.2\n"));
    assert_eq!(accepted("192.0.2.1"), ["192.0.2.1"]);
    assert_eq!(accepted("192.0.2.1\r"), ["192.0.2.1"]);
    assert_eq!(rejected("x"), Reject::NotAnAddress);
}

#[test]
fn ten_remarks_are_kept_and_the_rest_counted() {
    let text: String = (1..=25).map(|n| format!("bad{n}\n10.0.0.{n} 10.0.1.{n}\n10.0.0.{n}\n")).collect();
    let outcome = parse(text);
    assert_eq!((outcome.remarks.len(), outcome.rejected, outcome.two_addresses, outcome.lines.len()), (10, 25, 25, 50));
    let numbers: Vec<u64> = outcome.remarks.iter().map(|it| it.0).collect();
    assert_eq!(numbers, [1, 2, 4, 5, 7, 8, 10, 11, 13, 14]);
}

#[test]
fn remarks_quote_their_line_in_printable_ascii_cut_at_60_bytes() {
    let text = format!("\x1b[2J\u{e9} {}\n", "x".repeat(100));
    let outcome = parse(&text);
    assert_eq!(outcome.remarks[0].1, format!("\"\\x1b[2J\\xc3\\xa9 {}\"...", "x".repeat(53)));
    assert_eq!(parse("y".repeat(60)).remarks[0].1, format!("\"{}\"", "y".repeat(60)));
    assert_eq!(parse("y".repeat(61)).remarks[0].1, format!("\"{}\"...", "y".repeat(60)));
}

#[test]
fn remarks_have_line_number_text_reason_and_effect() {
    let mut parser = ListParser::new(rules(&Limits::ORDINARY));
    parser.feed(b"127.1\n192.0.2.1 192.0.2.2\n2001:db8:18::abc3.1.1.1\n").unwrap();
    let remarks: Vec<String> = parser.finish().unwrap().remarks.iter().map(|remark| remark.to_string()).collect();
    assert_eq!(
        remarks,
        [
            "line 1: \"127.1\": not an IP address (no line of output for it)",
            "line 2: \"192.0.2.1 192.0.2.2\": two addresses (only the first is probed)",
            "line 3: \"2001:db8:18::abc3.1.1.1\": not an IP address; two lines run together, or a port? (no line of output for it)",
        ]
    );
}

#[test]
#[cfg_attr(miri, ignore = "takes minutes in Miri")]
fn remarks_on_lines_of_any_length_do_not_depend_on_the_pieces() {
    for len in [59, 60, 61, 1023, 1024, 1025, 1026, 3000] {
        let outcome = parse(vec![b'z'; len]);
        assert_eq!(outcome.remarks.len(), 1);
    }
}

// Families.

#[test]
fn a_family_can_be_excluded() {
    let text = b"192.0.2.1\n2001:db8::1\nfe80::1%eth0\n192.0.2.2\n";
    for (only, shown, other) in [
        (Family::V4, ["192.0.2.1", "192.0.2.2"], Family::V6),
        (Family::V6, ["2001:db8::1", "fe80::1%eth0"], Family::V4),
    ] {
        let rules = Rules { family: Some((only, "--option")), ..rules(&Limits::ORDINARY) };
        let outcome = parse_in_pieces(rules, text, 5).unwrap();
        assert_eq!((outcome.shown(), outcome.rejected), (shown.to_vec(), 2));
        assert!(outcome.remarks.iter().all(|it| it.2 == Some(Reject::ExcludedFamily(other.name(), "--option"))));
    }
}

#[test]
fn targets_are_numbered_family_by_family_in_the_order_of_the_input() {
    let outcome = parse("2001:db8::9\n192.0.2.9\n2001:db8::1\n192.0.2.1\n");
    let numbers: Vec<u32> = outcome.lines.iter().map(|line| line.1).collect();
    assert_eq!(numbers, [2, 0, 3, 1]);
    assert_eq!(outcome.shown(), ["2001:db8::9", "192.0.2.9", "2001:db8::1", "192.0.2.1"]);
    let families: Vec<Family> = outcome.addresses.iter().map(|address| address.family()).collect();
    assert_eq!(families, [Family::V4, Family::V4, Family::V6, Family::V6]);
}

#[test]
fn targets_are_counted_by_family() {
    let mut parser = ListParser::new(rules(&Limits::ORDINARY));
    parser.feed(b"2001:db8::9\n192.0.2.9\n2001:db8::1\n2001:db8::9\n").unwrap();
    let targets = parser.finish().unwrap().addresses;
    assert_eq!((targets.count(Family::V4), targets.count(Family::V6), targets.len()), (1, 2, 3));
    assert_eq!(targets.get(TargetId(3)), None);
    assert_eq!(targets.get(TargetId(u32::MAX)), None);
    assert!(!targets.is_empty());
    assert!(Addresses::default().is_empty());
}

// Equal addresses.

#[test]
fn equal_addresses_are_one_target_with_an_output_line_each() {
    let outcome = parse("192.0.2.2\n192.0.2.1\n192.0.2.2 again\n2001:db8:0::1\n192.0.2.1\n2001:db8::1\n");
    assert_eq!(outcome.lines.iter().map(|line| line.1).collect::<Vec<_>>(), [0, 1, 0, 2, 1, 2]);
    assert_eq!(outcome.addresses.len(), 3);
}

#[test]
fn random_lists_are_deduplicated_like_a_naive_implementation() {
    let mut rng = Rng::with_seed(7);
    for trial in 0..trials(3000) {
        // Lists of one family or both, sorted or not, with few distinct addresses or many.
        let (families, range, sorted) = (rng.usize(..3), 1 + rng.usize(..200), rng.usize(..3) == 0);
        let mut input: Vec<IpAddr> = (0..rng.usize(..60))
            .map(|_| {
                let last = rng.usize(..range) as u16;
                match families {
                    0 => IpAddr::V4(Ipv4Addr::new(10, 0, 0, last as u8 + 1)),
                    1 => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last)),
                    _ if rng.usize(..2) == 0 => IpAddr::V4(Ipv4Addr::new(10, 0, 0, last as u8 + 1)),
                    _ => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last)),
                }
            })
            .collect();
        if sorted {
            input.sort();
        }
        let text: String = input.iter().map(|ip| format!("{ip}\n")).collect();
        let size = 1 + rng.usize(..40);
        let outcome = parse_in_pieces(rules(&Limits::ORDINARY), text.as_bytes(), size).unwrap();

        let mut distinct: Vec<IpAddr> = Vec::new();
        for &ip in input.iter().filter(|ip| ip.is_ipv4()).chain(input.iter().filter(|ip| ip.is_ipv6())) {
            if !distinct.contains(&ip) {
                distinct.push(ip);
            }
        }
        let index = |ip| distinct.iter().position(|&known| known == ip).unwrap() as u32;
        let lines: Vec<(String, u32)> = input.iter().map(|&ip| (ip.to_string(), index(ip))).collect();
        assert_eq!(outcome.lines, lines, "trial {trial}");
        let addresses: Vec<String> = outcome.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, distinct.iter().map(ToString::to_string).collect::<Vec<_>>(), "trial {trial}");
    }
}

#[test]
fn random_text_in_random_pieces_gives_the_same_result() {
    let words: [&[u8]; 22] = [
        b"192.0.2.1",
        b"192.0.2.2",
        b"10.0.0.1",
        b"2001:db8::1",
        b"fe80::1%eth0",
        b"fe80::1%2",
        b"127.1",
        b"localhost",
        b"\xef\xbb\xbf",
        b"\0",
        b"#",
        b" ",
        b" ",
        b"\t",
        b"\r\n",
        b"\n",
        b"\n",
        b"\n",
        b"\n",
        b"\xff",
        b".",
        &[b'x'; 600],
    ];
    let mut rng = Rng::with_seed(11);
    for _ in 0..trials(2000) {
        let text: Vec<u8> = (0..rng.usize(..60)).flat_map(|_| words[rng.usize(..words.len())]).copied().collect();
        let whole = parse_in_pieces(rules(&Limits::ORDINARY), &text, text.len().max(1)).unwrap();
        let mut parser = ListParser::new(rules(&Limits::ORDINARY));
        let mut rest = text.as_slice();
        while !rest.is_empty() {
            let longest = if rng.usize(..2) == 0 { 4 } else { 2000 };
            let (piece, after) = rest.split_at(rng.usize(..longest + 1).min(rest.len()));
            parser.feed(piece).unwrap(); // a piece may be empty
            rest = after;
        }
        let pieces = Parsed::from(parser.finish().unwrap());
        assert_eq!(pieces, whole, "{}", text.escape_ascii());
        // Other lines are blank or comments.
        let lines = text.split(|&byte| byte == b'\n').count() as u64;
        assert!(whole.lines.len() as u64 + whole.rejected <= lines);
    }
}

#[test]
fn random_bytes_are_parsed_safely() {
    let mut rng = Rng::with_seed(13);
    let alphabet = b"0123456789abcf:.%#/ \t\r\n\n\0xe";
    for _ in 0..trials(5000) {
        let text: Vec<u8> = (0..rng.usize(..120)).map(|_| alphabet[rng.usize(..alphabet.len())]).collect();
        let outcome = match parse_in_pieces(rules(&Limits::ROOT), &text, 1 + rng.usize(..9)) {
            Err(Error::Utf16List) => continue, // by chance
            result => result.unwrap(),
        };
        // What was accepted is an address.
        for (shown, _) in outcome.lines {
            assert!(shown.split('%').next().unwrap().parse::<IpAddr>().is_ok(), "{shown}");
        }
    }
}

// Limits.

#[test]
fn as_many_lines_as_the_limit_are_accepted_and_one_more_is_refused() {
    let limits = Limits { targets: 3, ..Limits::ORDINARY };
    for line in ["192.0.2.1\n", "2001:db8::1\n"] {
        assert_eq!(parse_in_pieces(rules(&limits), line.repeat(3).as_bytes(), 7).unwrap().lines.len(), 3);
        let error = parse_in_pieces(rules(&limits), line.repeat(4).as_bytes(), 7).unwrap_err();
        assert!(matches!(error, Error::TooMany(3)), "{error}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "takes minutes in Miri")]
fn a_long_list_is_limited_by_memory_and_a_short_one_is_not_checked() {
    const MANY: usize = 1 << 16;
    let checks = Cell::new(0);
    for (available, accepted) in [(0, MANY), (7 << 20, MANY + 1), (7 << 20, 2 * MANY)] {
        checks.set(0);
        let memory = || {
            checks.set(checks.get() + 1);
            available
        };
        let mut parser = ListParser::new(rules(&Limits::ORDINARY)).within(&memory);
        let line = |n: usize| format!("{}\n", Ipv4Addr::from_bits(0x0a00_0000 + n as u32));
        (0..accepted).for_each(|n| parser.feed(line(n).as_bytes()).expect("there is memory for it"));
        assert_eq!(checks.get(), (accepted - 1) / MANY);
        let next = parser.feed(line(accepted).as_bytes());
        // 7 MiB are enough for twice as many lines, but not for three times.
        if available == 0 || accepted == 2 * MANY {
            assert!(matches!(next, Err(Error::Memory(lines)) if lines == accepted), "{next:?}");
        } else {
            assert!(next.is_ok(), "{next:?}");
        }
    }
}

#[test]
fn blank_and_rejected_lines_do_not_count_against_the_limit() {
    let limits = Limits { targets: 1, ..Limits::ORDINARY };
    let outcome = parse_in_pieces(rules(&limits), b"\n#\nx\n192.0.2.1\ny\n\n", 64).unwrap();
    assert_eq!((outcome.lines.len(), outcome.rejected), (1, 2));
}

#[test]
fn the_limit_holds_for_a_last_line_without_newline() {
    let limits = Limits { targets: 1, ..Limits::ORDINARY };
    let mut parser = ListParser::new(rules(&limits));
    parser.feed(b"192.0.2.1\n192.0.2.2").unwrap();
    assert!(matches!(parser.finish(), Err(Error::TooMany(1))));
}

// Operands.

#[test]
fn operands_keep_their_order() {
    let mut parser = ListParser::new(rules(&Limits::ORDINARY));
    for operand in ["2001:db8::1", "192.0.2.1", "fe80::1%eth0", "192.0.2.1"] {
        parser.operand(operand.as_bytes()).unwrap();
    }
    let outcome = Parsed::from(parser.finish().unwrap());
    assert_eq!(outcome.shown(), ["2001:db8::1", "192.0.2.1", "fe80::1%eth0", "192.0.2.1"]);
    assert_eq!(outcome.addresses.len(), 3);
}

#[test]
fn an_operand_must_be_an_address() {
    for (operand, reject) in [
        ("", Reject::Empty),
        ("localhost", Reject::NotAnAddress),
        (" 192.0.2.1", Reject::NotAnAddress),
        ("192.0.2.1 ", Reject::NotAnAddress),
        ("192.0.2.1\n", Reject::NotAnAddress),
        ("192.0.2.1 label", Reject::NotAnAddress),
        ("\u{feff}192.0.2.1", Reject::NotAnAddress),
        ("#", Reject::NotAnAddress),
        ("127.1", Reject::NotAnAddress),
        ("224.0.0.1", Reject::Multicast),
        ("0.0.0.0", Reject::Unspecified),
        ("fe80::1", Reject::NeedsZone),
        ("::192.0.2.1", Reject::DottedTail),
    ] {
        let mut parser = ListParser::new(rules(&Limits::ORDINARY));
        let error = parser.operand(operand.as_bytes()).unwrap_err();
        assert!(matches!(error, Error::BadOperand(_, why) if why == reject), "{operand:?}: {error}");
        assert!(parser.finish().unwrap().addresses.is_empty());
    }
}

#[test]
fn operands_count_against_the_limit() {
    let limits = Limits { targets: 1, ..Limits::ORDINARY };
    let mut parser = ListParser::new(rules(&limits));
    parser.operand(b"192.0.2.1").unwrap();
    assert!(matches!(parser.operand(b"192.0.2.1"), Err(Error::TooMany(1))));
}
