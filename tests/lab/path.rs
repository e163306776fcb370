//! A path beside the lab's wire: a router and a network behind it, both of them kernels in
//! namespaces of their own, and links with a chosen MTU.
//!
//! ```text
//!   the program's namespace              the router's                 the far end's
//!   path0 10.200.0.1  ─── near link ───  path1  path2  ─── far link ─── path3
//!                                                   all of 10.202.0.0/24 and fd02::/64
//! ```

use super::Lab;
use super::namespace::Namespace;

/// A path. It ends when this is dropped.
pub struct Path {
    _router: Namespace,
    _far: Namespace,
}

impl Lab {
    /// A path with these MTUs. Below 1280 there is no IPv6.
    pub fn path(&self, near: u32, far: u32) -> Result<Path, String> {
        let [router, far_end] = [Namespace::new()?, Namespace::new()?];
        for namespace in [&router, &far_end] {
            namespace.set_sysctl("net.ipv4.ip_forward", "1")?;
            if self.has_ipv6 {
                namespace.set_sysctl("net.ipv6.conf.default.accept_dad", "0")?;
                namespace.set_sysctl("net.ipv6.conf.all.forwarding", "1")?;
            }
        }
        let devices = format!(
            "link add path0 mtu {near} type veth peer name path1 mtu {near} netns {router}\n",
            router = router.path()
        );
        self.namespace.ip(&["-batch", "-"], &devices)?;
        let devices =
            format!("link add path2 mtu {far} type veth peer name path3 mtu {far} netns {}\n", far_end.path());
        router.ip(&["-batch", "-"], &devices)?;
        let v6 = self.has_ipv6 && near.min(far) >= 1280;
        if v6 {
            self.set_sysctl("net.ipv6.conf.path0.accept_dad", "0");
            self.set_sysctl("net.ipv6.conf.path0.disable_ipv6", "0");
        }
        let script = |v4: &str, of_v6: &str| if v6 { [v4, of_v6].concat() } else { v4.to_owned() };
        self.namespace.ip(
            &["-batch", "-"],
            &script(
                "addr add 10.200.0.1/24 dev path0\nlink set path0 up\nroute add 10.202.0.0/24 via 10.200.0.2\n",
                "addr add fd00:1::1/64 dev path0 nodad\nroute add fd02::/64 via fd00:1::2\n",
            ),
        )?;
        router.ip(
            &["-batch", "-"],
            &script(
                "link set lo up\naddr add 10.200.0.2/24 dev path1\nlink set path1 up\naddr add 10.201.0.1/24 dev path2\n\
                 link set path2 up\nroute add 10.202.0.0/24 via 10.201.0.2\n",
                "addr add fd00:1::2/64 dev path1 nodad\naddr add fd01::1/64 dev path2 nodad\nroute add fd02::/64 via fd01::2\n",
            ),
        )?;
        far_end.ip(
            &["-batch", "-"],
            &script(
                "link set lo up\naddr add 10.201.0.2/24 dev path3\nlink set path3 up\nroute add default via 10.201.0.1\n\
                 route add local 10.202.0.0/24 dev lo\n",
                "addr add fd01::2/64 dev path3 nodad\nroute add default via fd01::1\nroute add local fd02::/64 dev lo\n",
            ),
        )?;
        self.await_path();
        Ok(Path { _router: router, _far: far_end })
    }

    /// Waits for a reply: the kernel sets up addresses and neighbours in the background.
    fn await_path(&self) {
        let replies =
            || self.run(&["--retries=0", "--timeout=50ms", "-q", "--exit-status", "10.202.0.1"], "").code == Some(0);
        self.wait_until("the path replies", replies);
    }
}
