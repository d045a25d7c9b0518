//! What those cost who watch by server-sent events.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::support::http::Http;
use crate::support::inside::runtime;
use crate::support::process::Served;
use crate::support::report::{Report, Series};
use crate::support::wrk::Script;
use crate::support::{Size, now};

const KIB: f64 = 1_024.0;
const NOOP: &str = r#"{"kind":"noop","payload":{"to":"ada@example.com","name":"Ada"}}"#;
const LATER: &str = r#"{"kind":"noop","payload":{},"delay":"1h"}"#;

pub(crate) fn run(size: Size) {
    let mut report = Report::new(
        "watchers",
        size == Size::Quick,
        "Streams of server-sent events. Baseline of memory and fan-out: bare actix-web with a stream that waits on a \
         broadcast. Baseline of submitting, of the stop, and of memory under load: Backroom without those watchers.",
    );
    let runtime = runtime();
    idle(size, &runtime, &mut report);
    fan_out(size, &runtime, &mut report);
    submit(size, &runtime, &mut report);
    never_read(size, &runtime, &mut report);
    drain(size, &runtime, &mut report);
    report.finish();
}

/// Opens a stream, and waits for its first words.
async fn attach(address: &str, path: &str) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n").as_bytes()).await?;
    let mut head = Vec::new();
    while !contains(&head, b"retry: 3000") {
        if stream.read_buf(&mut head).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    assert!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head));
    Ok(stream)
}

/// Opens so many streams, fifty at a time.
async fn attach_many(address: &str, path: &str, count: usize) -> Vec<TcpStream> {
    let mut streams = Vec::with_capacity(count);
    while streams.len() < count {
        let some = (count - streams.len()).min(50);
        let opened = futures_util::future::join_all((0..some).map(|_| attach(address, path))).await;
        streams.extend(opened.into_iter().map(|stream| stream.expect("a stream")));
    }
    streams
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|part| part == word)
}

fn idle(size: Size, runtime: &Runtime, report: &mut Report) {
    let watchers = size.pick(10_000, 200);
    let each = |server: &Served, path: &str| {
        // What the first connections bring with them is not theirs.
        drop(runtime.block_on(attach_many(server.address(), path, 10)));
        let before = server.resident();
        let streams = runtime.block_on(attach_many(server.address(), path, watchers));
        let bytes = (server.resident() - before) / watchers as f64 / KIB;
        drop(streams);
        bytes
    };
    let bare = each(&Served::bare("127.0.0.1:0"), "/api/events");
    let all = Served::backroom(&[]);
    report.row(
        format!("idle, of {watchers} of all jobs"),
        "KiB/watcher",
        each(&all, "/api/events"),
        Some(bare.into()),
    );
    let one = Served::backroom(&[]);
    let job = Http::new(one.address()).submit(LATER);
    let bytes = each(&one, &format!("/api/jobs/{job}/events"));
    report.row(format!("idle, of {watchers} of one job"), "KiB/watcher", bytes, Some(bare.into()));
}

fn fan_out(size: Size, runtime: &Runtime, report: &mut Report) {
    let watchers = size.pick(1_000, 50);
    let (ours, bare) = (Served::backroom(&[]), Served::bare("127.0.0.1:0"));
    let (to_ours, to_bare) = (Http::new(ours.address()), Http::new(bare.address()));
    // How many milliseconds after `tell` the last one hears of it.
    let told = |server: &Served, path: &str, word: &'static [u8], tell: &dyn Fn()| {
        let mut hearing = JoinSet::new();
        for stream in runtime.block_on(attach_many(server.address(), path, watchers)) {
            hearing.spawn_on(hear(stream, word), runtime.handle());
        }
        let began = now();
        tell();
        let last = runtime.block_on(hearing.join_all()).into_iter().max().expect("watchers");
        last.duration_since(began).as_secs_f64() * 1e3
    };
    let (mut found, mut base) = (Series::default(), Series::default());
    for _ in 0..size.pick(9, 2) {
        base.push(told(&bare, "/api/events", b"event: told", &|| drop(to_bare.delete("/api/events"))));
        let job = format!("/api/jobs/{}", to_ours.submit(LATER));
        let tell = || assert_eq!(to_ours.delete(&job).0, 200, "it is canceled");
        found.push(told(&ours, &format!("{job}/events"), b"event: job.canceled", &tell));
    }
    report.row(format!("the end of a job told to all of its {watchers} watchers"), "ms", found, base);
}

/// Reads to the end of a stream that must have this word in it; says when it came.
async fn hear(mut stream: TcpStream, word: &[u8]) -> Instant {
    let (mut text, mut heard) = (Vec::new(), None);
    while stream.read_buf(&mut text).await.expect("a stream") > 0 {
        if heard.is_none() && contains(&text, word) {
            heard = Some(now());
        }
        if contains(&text, b"\r\n0\r\n\r\n") {
            break;
        }
    }
    heard.unwrap_or_else(|| panic!("not told: {}", String::from_utf8_lossy(&text)))
}

fn submit(size: Size, runtime: &Runtime, report: &mut Report) {
    let watchers = size.pick(1_000, 50);
    let (watched, alone) = (Served::backroom(&[]), Served::backroom(&[]));
    let (http, script) = (Http::new(watched.address()), Script::post(NOOP));
    let (lost, bytes) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    for _ in 0..watchers {
        runtime.spawn(follow(watched.address().to_owned(), Arc::clone(&lost), Arc::clone(&bytes)));
    }
    let seconds = size.pick(5, 1);
    let (mut found, mut base) = (Series::default(), Series::default());
    let (mut losses, mut read) = (Series::default(), Series::default());
    for _ in 0..size.pick(7, 2) {
        base.push(script.run(alone.address(), 64, seconds).requests / f64::from(seconds));
        // Who lost its connection in the round before has come back by now, as an EventSource does.
        std::thread::sleep(Duration::from_millis(3_500));
        let before = (lost.load(Ordering::Relaxed), bytes.load(Ordering::Relaxed));
        found.push(script.run(watched.address(), 64, seconds).requests / f64::from(seconds));
        http.until_idle("default");
        losses.push((lost.load(Ordering::Relaxed) - before.0) as f64);
        read.push((bytes.load(Ordering::Relaxed) - before.1) as f64 / f64::from(seconds) / KIB / KIB);
    }
    let what = format!("submits with {watchers} watchers of all jobs, against none");
    report.row(what, "/s", found, base).ratio_at_least(0.5);
    report.row("what those watchers read together", "MiB/s", read, None);
    report.row("connections that were ended as too slow, in each round", "", losses, None);
}

/// Reads a stream for ever; when it ends, comes again after the three seconds that the server asks for.
async fn follow(address: String, lost: Arc<AtomicU64>, bytes: Arc<AtomicU64>) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        if let Ok(mut stream) = attach(&address, "/api/events").await {
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                bytes.fetch_add(read as u64, Ordering::Relaxed);
            }
            lost.fetch_add(1, Ordering::Relaxed);
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
}

fn never_read(size: Size, runtime: &Runtime, report: &mut Report) {
    let watchers = size.pick(200, 20);
    // Few finished jobs, so that their number is the same after each load.
    let server = Served::backroom(&["retention.max_finished=1000"]);
    let (http, script) = (Http::new(server.address()), Script::post(NOOP));
    let seconds = size.pick(4, 1);
    let load = || {
        script.run(server.address(), 64, seconds);
        http.until_idle("default");
        server.resident() / KIB / KIB
    };
    load();
    let without = load();
    let streams = runtime.block_on(attach_many(server.address(), "/api/events", watchers));
    let first = load();
    let again: Series = (0..size.pick(5, 2)).map(|_| load()).collect();
    let median = Series::from(again.median());
    report.row(
        format!("memory with {watchers} watchers that never read, against none"),
        "MiB",
        first,
        Some(without.into()),
    );
    let what = "the same after more loads, against after the first";
    report.row(what, "MiB", median, Some(first.into())).ratio_at_most(1.1);
    drop(streams);
}

fn drain(size: Size, runtime: &Runtime, report: &mut Report) {
    let watchers = size.pick(1_000, 50);
    let (mut found, mut base) = (Series::default(), Series::default());
    for _ in 0..size.pick(5, 2) {
        for (attached, series) in [(0, &mut base), (watchers, &mut found)] {
            let server = Served::backroom(&[]);
            let job = Http::new(server.address()).submit(LATER);
            let mut reading = JoinSet::new();
            for path in ["/api/events".to_owned(), format!("/api/jobs/{job}/events")] {
                for mut stream in runtime.block_on(attach_many(server.address(), &path, attached / 2)) {
                    let read = async move {
                        let mut text = Vec::new();
                        let _ = stream.read_to_end(&mut text).await;
                        contains(&text, b"retry: 5000")
                    };
                    reading.spawn_on(read, runtime.handle());
                }
            }
            series.push(server.terminate(|| ()).0 * 1e3);
            let told = runtime.block_on(reading.join_all()).into_iter().filter(|told| *told).count();
            assert_eq!(told, attached, "every stream is told when to come again");
        }
    }
    // The grace as shipped.
    report.row(format!("SIGTERM to exit with {watchers} open streams"), "ms", found, base).at_most(25_000.0);
}
