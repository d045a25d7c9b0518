//! What a supervisor is told: `sd_notify(3)`, the protocol of `Type=notify` in systemd.

use std::ffi::OsString;
use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Tells the supervisor that started this process how it stands. Does nothing where nobody asked for that.
pub(super) struct Notify(Option<(UnixDatagram, SocketAddr)>);

impl Notify {
    /// As the environment says: `NOTIFY_SOCKET` is a path, or with `@` an abstract address (Linux).
    pub(super) fn from_environment() -> Self {
        let Some(name) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Self(None);
        };
        match address(&name).and_then(|address| {
            let socket = UnixDatagram::unbound()?;
            // A supervisor that does not read must not hold up a drain.
            socket.set_nonblocking(true)?;
            Ok((socket, address))
        }) {
            Ok(place) => Self(Some(place)),
            Err(error) => {
                tracing::warn!(error = %error, "NOTIFY_SOCKET cannot be used: the supervisor is told nothing");
                Self(None)
            }
        }
    }

    /// It listens.
    pub(super) fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}\n"));
    }

    /// It has begun to stop.
    pub(super) fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=draining\n");
    }

    fn tell(&self, what: &str) {
        if let Self(Some((socket, address))) = self
            && let Err(error) = socket.send_to_addr(what.as_bytes(), address)
        {
            tracing::warn!(error = %error, "the supervisor could not be told");
        }
    }
}

#[cfg(target_os = "linux")]
fn address(name: &OsString) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::ffi::OsStrExt as _;

    match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(name),
    }
}

#[cfg(not(target_os = "linux"))]
fn address(name: &OsString) -> io::Result<SocketAddr> {
    SocketAddr::from_pathname(name)
}
