//! Where the server listens, and the threads that answer.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use actix_web::http::KeepAlive;
use actix_web::web::ServiceConfig;
use actix_web::{App, HttpServer};
use tokio::net::TcpSocket;

/// How long connections may take to end once everything else has.
pub(crate) const CLOSING: Duration = Duration::from_secs(2);

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 2_048;

/// A socket that listens, with room for a burst of connections that are not accepted yet.
pub(crate) fn listener(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// How HTTP is served.
pub(crate) struct Threads {
    /// How many threads; 0 for one for each core.
    pub(crate) number: usize,
    /// How long an idle connection is kept; zero closes it after each answer.
    pub(crate) keep_alive: Duration,
    /// How long a client may take to send the head of its request.
    pub(crate) header_timeout: Duration,
}

/// The HTTP threads. They do not answer before the server is awaited.
pub(crate) fn http_server(
    routes: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
    listener: TcpListener,
    threads: &Threads,
) -> std::io::Result<actix_web::dev::Server> {
    let workers = match threads.number {
        0 => std::thread::available_parallelism().map_or(2, usize::from),
        number => number,
    };
    let keep_alive = match threads.keep_alive {
        Duration::ZERO => KeepAlive::Disabled,
        keep_alive => KeepAlive::Timeout(keep_alive),
    };
    let server = HttpServer::new(move || App::new().configure(routes.clone()))
        .workers(workers)
        .keep_alive(keep_alive)
        .client_request_timeout(threads.header_timeout)
        .shutdown_timeout(CLOSING.as_secs())
        .disable_signals()
        .listen(listener)?;
    Ok(server.run())
}

/// Writes the address that the server listens on, whole or not at all.
pub(crate) fn write_address(path: &Path, address: SocketAddr) -> std::io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    std::fs::write(&temporary, format!("{address}\n"))?;
    std::fs::rename(&temporary, path)
}
