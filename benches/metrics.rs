//! What metrics and tracing cost on the way of a job: how much of the speed without them is left.
//!
//! Runs itself twice, once with metrics and a subscriber at `info`, as shipped, and once with neither; lets both work in
//! turns, first from submission to completion without HTTP and then with it, and prints the ratios of CPU time, which is
//! the steadier figure on a busy machine, and of time. Ends with 1 when a ratio of CPU time is below its bound.
//!
//! ```sh
//! cargo bench --bench metrics
//! ```

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use backroom::config::Config;
use backroom::job::NewJob;
use backroom::server::{Backroom, Server};
use backroom::telemetry;

const ROUNDS: usize = 41;
/// Jobs of one round, and how many are under way at the same time.
const JOBS: usize = 4_000;
const AT_ONCE: usize = 32;
const BOUND: f64 = 0.95;
const BODY: &str = r#"{"kind":"noop","payload":{"to":"ada@example.com","name":"Ada"}}"#;

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("work-on") => work(true),
        Some("work-off") => work(false),
        _ => compare(),
    }
}

/// Answers each line of its input (`jobs` or `http`) with the time and the CPU time that a round took, in microseconds.
fn work(measured: bool) {
    let mut config = Config::default();
    config.metrics.enabled = measured;
    config.server.bind.set_port(0);
    config.shutdown.spill_file = None;
    config.retention.max_finished = 1_000;
    let _telemetry = measured.then(|| telemetry::init(&config.log).expect("a subscriber"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let server = runtime.block_on(Server::start(Backroom::builder(config))).expect("starts");
    for line in std::io::stdin().lines() {
        let (began, cpu) = (now(), cpu_nanos());
        match line.expect("a line").as_str() {
            "http" => over_http(&server),
            _ => runtime.block_on(without_http(&server)),
        }
        let nanos = cpu_nanos() - cpu;
        println!("{} {}", began.elapsed().as_micros(), nanos / 1_000);
    }
}

async fn without_http(server: &Server) {
    let rounds = (0..AT_ONCE).map(|_| {
        let jobs = server.backroom().jobs().clone();
        tokio::spawn(async move {
            for _ in 0..JOBS / AT_ONCE {
                let new = NewJob::new("noop", &serde_json::json!({"name": "Ada"})).expect("a job");
                let job = jobs.submit(new).await.expect("accepted");
                let job = jobs.wait(job.id(), Duration::from_mins(1), std::future::pending()).await;
                assert!(job.expect("the store").is_some_and(|job| job.state.is_terminal()));
            }
        })
    });
    for round in rounds.collect::<Vec<_>>() {
        round.await.expect("a round");
    }
}

/// Requests one after the other on a few connections: as many as there are threads that answer.
fn over_http(server: &Server) {
    let request = format!(
        "POST /api/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut stream = TcpStream::connect(server.address()).expect("connects");
                stream.set_nodelay(true).expect("a socket");
                let mut answer = [0; 4_096];
                for _ in 0..JOBS / 4 {
                    stream.write_all(request.as_bytes()).expect("sent");
                    // An answer is written whole, and is smaller than this.
                    let count = stream.read(&mut answer).expect("answered");
                    assert!(answer[..count].starts_with(b"HTTP/1.1 202"), "{:?}", &answer[..count]);
                }
            });
        }
    });
}

#[expect(clippy::disallowed_methods, reason = "this measures real time")]
fn now() -> Instant {
    Instant::now()
}

/// What all threads of this process have worked so far.
fn cpu_nanos() -> u64 {
    let threads = std::fs::read_dir("/proc/self/task").expect("/proc").flatten();
    let of = |thread: std::fs::DirEntry| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    };
    threads.filter_map(of).sum()
}

struct Worker {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    fn start(mode: &str) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .arg(mode)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a worker");
        let (orders, answers) = (child.stdin.take(), child.stdout.take());
        let answers = BufReader::new(answers.expect("its output"));
        Self { child, orders: orders.expect("its input"), answers }
    }

    fn round(&mut self, of: &str) -> [f64; 2] {
        writeln!(self.orders, "{of}").expect("it lives");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("it lives");
        let mut numbers = line.split_whitespace().map(|number| number.parse().expect("a number"));
        std::array::from_fn(|_| numbers.next().expect("two numbers"))
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn compare() {
    let (mut on, mut off) = (Worker::start("work-on"), Worker::start("work-off"));
    let mut worst = f64::INFINITY;
    for of in ["jobs", "http"] {
        for worker in [&mut on, &mut off] {
            worker.round(of);
        }
        let (mut time, mut cpu, mut micros) = (Vec::new(), Vec::new(), [Vec::new(), Vec::new()]);
        for round in 0..ROUNDS {
            // Who goes first changes, so that what happens beside it meets both alike.
            let (with, without) = if round % 2 == 0 {
                let with = on.round(of);
                (with, off.round(of))
            } else {
                let without = off.round(of);
                (on.round(of), without)
            };
            time.push(without[0] / with[0]);
            cpu.push(without[1] / with[1]);
            micros[0].push(with[1]);
            micros[1].push(without[1]);
        }
        let jobs = if of == "http" { JOBS / 2 } else { JOBS } as f64;
        let [with, without] = micros.map(|micros| median(micros) / jobs);
        let (time, cpu) = (median(time), median(cpu));
        println!(
            "{of:<5} CPU µs a job: {with:.2} on, {without:.2} off; ratio off/on: CPU {cpu:.3}, time {time:.3}"
        );
        worst = worst.min(cpu);
    }
    for worker in [on, off] {
        drop(worker.orders);
        let mut child = worker.child;
        let _ = child.kill();
        let _ = child.wait();
    }
    println!("worst ratio of CPU time {worst:.3} (at least {BOUND})");
    std::process::exit(i32::from(worst < BOUND));
}
