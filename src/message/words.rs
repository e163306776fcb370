//! Parts of messages: numbers of things, quoted input, and reasons.

use std::env;
use std::fmt::{self, Display, Formatter};
use std::io;
use std::net::IpAddr;

use nix::errno::Errno;

/// A number of things, named in the singular.
pub(crate) struct Count<N>(pub(crate) N, pub(crate) &'static str);

impl<N: Copy + Display + PartialEq + From<u8>> Display for Count<N> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Count(number, thing) = *self;
        write!(f, "{number} {thing}{}", if number == N::from(1) { "" } else { "s" })
    }
}

/// The command that shows why the kernel refuses to send, for this reason, to this target.
pub(super) struct Remedy<'a>(pub(super) &'a io::Error, pub(super) &'a str);

impl Display for Remedy<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Remedy(why, target) = self;
        match why.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EPERM) => f.write_str(
                "see: nft list ruleset; or a full table of connections: \
                 sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max",
            ),
            Some(Errno::EMSGSIZE) => write!(f, "lower --size, or see the MTU: ip route get {target}"),
            Some(Errno::EADDRNOTAVAIL) => f.write_str("check --source and --interface; see: ip address"),
            Some(Errno::ENOBUFS) => f.write_str("see: tc -s qdisc"),
            Some(Errno::ENETDOWN) if target.parse().is_ok_and(|ip: IpAddr| ip.is_loopback()) => {
                f.write_str("ip link set lo up")
            }
            Some(Errno::ENETDOWN) => write!(f, "see: ip link; ip route get {target}"),
            _ => write!(f, "see: ip route get {target}"),
        }
    }
}

/// The path of this program, for root to type into a shell. The caller may have chosen it, so a
/// path with characters that are special to a shell or a terminal is replaced.
pub fn program() -> String {
    let path = env::current_exe().ok().and_then(|path| path.into_os_string().into_string().ok());
    let is_plain = |path: &String| path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._+-".contains(&byte));
    path.filter(is_plain).unwrap_or_else(|| "THIS-PROGRAM".to_owned())
}

/// Input quoted for a terminal or a log: printable ASCII, the rest escaped, cut at 60 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quoted {
    content: String,
    is_cut: bool,
}

impl Quoted {
    /// How many bytes are quoted at most.
    pub const MAX: usize = 60;

    /// What is between the quotes.
    pub fn content(&self) -> &str {
        &self.content
    }
}

impl From<&[u8]> for Quoted {
    fn from(bytes: &[u8]) -> Self {
        let kept = &bytes[..bytes.len().min(Self::MAX)];
        Quoted { content: kept.escape_ascii().to_string(), is_cut: kept.len() < bytes.len() }
    }
}

impl Display for Quoted {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"{}", self.content, if self.is_cut { "..." } else { "" })
    }
}

/// An error in the C library's words, without the number that std appends.
pub(crate) struct Reason<'a>(pub(crate) &'a io::Error);

impl Display for Reason<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let words = self.0.to_string();
        f.write_str(words.split(" (os error").next().unwrap_or(&words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_may_end_in_quotes_and_dots() {
        let quoted = Quoted::from(&b"\"a\"..."[..]);
        assert_eq!((quoted.content(), &*quoted.to_string()), (r#"\"a\"..."#, r#""\"a\"...""#));
        let long = Quoted::from(&[b'x'; Quoted::MAX + 1][..]);
        assert_eq!((long.content(), long.to_string()), (&*"x".repeat(60), format!("\"{}\"...", "x".repeat(60))));
    }
}
