//! What the headers of replies say.

use std::fmt::Write;
use std::net::IpAddr;

/// What is known of the header of a reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The destination, which is the address that the probe was sent from.
    pub destination: Option<IpAddr>,
    /// Type Of Service, or Traffic Class.
    pub tos: Option<u8>,
    /// TTL, or Hop Limit.
    pub ttl: Option<u8>,
}

/// Which fields of it are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeaderFields {
    /// The destination.
    pub destination: bool,
    /// Type Of Service, or Traffic Class.
    pub tos: bool,
    /// TTL, or Hop Limit.
    pub ttl: bool,
}

impl HeaderFields {
    /// What they add to a line.
    pub fn text(self, header: &Header) -> String {
        let mut text = String::new();
        let mut add = |is_wanted, name, value: Option<String>| {
            if is_wanted {
                // Writing to a string does not fail.
                let _ = write!(text, " ({name} {})", value.as_deref().unwrap_or("unknown"));
            }
        };
        add(self.destination, "SRC", header.destination.map(|ip| ip.to_string()));
        add(self.tos, "TOS", header.tos.map(|tos| tos.to_string()));
        add(self.ttl, "TTL", header.ttl.map(|ttl| ttl.to_string()));
        text
    }

    /// What they add to a JSON object. A number that is not known is -1.
    pub(super) fn json(self, header: &Header) -> String {
        let mut json = String::new();
        if let (true, Some(ip)) = (self.destination, header.destination) {
            let _ = write!(json, ", \"replyDst\": \"{ip}\"");
        }
        for (is_wanted, name, value) in [(self.tos, "tos", header.tos), (self.ttl, "ttl", header.ttl)] {
            if is_wanted {
                let _ = write!(json, ", \"{name}\": {}", value.map_or(-1, i32::from));
            }
        }
        json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_one_order() {
        let known = Header { destination: "192.0.2.1".parse().ok(), tos: Some(16), ttl: Some(63) };
        let all = HeaderFields { destination: true, tos: true, ttl: true };
        assert_eq!(all.text(&known), " (SRC 192.0.2.1) (TOS 16) (TTL 63)");
        assert_eq!(all.json(&known), ", \"replyDst\": \"192.0.2.1\", \"tos\": 16, \"ttl\": 63");
        let unknown = Header::default();
        assert_eq!(all.text(&unknown), " (SRC unknown) (TOS unknown) (TTL unknown)");
        assert_eq!(all.json(&unknown), ", \"tos\": -1, \"ttl\": -1");
        let none = HeaderFields::default();
        assert_eq!(none.text(&known) + &none.json(&known), "");
    }
}
