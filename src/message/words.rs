//! Parts of messages: numbers of things, quoted input, and reasons.

use std::fmt::{self, Display, Formatter};
use std::io;

/// A number of things, named in the singular.
pub(crate) struct Count<N>(pub(crate) N, pub(crate) &'static str);

impl<N: Copy + Display + PartialEq + From<u8>> Display for Count<N> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Count(number, thing) = *self;
        write!(f, "{number} {thing}{}", if number == N::from(1) { "" } else { "s" })
    }
}

/// What to check when the kernel refuses to send.
pub(super) fn remedy(why: &io::Error) -> &'static str {
    match why.kind() {
        io::ErrorKind::PermissionDenied => "check the firewall's output rules",
        io::ErrorKind::NetworkDown | io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            "check this machine's interfaces and routes"
        }
        io::ErrorKind::InvalidInput | io::ErrorKind::AddrNotAvailable => {
            "check --source and --interface, and for blackhole routes: ip route get ADDRESS"
        }
        _ => "check this machine's network, and --size",
    }
}

/// Input quoted for a terminal or a log: printable ASCII, the rest escaped, cut at 60 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quoted(String);

impl Quoted {
    /// How many bytes are quoted at most.
    pub const MAX: usize = 60;
}

impl From<&[u8]> for Quoted {
    fn from(bytes: &[u8]) -> Self {
        let kept = &bytes[..bytes.len().min(Self::MAX)];
        let dots = if kept.len() < bytes.len() { "..." } else { "" };
        Quoted(format!("\"{}\"{dots}", kept.escape_ascii()))
    }
}

impl Display for Quoted {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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
