//! From the enqueueing of a job to the first line of its handler, when nothing else happens.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpServer};
use backroom::handler::Payload as _;
use backroom::job::NewJob;
use backroom::server::Server;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::support::inside::{self, Tick};
use crate::support::report::{Report, Samples, Series};
use crate::support::{Size, bare, now};

/// Between two samples, so that every thread has gone to sleep.
const REST: Duration = Duration::from_millis(2);

/// What the rounds found, in microseconds.
#[derive(Default)]
struct Found {
    p50: Series,
    p99: Series,
}

impl Found {
    /// Takes the samples of one round.
    fn round(&mut self, samples: usize, mut sample: impl FnMut() -> Duration) {
        let samples = (0..samples).map(|_| {
            std::thread::sleep(REST);
            sample().as_secs_f64() * 1e6
        });
        let samples = Samples::new(samples.collect());
        self.p50.push(samples.percentile(50.0));
        self.p99.push(samples.percentile(99.0));
    }
}

pub(crate) fn run(size: Size) {
    let mut report = Report::new(
        "latency",
        size == Size::Quick,
        "An idle server gets one job. Baseline in process: one hop through a channel to a task that sleeps. Baseline over \
         HTTP: the same hop, behind a bare actix-web handler.",
    );
    let (rounds, samples) = (size.pick(7, 2), size.pick(500, 20));
    let runtime = inside::runtime();

    let (hop, hopped) = hop(&runtime);
    let (started, starts) = channel();
    let config = inside::config();
    let server = runtime.block_on(Server::start(inside::builder(config, Some(started)))).expect("starts");
    let jobs = server.backroom().jobs().clone();
    let (mut ours, mut raw) = (Found::default(), Found::default());
    for _ in 0..rounds {
        raw.round(samples, || {
            let began = now();
            runtime.block_on(hop.send(())).expect("somebody receives");
            since(began, &hopped)
        });
        ours.round(samples, || {
            let new = NewJob::new(Tick::KIND, &Tick::new()).expect("a job");
            let began = now();
            runtime.block_on(jobs.submit(new)).expect("accepted");
            since(began, &starts)
        });
    }
    report.row("in process, p50", "us", ours.p50, raw.p50);
    report.row("in process, p99", "us", ours.p99, raw.p99).at_most(20.0).ratio_at_most(4.0);

    let (mut ours, mut raw) = (Found::default(), Found::default());
    let (mut to_ours, mut to_bare) = (Client::new(server.address()), Client::new(serve_bare(hop)));
    for _ in 0..rounds {
        raw.round(samples, || to_bare.post(&hopped));
        ours.round(samples, || to_ours.post(&starts));
    }
    report.row("over HTTP, p50", "us", ours.p50, raw.p50);
    report.row("over HTTP, p99", "us", ours.p99, raw.p99);
    report.finish();
    drop((to_ours, to_bare));
    runtime.block_on(server.stop(&CancellationToken::new()));
}

/// How long after `began` the handler did.
fn since(began: Instant, starts: &Receiver<Instant>) -> Duration {
    starts.recv().expect("it starts").duration_since(began)
}

/// A channel to a task that tells when it received something.
fn hop(runtime: &Runtime) -> (mpsc::Sender<()>, Receiver<Instant>) {
    let (sender, mut receiver) = mpsc::channel(1_000);
    let (told, tells) = channel();
    runtime.spawn(async move {
        while receiver.recv().await.is_some() {
            if told.send(now()).is_err() {
                return;
            }
        }
    });
    (sender, tells)
}

/// A bare server on threads of its own that sends each request through the channel. It ends with this program.
fn serve_bare(hop: mpsc::Sender<()>) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let hop = Data::new(hop);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let app = move || App::new().app_data(hop.clone()).route("/api/jobs", web::post().to(accept));
        runtime.block_on(async {
            HttpServer::new(app).disable_signals().listen(listener).expect("listens").run().await
        })
    });
    address
}

async fn accept(body: Bytes, hop: Data<mpsc::Sender<()>>) -> actix_web::HttpResponse {
    let answer = bare::accept(body).await;
    hop.send(()).await.expect("somebody receives");
    answer
}

/// A connection that is kept.
struct Client {
    stream: TcpStream,
    request: Vec<u8>,
}

impl Client {
    fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_nodelay(true).expect("a socket");
        let body = r#"{"kind":"tick","payload":{"to":"ada@example.com","name":"Ada"}}"#;
        let request = format!(
            "POST /api/jobs HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        Self { stream, request: request.into_bytes() }
    }

    /// How long after the request was sent its handler began.
    fn post(&mut self, starts: &Receiver<Instant>) -> Duration {
        let began = now();
        self.stream.write_all(&self.request).expect("it takes the request");
        let took = since(began, starts);
        let mut answer = Vec::new();
        let mut buffer = [0; 4_096];
        while !is_whole(&answer) {
            let read = self.stream.read(&mut buffer).expect("it answers");
            assert!(read > 0, "it closes");
            answer.extend_from_slice(&buffer[..read]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 202"), "{}", String::from_utf8_lossy(&answer));
        took
    }
}

/// Whether an answer with a `Content-Length` is there to its end.
fn is_whole(answer: &[u8]) -> bool {
    let Some(head) = answer.windows(4).position(|end| end == b"\r\n\r\n") else { return false };
    let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:")).expect("a length");
    answer.len() >= head + 4 + length.trim().parse::<usize>().expect("a number")
}
