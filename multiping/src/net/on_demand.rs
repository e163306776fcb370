//! Sockets that are opened with the first target of a family and closed with the last.

use std::io;

use nix::errno::Errno;
use socket2::{Socket, Type};

use crate::address::{Family, PerFamily};
use crate::error::{Error, SocketOption};
use crate::net::route::Routes;
use crate::net::socket::{FamilySocket, errno_of, receive_slots};
use crate::net::sockets::{Config, open_icmp};
use crate::net::timestamp::ClockPair;
use crate::net::{Link, filter};
use crate::plan::PacketOptions;
use crate::prober::MAX_BATCH;
use crate::wire::HEADER;

impl Link {
    /// A link without sockets. `config.families` means nothing here.
    pub(crate) fn closed(config: Config, options: &PacketOptions) -> Self {
        Link {
            config,
            sockets: PerFamily::from_fn(|_| Err(Errno::EAFNOSUPPORT)),
            last_sent: None,
            last_v6: None,
            routes: Routes::default(),
            discards: None,
            kind: options.kind(),
            packets: vec![vec![0; HEADER + options.data_len()]; MAX_BATCH],
            receive_slots: receive_slots(options.size()),
            data: options.data(),
        }
    }

    /// Whether the socket of `family` is open.
    pub(crate) fn is_open(&self, family: Family) -> bool {
        self.sockets[family].is_ok()
    }

    /// Prepares a socket for `family` and receives replies from now on. `ident` is the Identifier
    /// of its probes if it is a raw one.
    pub(crate) fn adopt(
        &mut self,
        family: Family,
        socket: Socket,
        ident: u16,
        options: &PacketOptions,
        mark: Option<u32>,
    ) -> Result<(), Error> {
        let failed = |option| move |source| Error::Option { option, source };
        // Setting it takes privilege, reading it does not as a rule.
        if let Some(mark) = mark.filter(|&mark| !socket.mark().is_ok_and(|set| set == mark)) {
            socket.set_mark(mark).map_err(failed(SocketOption::Mark))?;
        }
        let is_datagram = socket.r#type().is_ok_and(|socket_type| socket_type == Type::DGRAM);
        if is_datagram && options.needs_raw() {
            return Err(Error::Permission(Errno::EPERM.into()));
        }
        let mut socket = match is_datagram {
            true => FamilySocket::datagram(socket, family, &self.config)?,
            false => {
                if let Some(address) = self.config.sources[family] {
                    super::sockets::bind(&socket, address).map_err(|source| Error::Source { address, source })?;
                }
                FamilySocket::raw(socket, family, ident, &self.config)
            }
        };
        socket.configure(&self.config, options)?;
        socket.receive_ttl();
        socket.receive_destination();
        // What is there already answers no probe of ours.
        socket.receive(ClockPair::read(), &mut self.receive_slots, &mut |_| {});
        socket.listen()?;
        let first = !self.sockets.as_ref().into_iter().any(|(_, socket)| socket.is_ok());
        self.sockets[family] = Ok(socket);
        match (first, family) {
            (true, _) => self.look_for_routes(),
            (false, Family::V6) => self.open_discards(),
            (false, Family::V4) => {}
        }
        Ok(())
    }

    /// Closes the socket of `family`, and with the last one what asks for routes.
    pub(crate) fn close(&mut self, family: Family) {
        self.sockets[family] = Err(Errno::EAFNOSUPPORT);
        if family == Family::V6 {
            self.discards = None;
        }
        if self.sockets.as_ref().into_iter().all(|(_, socket)| socket.is_err()) {
            self.routes = Routes::default();
        }
    }
}

/// Has a raw socket receive nothing while it is not used. (A datagram socket receives only replies
/// to its own requests.)
pub(crate) fn ignore_all(socket: &Socket, family: Family) {
    // Where it is refused, the next run reads past what is there.
    let _ = filter::drop_all(socket, family);
}

/// A socket for ICMP of `family`: raw where the rights allow it, else a datagram socket, if both
/// are `allowed`.
pub(crate) fn open_any(family: Family, raw: bool, datagram: bool, receive_buffer: usize) -> Result<Socket, Error> {
    let opened = match raw {
        true => open_icmp(family, Type::RAW),
        false => Err(io::Error::from(Errno::EPERM)),
    };
    let opened = opened.or_else(|refusal| match datagram {
        true if raw => open_icmp(family, Type::DGRAM).map_err(|_| refusal),
        true => open_icmp(family, Type::DGRAM),
        false => Err(refusal),
    });
    match opened {
        Ok(socket) => {
            // Forcing needs NET_ADMIN; without it the system's limit holds.
            let _ = nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::RcvBufForce, &receive_buffer);
            Ok(socket)
        }
        Err(source) => Err(match errno_of(&source) {
            Errno::EPERM | Errno::EACCES => Error::Permission(source),
            Errno::EAFNOSUPPORT | Errno::EPROTONOSUPPORT => Error::NoFamily(source),
            _ => Error::NoSocket(source),
        }),
    }
}
