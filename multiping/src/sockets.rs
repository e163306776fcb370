//! Where the sockets come from: opened when they are needed, opened early, or brought by the
//! caller.

use std::fmt::{self, Debug, Formatter};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use socket2::{Domain, Protocol, Socket, Type};

use crate::address::{Address, Family, PerFamily};
use crate::error::Error;
use crate::net::{self, Link};
use crate::plan::{IcmpErrors, PacketOptions};

/// The default size of a receive buffer, in bytes: some 5,000 small replies.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Which kind of ICMP socket.
///
/// ```
/// use multiping::{Families, Kind, Sockets};
///
/// match Sockets::open(Kind::Raw, Families::Any) {
///     Ok(_) => println!("there is CAP_NET_RAW"),
///     Err(error) => println!("{error}"),
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Raw where the rights allow it, else datagram.
    #[default]
    Any,
    /// Raw: needs CAP_NET_RAW.
    Raw,
    /// Datagram: allowed to the groups in `net.ipv4.ping_group_range`, for both families. The
    /// kernel chooses the Identifier of the probes.
    Datagram,
}

/// Which families of addresses.
///
/// ```
/// use multiping::{Error, Families, Kind, Sockets};
///
/// match Sockets::open(Kind::Any, Families::V6) {
///     Ok(_) => println!("IPv6 can be pinged"),
///     Err(Error::NoFamily(_)) => println!("the kernel has no IPv6"),
///     Err(error) => println!("{error}"),
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Families {
    /// Those that this machine has.
    #[default]
    Any,
    /// IPv4.
    V4,
    /// IPv6.
    V6,
    /// Both, or it is an error.
    Both,
}

/// Where the sockets come from, and what is asked of them.
///
/// One socket serves all targets of a family. It is close-on-exec, and receives only Echo Replies
/// with the Identifier of its own probes: a packet filter in the kernel drops the rest.
///
/// Sockets that were opened early or brought serve one run at a time, and stay open between runs. A
/// clone stands for the same sockets.
///
/// ```
/// use multiping::{Config, Families, Kind, Sockets};
///
/// // A program that gives up its rights opens the sockets before it does so.
/// let sockets = match Sockets::open(Kind::Any, Families::V4) {
///     Ok(sockets) => sockets,
///     Err(error) => return println!("skipped: {error}"), // no right to ping
/// };
/// let config = Config::new().sockets(sockets.buffer(1 << 20));
/// ```
#[derive(Clone)]
pub struct Sockets {
    kept: Option<Arc<Kept>>,
    kind: Kind,
    sources: PerFamily<Option<Address>>,
    interface: Option<String>,
    mark: Option<u32>,
    buffer: usize,
}

/// Sockets that are open between runs.
struct Kept {
    sockets: PerFamily<Option<Socket>>,
    in_use: AtomicBool,
}

impl Default for Sockets {
    fn default() -> Self {
        Sockets::on_demand()
    }
}

impl Debug for Sockets {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sockets")
            .field("kept", &self.kept.is_some())
            .field("kind", &self.kind)
            .field("interface", &self.interface)
            .finish_non_exhaustive()
    }
}

impl Sockets {
    /// Opened with the first target of a family and closed with the last: raw where the rights
    /// allow it, else datagram. This is the default.
    pub fn on_demand() -> Self {
        Sockets {
            kept: None,
            kind: Kind::Any,
            sources: PerFamily::default(),
            interface: None,
            mark: None,
            buffer: RECEIVE_BUFFER,
        }
    }

    /// Opened now and kept: for programs that give up their rights afterwards.
    ///
    /// # Errors
    ///
    /// [`Error::Permission`] if the rights do not allow this kind, [`Error::NoFamily`] if this
    /// machine lacks the family; with [`Families::Any`] one family is enough. [`Error::NoSocket`]
    /// for any other reason.
    pub fn open(kind: Kind, families: Families) -> Result<Self, Error> {
        let mut sockets = PerFamily::default();
        let mut refusal = None;
        for family in Family::BOTH {
            let wanted = match families {
                Families::V4 => family == Family::V4,
                Families::V6 => family == Family::V6,
                Families::Any | Families::Both => true,
            };
            match wanted.then(|| open(family, kind, RECEIVE_BUFFER)).transpose() {
                Ok(socket) => {
                    socket.iter().for_each(|socket| net::ignore_all(socket, family));
                    sockets[family] = socket;
                }
                Err(error @ (Error::NoFamily(_) | Error::Permission(_))) if families == Families::Any => {
                    refusal.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        match refusal {
            Some(error) if sockets.v4.is_none() && sockets.v6.is_none() => Err(error),
            _ => Ok(Sockets { kind, ..Self::keep(sockets) }),
        }
    }

    /// Brought by the caller, as from a service manager or a privileged parent: at most one ICMP
    /// socket for each family, raw or datagram. The kernel is asked whether they are that.
    ///
    /// # Errors
    ///
    /// [`Error::NotIcmp`] if there is none, if one is something else, or if there are two of a
    /// family.
    ///
    /// ```
    /// use multiping::{Error, Sockets};
    ///
    /// let udp = std::net::UdpSocket::bind("127.0.0.1:0")?;
    /// assert!(matches!(Sockets::from_fds([udp.into()]), Err(Error::NotIcmp)));
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn from_fds(fds: impl IntoIterator<Item = OwnedFd>) -> Result<Self, Error> {
        let mut sockets: PerFamily<Option<Socket>> = PerFamily::default();
        for fd in fds {
            let socket = Socket::from(fd);
            let family = icmp_family(&socket).ok_or(Error::NotIcmp)?;
            if sockets[family].replace(socket).is_some() {
                return Err(Error::NotIcmp);
            }
        }
        match sockets {
            PerFamily { v4: None, v6: None } => Err(Error::NotIcmp),
            sockets => Ok(Self::keep(sockets)),
        }
    }

    fn keep(sockets: PerFamily<Option<Socket>>) -> Self {
        let kept = Kept { sockets, in_use: AtomicBool::new(false) };
        Sockets { kept: Some(Arc::new(kept)), ..Self::on_demand() }
    }

    /// The address to send from, one for each family. Default: the kernel's choice.
    ///
    /// ```
    /// use multiping::{Config, Sockets};
    ///
    /// let config = Config::new().sockets(Sockets::on_demand().source([127, 0, 0, 1]).interface("lo"));
    /// ```
    pub fn source(mut self, address: impl Into<Address>) -> Self {
        let address = address.into();
        self.sources[address.family()] = Some(address);
        self
    }

    /// The only interface to send and receive on, by name. Default: any.
    pub fn interface(self, name: &str) -> Self {
        Sockets { interface: Some(name.to_owned()), ..self }
    }

    /// The firewall mark of the probes (SO_MARK). Default: none. Setting it needs CAP_NET_ADMIN
    /// when the run begins; sockets that are brought may have it already.
    pub fn mark(self, mark: u32) -> Self {
        Sockets { mark: Some(mark), ..self }
    }

    /// The size of each receive buffer, in bytes. Default: 4 MiB. Above the system's limit
    /// (`net.core.rmem_max`) it needs CAP_NET_ADMIN; without it the limit holds. A small reply
    /// takes about 800 bytes.
    pub fn buffer(self, bytes: usize) -> Self {
        Sockets { buffer: bytes, ..self }
    }

    /// A link without sockets, and what opens them.
    pub(crate) fn link(&self, options: &PacketOptions, icmp_errors: IcmpErrors) -> Result<(Link, Opener), Error> {
        if let Some(kept) = &self.kept {
            if kept.in_use.swap(true, Ordering::Acquire) {
                return Err(Error::InUse);
            }
        }
        let config = net::Config {
            families: PerFamily { v4: true, v6: true },
            sources: self.sources,
            interface: self.interface.clone(),
            outgoing_interface: None,
            mark: self.mark,
            receive_buffer: self.buffer,
            broadcast: false,
            icmp_errors,
            prefers_datagram: false,
        };
        Ok((Link::closed(config, options), Opener { sockets: self.clone(), options: options.clone() }))
    }
}

/// Opens sockets for a run. Where they are kept, the run has them to itself while this is there.
pub(crate) struct Opener {
    sockets: Sockets,
    options: PacketOptions,
}

impl Opener {
    /// Opens the socket of `family`; `ident` is the Identifier of its probes if it is a raw one.
    pub(crate) fn open(&self, link: &mut Link, family: Family, ident: u16) -> Result<(), Error> {
        let Sockets { kept, kind, mark, buffer, .. } = &self.sockets;
        let socket = match kept {
            None => open(family, *kind, *buffer)?,
            Some(kept) => match &kept.sockets[family] {
                Some(socket) => {
                    socket.try_clone().map_err(|source| Error::System { what: "duplicating a socket", source })?
                }
                None => {
                    let missing = "there is no socket for this family";
                    return Err(Error::NoFamily(std::io::Error::new(std::io::ErrorKind::Unsupported, missing)));
                }
            },
        };
        link.adopt(family, socket, ident, &self.options, *mark)
    }
}

impl Drop for Opener {
    fn drop(&mut self) {
        if let Some(kept) = &self.sockets.kept {
            for (family, socket) in kept.sockets.as_ref() {
                socket.iter().for_each(|socket| net::ignore_all(socket, family));
            }
            kept.in_use.store(false, Ordering::Release);
        }
    }
}

fn open(family: Family, kind: Kind, buffer: usize) -> Result<Socket, Error> {
    net::open_any(family, kind != Kind::Datagram, kind != Kind::Raw, buffer)
}

/// The family of an ICMP socket; `None`: it is something else.
fn icmp_family(socket: &Socket) -> Option<Family> {
    let is_ping = matches!(socket.r#type().ok()?, Type::RAW | Type::DGRAM);
    match (socket.domain().ok()?, socket.protocol().ok()??) {
        (Domain::IPV4, Protocol::ICMPV4) if is_ping => Some(Family::V4),
        (Domain::IPV6, Protocol::ICMPV6) if is_ping => Some(Family::V6),
        _ => None,
    }
}
