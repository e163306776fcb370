//! The words for ICMP errors about probes.

use multiping::address::Family;

use crate::report::fping::Name;

/// The line of an error of this type and code, which a router sent about a probe to `name`;
/// `None`: it has none.
pub fn icmp_error(family: Family, msg_type: u8, code: u8, router: &str, name: Name) -> Option<String> {
    let code = usize::from(code);
    match family {
        Family::V4 => {
            let what = match (msg_type, UNREACHABLE_V4.get(code), code) {
                (3, Some(what), 0..4) => format!("{what} Unreachable"),
                (3, Some(what), _) => format!("Unreachable ({what})"),
                (3, None, _) => "Unreachable (Invalid Code)".to_owned(),
                (4, ..) => "Source Quench".to_owned(),
                (5, ..) => "Redirect".to_owned(),
                (11, ..) => "Time Exceeded".to_owned(),
                (12, ..) => "Parameter Problem".to_owned(),
                _ => return None,
            };
            Some(format!("ICMP {what} from {router} for ICMP Echo sent to {name}\n"))
        }
        Family::V6 => {
            let (what, codes): (_, &[&str]) = match msg_type {
                1 => ("Destination Unreachable", &UNREACHABLE_V6),
                3 => ("Time Exceeded", &TIME_EXCEEDED_V6),
                4 => ("Parameter Problem", &PARAMETER_PROBLEM_V6),
                _ => ("", &[]),
            };
            let what = match (msg_type, codes.get(code)) {
                (2, _) => "Packet Too Big".to_owned(),
                (1 | 3 | 4, Some(why)) => format!("{what} ({why})"),
                (1 | 3 | 4, None) => format!("{what} (Code {code})"),
                _ => format!("Type {msg_type} Code {code}"),
            };
            Some(format!("ICMPv6 {what} from {router} for ICMPv6 Echo Request sent to {name}\n"))
        }
    }
}

const UNREACHABLE_V4: [&str; 16] = [
    "Network",
    "Host",
    "Protocol",
    "Port",
    "Fragmentation Needed",
    "Source Route Failed",
    "Destination Network Unknown",
    "Destination Host Unknown",
    "Source Host Isolated",
    "Communication with Network Prohibited",
    "Communication with Host Prohibited",
    "Network Unreachable For Type Of Service",
    "Host Unreachable For Type Of Service",
    "Communication Administratively Prohibited",
    "Host Precedence Violation",
    "Precedence cutoff in effect",
];

const UNREACHABLE_V6: [&str; 10] = [
    "No route to destination",
    "Communication with destination administratively prohibited",
    "Beyond scope of source address",
    "Address unreachable",
    "Port unreachable",
    "Source address failed ingress/egress policy",
    "Reject route to destination",
    "Error in Source Routing Header",
    "Headers too long",
    "Error in P-Route",
];

const TIME_EXCEEDED_V6: [&str; 2] = ["Hop limit exceeded in transit", "Fragment reassembly time exceeded"];

const PARAMETER_PROBLEM_V6: [&str; 11] = [
    "Erroneous header field encountered",
    "Unrecognized Next Header type encountered",
    "Unrecognized IPv6 option encountered",
    "IPv6 First Fragment has incomplete IPv6 Header Chain",
    "SR Upper-layer Header Error",
    "Unrecognized Next Header type encountered by intermediate node",
    "Extension header too big",
    "Extension header chain too long",
    "Too many extension headers",
    "Too many options in extension header",
    "Option too big",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_fpings_words() {
        for (msg_type, code, words) in [
            (3, 0, "Network Unreachable"),
            (3, 1, "Host Unreachable"),
            (3, 3, "Port Unreachable"),
            (3, 4, "Unreachable (Fragmentation Needed)"),
            (3, 13, "Unreachable (Communication Administratively Prohibited)"),
            (3, 15, "Unreachable (Precedence cutoff in effect)"),
            (3, 16, "Unreachable (Invalid Code)"),
            (11, 0, "Time Exceeded"),
        ] {
            let line = icmp_error(Family::V4, msg_type, code, "192.0.2.254", Name(b"a"));
            assert_eq!(line, Some(format!("ICMP {words} from 192.0.2.254 for ICMP Echo sent to a\n")));
        }
        assert_eq!(icmp_error(Family::V4, 40, 0, "x", Name(b"a")), None);
        for (msg_type, code, words) in [
            (1, 0, "Destination Unreachable (No route to destination)"),
            (1, 10, "Destination Unreachable (Code 10)"),
            (2, 0, "Packet Too Big"),
            (3, 1, "Time Exceeded (Fragment reassembly time exceeded)"),
            (4, 10, "Parameter Problem (Option too big)"),
            (100, 7, "Type 100 Code 7"),
        ] {
            let line = icmp_error(Family::V6, msg_type, code, "::1", Name(b"a"));
            assert_eq!(line, Some(format!("ICMPv6 {words} from ::1 for ICMPv6 Echo Request sent to a\n")));
        }
    }
}
