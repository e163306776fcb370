//! A network of its own: 127.0.0.0/8 and ::1 answer, 192.0.2.0/24 and 2001:db8::/64 are silent.

use std::env;
use std::io::Write;
use std::net::Ipv4Addr;

use multiping::Address;

#[path = "../../../tests/lab/namespace.rs"]
#[expect(dead_code, reason = "the lab uses all of it")]
mod namespace;

use namespace::Namespace;

/// The peer takes what is sent to the silent networks and answers nothing: without ARP and ND no
/// question is asked either.
const LAYOUT: &str = "link set lo up
link add out type veth peer name peer
link set out arp off
addr add 192.0.2.1/24 dev out
addr add 2001:db8::1/64 dev out nodad
link set peer up
link set out up
";

/// Plays a scene in a network of its own. Where there can be none, it says so.
pub fn play(test: &str, scene: impl FnOnce() + Send) {
    let made = Namespace::new().and_then(|namespace| namespace.ip(&["-batch", "-"], LAYOUT).map(|_| namespace));
    match made {
        Ok(namespace) => namespace.inside(scene),
        Err(reason) => {
            let required = env::var("XYMONPING_LAB").is_ok_and(|value| value == "required");
            assert!(!required, "{test}: {reason}");
            // libtest captures print!, but not this.
            let _ = std::io::stderr().write_all(format!("SKIPPED {test}: {reason}\n").as_bytes());
        }
    }
}

/// The `number`th address that answers.
pub fn alive(number: u32) -> Address {
    Ipv4Addr::from(0x7f00_0001 + number).into()
}

/// The `number`th address that is silent.
pub fn silent(number: u8) -> Address {
    Ipv4Addr::new(192, 0, 2, 10 + number).into()
}
