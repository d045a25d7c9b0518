//! How much of the speed of a bare actix-web handler is left when a job is accepted, kept and run.
//!
//! Runs itself twice as a server, once bare and once as Backroom, lets `wrk` load them in turns, and prints the ratios:
//! requests per second, and CPU time of the server for each request, which is the steadier figure on a busy machine.
//!
//! ```sh
//! cargo bench --bench submit
//! ```

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::{App, HttpResponse, HttpServer, web};
use backroom::config::Config;
use backroom::server::{Backroom, Server};
use serde::Deserialize;
use serde_json::value::RawValue;

const ROUNDS: usize = 5;
const SECONDS: u32 = 4;
const CONNECTIONS: u32 = 64;
const BODY: &str = r#"{"kind":"noop","payload":{"to":"ada@example.com","name":"Ada"}}"#;

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("serve-bare") => serve_bare(),
        Some("serve-backroom") => serve_backroom(),
        _ => compare(),
    }
}

#[derive(Deserialize)]
struct Request<'a> {
    kind: &'a str,
    #[serde(borrow)]
    payload: &'a RawValue,
}

/// The baseline: reads the body, parses it in the same way, answers 202 with a body of its own.
async fn accept(body: Bytes) -> HttpResponse {
    match serde_json::from_slice::<Request<'_>>(&body) {
        Ok(request) => HttpResponse::Accepted().insert_header(header::ContentType::json()).body(format!(
            "{{\"kind\":\"{}\",\"bytes\":{}}}",
            request.kind,
            request.payload.get().len()
        )),
        Err(_) => HttpResponse::BadRequest().finish(),
    }
}

fn serve_bare() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        println!("{}", listener.local_addr().expect("an address"));
        let server = HttpServer::new(|| App::new().route("/api/jobs", web::post().to(accept)));
        server.workers(2).listen(listener).expect("listens").run().await.expect("serves");
    });
}

fn serve_backroom() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let mut config = Config::default();
        config.server.bind.set_port(0);
        config.shutdown.spill_file = None;
        let server = Server::start(Backroom::builder(config)).await.expect("starts");
        println!("{}", server.address());
        std::future::pending::<()>().await;
    });
}

struct Peer {
    name: &'static str,
    child: Child,
    address: String,
    per_second: Vec<f64>,
    cpu_micros: Vec<f64>,
    p99_millis: Vec<f64>,
}

impl Peer {
    fn start(name: &'static str) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .arg(format!("serve-{name}"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("a server");
        let mut address = String::new();
        let stdout = child.stdout.take().expect("its output");
        BufReader::new(stdout).read_line(&mut address).expect("its address");
        Self {
            name,
            child,
            address: address.trim().to_owned(),
            per_second: vec![],
            cpu_micros: vec![],
            p99_millis: vec![],
        }
    }

    /// User and system time of the server so far, in seconds.
    fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("/proc");
        let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
        let ticks: f64 = fields[11..13].iter().map(|field| field.parse::<f64>().expect("a number")).sum();
        ticks / 100.0
    }

    fn load(&mut self, script: &std::path::Path) {
        let before = self.cpu();
        let output = Command::new("wrk")
            .args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{SECONDS}s"), "--latency", "-s"])
            .arg(script)
            .arg(format!("http://{}/api/jobs", self.address))
            .output()
            .expect("wrk is installed (apt-get install wrk)");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let number = |label: &str| {
            let line = text
                .lines()
                .find(|line| line.contains(label))
                .unwrap_or_else(|| panic!("no {label} in {text}"));
            line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        let per_second: f64 = number("Requests/sec")[1].parse().expect("a number");
        let requests: f64 = number("requests in")[0].parse().expect("a number");
        assert!(!text.contains("Non-2xx"), "refused requests: {text}");
        let p99 = number("99%")[1].clone();
        let millis = match (p99.strip_suffix("us"), p99.strip_suffix("ms")) {
            (Some(micros), _) => micros.parse::<f64>().expect("a number") / 1000.0,
            (_, Some(millis)) => millis.parse().expect("a number"),
            _ => panic!("{p99}"),
        };
        self.per_second.push(per_second);
        self.cpu_micros.push((self.cpu() - before) / requests * 1e6);
        self.p99_millis.push(millis);
    }
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn compare() {
    let script = std::env::temp_dir().join(format!("backroom-bench-{}.lua", std::process::id()));
    let lua = format!(
        "wrk.method = \"POST\"\nwrk.headers[\"Content-Type\"] = \"application/json\"\nwrk.body = [[{BODY}]]\n"
    );
    std::fs::File::create(&script)
        .and_then(|mut file| file.write_all(lua.as_bytes()))
        .expect("a script for wrk");
    let mut peers = [Peer::start("bare"), Peer::start("backroom")];
    for _ in 0..ROUNDS {
        for peer in &mut peers {
            peer.load(&script);
        }
    }
    println!(
        "{:<10} {:>12} {:>16} {:>10}   medians of {ROUNDS} runs in turns",
        "", "req/s", "CPU µs/request", "p99 ms"
    );
    for peer in &mut peers {
        let (rate, cpu, p99) = (median(&peer.per_second), median(&peer.cpu_micros), median(&peer.p99_millis));
        println!("{:<10} {rate:>12.0} {cpu:>16.2} {p99:>10.2}", peer.name);
        let _ = peer.child.kill();
        let _ = peer.child.wait();
    }
    let [bare, ours] = &peers;
    let ratio = |of: fn(&Peer) -> &Vec<f64>| median(of(ours)) / median(of(bare));
    println!(
        "ratio      {:>12.2} {:>16.2} {:>10.2}",
        ratio(|p| &p.per_second),
        ratio(|p| &p.cpu_micros),
        ratio(|p| &p.p99_millis)
    );
    let _ = std::fs::remove_file(script);
}
