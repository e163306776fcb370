//! A network of its own: 127.0.0.0/8 and ::1 answer, 192.0.2.0/24 and 2001:db8::/64 are silent.

use std::env;
use std::io::Write;
use std::net::Ipv4Addr;
use std::thread::sleep;
use std::time::Duration;

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
    play_in(test, made, scene);
}

/// Plays a scene in a network with a router, [`ROUTER`], that has no way to 198.51.100.0/24 and
/// says so.
pub fn play_with_router(test: &str, scene: impl FnOnce() + Send) {
    let made = Namespace::new().and_then(|near| {
        let far = Namespace::new()?;
        let path = far.path();
        near.ip(&["link", "add", "near", "type", "veth", "peer", "name", "far", "netns", &path], "")?;
        far.ip(
            &["-batch", "-"],
            "addr add 203.0.113.2/24 dev far\nlink set far up\nroute add unreachable 198.51.100.0/24",
        )?;
        far.set_sysctl("net.ipv4.ip_forward", "1")?;
        let route = "route add 198.51.100.0/24 via 203.0.113.2";
        near.ip(
            &["-batch", "-"],
            &format!("addr add 203.0.113.1/24 dev near\nlink set near up\nlink set lo up\n{route}"),
        )?;
        // The kernel may report a carrier, and let packets through, up to a second late.
        for (end, name) in [(&near, "near"), (&far, "far")] {
            while !end.ip(&["link", "show", "dev", name], "")?.contains("state UP") {
                sleep(Duration::from_millis(10));
            }
        }
        Ok((near, far))
    });
    let (near, _far) = match made {
        Ok((near, far)) => (Ok(near), Some(far)),
        Err(reason) => (Err(reason), None),
    };
    play_in(test, near, scene);
}

/// The router's address.
pub const ROUTER: [u8; 4] = [203, 0, 113, 2];

fn play_in(test: &str, made: Result<Namespace, String>, scene: impl FnOnce() + Send) {
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
