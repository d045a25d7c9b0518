//! Where the server listens, and the threads that answer.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_http::{HttpService, KeepAlive};
use actix_service::{IntoServiceFactory as _, ServiceFactoryExt as _, fn_service, map_config};
use actix_web::App;
use actix_web::dev::AppConfig;
use actix_web::web::ServiceConfig;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::connection::{Connection, LINGERING, Patience};
use super::tls::Tls;

/// How long connections may take to end once everything else has.
pub(crate) const CLOSING: Duration = Duration::from_secs(2);

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 2_048;

/// A socket that listens, with room for a burst of connections that are not accepted yet.
pub(crate) fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// How HTTP is served.
pub(crate) struct Threads {
    /// How many threads; 0 for one for each core.
    pub(crate) number: usize,
    /// How many connections are served at the same time, over all threads. More wait to be accepted.
    pub(crate) max_connections: usize,
    /// How long an idle connection is kept; zero closes it after each answer.
    pub(crate) keep_alive: Duration,
    /// How long a client may take for the handshake of TLS, and then for the head of each request.
    pub(crate) header_timeout: Duration,
    /// How long a client may take none of its answer.
    pub(crate) write_timeout: Duration,
    /// With it every connection is HTTPS.
    pub(crate) tls: Option<Arc<Tls>>,
}

/// The HTTP threads. They do not answer before the server is awaited.
///
/// It does by itself what `actix_web::HttpServer` does, because that takes neither connections with deadlines of their
/// own nor a certificate that changes.
pub(crate) fn http_server(
    routes: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
    listener: TcpListener,
    threads: &Threads,
) -> io::Result<actix_web::dev::Server> {
    let cores = match threads.number {
        0 => std::thread::available_parallelism().map_or(2, usize::from),
        number => number,
    };
    // actix bounds each thread by itself, so the sum must not be more than was asked for.
    let workers = cores.min(threads.max_connections).max(1);
    let builder = actix_web::dev::Server::build()
        .workers(workers)
        .max_concurrent_connections(threads.max_connections / workers)
        .shutdown_timeout(CLOSING.as_secs())
        .disable_signals();
    let keep_alive = match threads.keep_alive {
        Duration::ZERO => KeepAlive::Disabled,
        keep_alive => KeepAlive::Timeout(keep_alive),
    };
    let (header_timeout, tls) = (threads.header_timeout, threads.tls.clone());
    let patience = Patience { head: header_timeout, write: threads.write_timeout };
    // Ends connections that rest when the server stops, as `HttpServer` does.
    let stopping = builder.graceful_shutdown_signal();
    let builder = builder.listen("http", listener, move || {
        let app = App::new().configure(routes.clone()).into_factory();
        let stopping = stopping.clone();
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .keep_alive(keep_alive)
            .client_request_timeout(header_timeout)
            .client_disconnect_timeout(LINGERING)
            .on_connect_ext(|connection: &Connection, data| {
                data.insert(connection.traffic());
            })
            .h1(map_config(app, |()| AppConfig::default()).map_err(|error| error.error_response()));
        let tls = tls.clone();
        fn_service(move |stream: TcpStream| open(stream, tls.clone(), patience))
            .and_then(http.map_err(|error| tracing::debug!(error = %error, "connection ended")))
    })?;
    Ok(builder.run())
}

/// Makes a connection of a socket, after the handshake if there is one.
async fn open(
    stream: TcpStream,
    tls: Option<Arc<Tls>>,
    patience: Patience,
) -> Result<(Connection, Option<SocketAddr>), ()> {
    let peer = stream.peer_addr().ok();
    // An answer is written whole; nothing is gained by holding its end back.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else {
        return Ok((Connection::plain(stream, patience), peer));
    };
    let handshake = TlsAcceptor::from(tls.current()).accept(stream);
    match tokio::time::timeout(patience.head, handshake).await {
        Ok(Ok(stream)) => Ok((Connection::tls(stream, patience), peer)),
        Ok(Err(error)) => {
            tracing::debug!(error = %error, "TLS handshake failed");
            Err(())
        }
        Err(_) => {
            tracing::debug!("TLS handshake took too long");
            Err(())
        }
    }
}

/// Writes the address that the server listens on, whole or not at all.
pub(crate) fn write_address(path: &Path, address: SocketAddr) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    std::fs::write(&temporary, format!("{address}\n"))?;
    std::fs::rename(&temporary, path)
}
