//! A small receiver of webhooks, to develop with.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::{Method, StatusCode, header};
use actix_web::web::{Bytes, BytesMut, Data, Payload};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use anyhow::Context as _;
use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::http::listener;
use crate::job::Timestamp;
use crate::sign::{Presented, Unverified, Verifier};

/// How much a webhook may have, in bytes. Ours have less than 20 kB, with a result inline.
const LARGEST_WEBHOOK: usize = 1 << 20;

/// How long a request may take to arrive.
const ARRIVING: Duration = Duration::from_secs(10);

/// How many deliveries may wait to be taken; the next ones wait to be answered.
const WAITING: usize = 16;

/// How long open connections may take to end.
const CLOSING: u64 = 2;

/// Listens for webhooks, verifies them and hands them over.
pub struct Receiver {
    address: SocketAddr,
    deliveries: mpsc::Receiver<Delivery>,
    handle: actix_web::dev::ServerHandle,
    serving: JoinHandle<std::io::Result<()>>,
}

/// A request that came in.
#[derive(Debug)]
pub struct Delivery {
    /// When it came.
    pub at: Timestamp,
    /// Its path, with the query.
    pub path: String,
    /// `webhook-id`.
    pub id: Option<String>,
    /// `webhook-timestamp`.
    pub timestamp: Option<String>,
    /// Its body.
    pub body: Bytes,
    /// Whether it can be believed, and why not.
    pub verdict: Result<(), Unverified>,
    /// The status that it is answered with.
    pub status: u16,
}

struct Shared {
    verifier: Verifier,
    status: StatusCode,
    clock: Clock,
    sender: mpsc::Sender<Delivery>,
}

impl Receiver {
    /// Listens, and answers what is verified with `status`, everything else with 401.
    ///
    /// # Errors
    ///
    /// When the status is none, or the address cannot be listened on.
    pub fn start(bind: SocketAddr, verifier: Verifier, status: u16) -> anyhow::Result<Self> {
        let status = StatusCode::from_u16(status).context("the status")?;
        let cannot = || format!("cannot listen on {bind}");
        let listener = listener(bind).with_context(cannot)?;
        let address = listener.local_addr().with_context(cannot)?;
        let (sender, deliveries) = mpsc::channel(WAITING);
        let shared = Data::from(Arc::new(Shared { verifier, status, clock: Clock::system(), sender }));
        let server =
            HttpServer::new(move || App::new().app_data(shared.clone()).default_service(web::to(receive)))
                .workers(1)
                .max_connections(100)
                .client_request_timeout(ARRIVING)
                .shutdown_timeout(CLOSING)
                .disable_signals()
                .listen(listener)
                .with_context(cannot)?
                .run();
        let handle = server.handle();
        Ok(Self { address, deliveries, handle, serving: tokio::spawn(server) })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next delivery.
    ///
    /// # Cancel safety
    ///
    /// Safe: what has not been given back is given back the next time.
    pub async fn next(&mut self) -> Option<Delivery> {
        self.deliveries.recv().await
    }

    /// Answers what is under way, and ends.
    pub async fn stop(self) {
        // Who waits to hand over is let go.
        drop(self.deliveries);
        let closing = async {
            self.handle.stop(true).await;
            self.serving.await
        };
        // Connections that do not end are cut with the process.
        let _ = tokio::time::timeout(Duration::from_secs(CLOSING + 1), closing).await;
    }
}

async fn receive(request: HttpRequest, payload: Payload, shared: Data<Shared>) -> HttpResponse {
    if *request.method() != Method::POST {
        return HttpResponse::MethodNotAllowed()
            .insert_header((header::ALLOW, "POST"))
            .body("send a webhook: POST\n");
    }
    let body = match tokio::time::timeout(ARRIVING, read(payload)).await {
        Ok(Ok(body)) => body,
        Ok(Err(status)) => return HttpResponse::build(status).force_close().finish(),
        Err(_) => return HttpResponse::RequestTimeout().force_close().finish(),
    };
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let presented = Presented {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
    };
    let at = shared.clock.now();
    let verdict = shared.verifier.verify(presented, &body, at.as_millis() / 1_000);
    let status = if verdict.is_ok() { shared.status } else { StatusCode::UNAUTHORIZED };
    let delivery = Delivery {
        at,
        path: request.uri().to_string(),
        id: presented.id.map(str::to_owned),
        timestamp: presented.timestamp.map(str::to_owned),
        body,
        verdict,
        status: status.as_u16(),
    };
    // Answered when it has been handed over, so that what was answered with a success was seen.
    match shared.sender.send(delivery).await {
        Ok(()) => HttpResponse::build(status).finish(),
        Err(_) => HttpResponse::ServiceUnavailable().finish(),
    }
}

async fn read(mut payload: Payload) -> Result<Bytes, StatusCode> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| StatusCode::BAD_REQUEST)?;
        if body.len() + chunk.len() > LARGEST_WEBHOOK {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}
