//! A server that listens.

use std::net::SocketAddr;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::backroom::Backroom;
use super::builder::{Builder, StartError};
use super::reload::Reload;
use crate::http::{self, CLOSING, Threads, http_server, listener, write_address};
use crate::shutdown::DrainReport;

/// A [`Backroom`] that listens.
pub struct Server {
    backroom: Backroom,
    address: SocketAddr,
    reload: Reload,
    handle: ServerHandle,
    serving: Serving,
}

impl Server {
    /// Starts a [`Backroom`] and listens.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub async fn start(builder: Builder) -> Result<Self, StartError> {
        let settings = builder.config.server.clone();
        let queues = builder.config.queues.clone();
        let listen = |source| StartError::Listen { address: settings.bind, source };
        let listener = listener(settings.bind).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let prepared = builder.prepare()?;
        let threads = Threads {
            number: settings.http_workers,
            keep_alive: settings.keep_alive,
            header_timeout: settings.header_timeout,
            write_timeout: settings.write_timeout,
            max_connections: settings.max_connections,
            tls: prepared.tls.clone(),
        };
        let reload = Reload::new(prepared.tls.clone(), prepared.api.jobs.clone(), queues);
        let http = http_server(http::routes(prepared.api.clone()), listener, &threads).map_err(listen)?;
        if let Some(file) = &settings.address_file {
            write_address(file, address).map_err(|error| {
                anyhow::anyhow!("server.address_file: cannot write {}: {error}", file.display())
            })?;
        }
        // Last of all, when nothing can go wrong any more: what cannot serve must not take up the spill file.
        let backroom = prepared.begin().await?;
        let handle = http.handle();
        Ok(Self { backroom, address, reload, handle, serving: tokio::spawn(http) })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What its URLs begin with: `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.reload.has_tls() { "https" } else { "http" }
    }

    /// Takes over what has changed, without dropping anything: see [`Reload`].
    pub fn reload(&self) -> &Reload {
        &self.reload
    }

    /// What it serves.
    pub fn backroom(&self) -> &Backroom {
        &self.backroom
    }

    /// Stops: drains, closes the connections, and accounts for every job.
    pub async fn stop(self, hurry: &CancellationToken) -> DrainReport {
        let report = self.backroom.drain(hurry).await;
        self.backroom.close();
        let closing = async {
            self.handle.stop(true).await;
            self.serving.await
        };
        if tokio::time::timeout(CLOSING + Duration::from_secs(1), closing).await.is_err() {
            tracing::warn!("connections did not end in time and were cut");
        }
        report
    }
}

type Serving = JoinHandle<std::io::Result<()>>;
