//! Garbage on the socket: whatever arrives, the server answers within its contract and goes on.
//!
//! Thousands of byte strings from a seed, each over a connection of its own: random bytes, and requests that were valid
//! before they were cut, changed, mixed and smuggled with. A failure prints the seed and the bytes. The server is the
//! real program, so a panic is seen in its log.

use fastrand::Rng;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::process::{PATIENCE, Place};

/// Another one to look further: `EDGE_TEST_SEED=2 cargo test --test edge garbage`.
const SEED: u64 = 1;
const CASES: usize = 3_000;
const AT_ONCE: usize = 100;

const METHODS: [&str; 10] =
    ["GET", "POST", "HEAD", "DELETE", "PATCH", "PUT", "OPTIONS", "TRACE", "BREW", "get"];

const PATHS: [&str; 22] = [
    "/api/jobs",
    "/api/jobs/batch",
    "/api/jobs?state=pending&limit=5",
    "/api/jobs?cursor=AAAAAAAAAAAAAAAAAAAAAA",
    "/api/jobs?limit=99999999999999999999&created_after=9999-99-99T99:99:99Z",
    "/api/jobs?q=%ff%fe&tag=%00&state=&state=&kind=%2e%2e",
    "/api/jobs/01a1fa71-0000-7000-8000-000000000000",
    "/api/jobs/ffffffff-ffff-ffff-ffff-ffffffffffff/status",
    "/api/jobs/%30/result",
    "/api/jobs/../../etc/passwd",
    "/api/jobs/{id}/retry",
    "/api/queues/default",
    "/api/queues/%2F%2f%",
    "/api/mail",
    "/api/mail/%e2%28%a1/raw",
    "/problems/queue-full",
    "/livez",
    "/readyz?verbose",
    "//api//jobs",
    "*",
    "http://other.example/api/jobs",
    "/%",
];

/// Bodies that are JSON, nearly, or not at all.
const BODIES: [&[u8]; 30] = [
    br#"{"kind":"noop"}"#,
    br#"{"kind":"noop","payload":{"steps":3},"tags":["a"],"max_attempts":2,"timeout":"5s"}"#,
    br#"{"kind":"noop","kind":"email","payload":{},"payload":[]}"#,
    br#"{"kind":"noop","payload":{"a":1e999}}"#,
    br#"{"kind":"noop","payload":{"a":-123456789012345678901234567890.5e-400}}"#,
    br#"{"kind":"noop","max_attempts":18446744073709551616}"#,
    br#"{"kind":"noop","max_attempts":-1,"delay":"-5s","timeout":"99999999999999999999h"}"#,
    br#"{"kind":"noop","payload":{"a":"\ud800"}}"#,
    br#"{"kind":"\udfff\ud800","payload":"\u0000"}"#,
    br#"{"kind":"noop","tags":["\u0000","\ud83d"]}"#,
    b"{\"kind\":\"no\xffop\"}",
    b"{\"kind\":\"noop\",\"payload\":{\"\xc3\x28\":\"\xed\xa0\x80\"}}",
    b"\xef\xbb\xbf{\"kind\":\"noop\"}",
    b"\xff\xfe{\0\"\0k\0i\0n\0d\0\"\0",
    br#"{"kind":"noop","run_at":"9999-12-31T23:59:60Z"}"#,
    br#"{"kind":"noop","run_at":"-9999-12-31T23:59:60+99:99"}"#,
    br#"{"kind":"noop","delay":"1h","run_at":"2026-01-01T00:00:00Z"}"#,
    br#"{"kind":"noop","unique":{"key":"","for":[]},"expires_in":{}}"#,
    br#"{"kind":"noop","payload":{"sleep":"1e9s","steps":99999999999,"fail":{}}}"#,
    br#"{"kind":"email","payload":{"to":"a@b\r\nBcc: x@y.example","subject":"\n","text":""}}"#,
    br#"{"kind":"email","payload":{"to":[[[["a"]]]],"template":"../../x","data":null}}"#,
    br#"{"kind":"email","payload":{"to":"a@b.example","subject":"s","text":"t","attachments":[{"filename":"/","content_type":"\u0000","content_base64":"%%%"}]}}"#,
    br#"{"jobs":[{"kind":"noop"},{"kind":"noop"}]}"#,
    br#"{"jobs":[]}"#,
    br#"{"jobs":[null,1,"x",[],{"kind":null}]}"#,
    br#"{"kind":NaN,}"#,
    b"[]",
    b"null",
    b"",
    b"0",
];

/// Values for headers that the server reads.
const VALUES: [&[u8]; 24] = [
    b"",
    b" ",
    b"application/json",
    b"application/json; charset=\"",
    b"application/json;;;=;",
    b"APPLICATION/JSON;charset=utf-16",
    b"multipart/form-data; boundary=",
    b"wait",
    b"wait=1",
    b"wait=-1",
    b"wait=99999999999999999999999",
    b"wait=0.5, wait=0; wait=\"0",
    b"respond-async, wait=\xff",
    b"*",
    b"\"abc\", W/\"def\", \"",
    b"W/",
    b"100-continue",
    b"200-ok",
    b"gzip, identity;q=0",
    b"keep-alive, close, upgrade",
    b"\xc3\xa9\xff\x80",
    b"a\tb",
    b"00-ffffffffffffffffffffffffffffffff-ffffffffffffffff-ff",
    b"%00%0d%0a",
];

const NAMES: [&str; 14] = [
    "prefer",
    "content-type",
    "content-encoding",
    "accept",
    "accept-encoding",
    "if-none-match",
    "if-match",
    "x-request-id",
    "idempotency-key",
    "expect",
    "connection",
    "upgrade",
    "host",
    "range",
];

/// How a body can be framed: as it should be, and in the ways in which two servers can be made to disagree.
const FRAMINGS: [&str; 24] = [
    "content-length: {n}",
    "content-length: {n}\r\ncontent-length: {n}",
    "content-length: {n}\r\ncontent-length: 0",
    "content-length: 0\r\ncontent-length: {n}",
    "content-length: {n}, {n}",
    "content-length: +{n}",
    "content-length: -{n}",
    "content-length: 0x{n}",
    "content-length: {n}\x0b",
    "content-length: 99999999999999999999999",
    "content-length: 18446744073709551615",
    "content-length: {n}\r\ntransfer-encoding: chunked",
    "transfer-encoding: chunked\r\ncontent-length: {n}",
    "transfer-encoding: chunked",
    "transfer-encoding: chunked\r\ntransfer-encoding: identity",
    "transfer-encoding: xchunked",
    "transfer-encoding: chunked, chunked",
    "transfer-encoding: gzip, chunked",
    "transfer-encoding : chunked",
    "transfer-encoding:\tchunked",
    " transfer-encoding: chunked",
    "x: y\r\n transfer-encoding: chunked",
    "content-length: {n}\ntransfer-encoding: chunked",
    "x: \0\r\ncontent-length: {n}",
];

const CHUNKS: [&str; 12] = [
    "{n:x}\r\n{body}\r\n0\r\n\r\n",
    "{n:x};name=\"value\"\r\n{body}\r\n0\r\ntrailer: x\r\n\r\n",
    "{n:x}\r\n{body}",
    "{n:x}\r\n{body}0\r\n\r\n",
    "{n:x}\n{body}\n0\n\n",
    "ffffffffffffffff\r\n{body}\r\n0\r\n\r\n",
    "fffffffffffffffff\r\n{body}\r\n0\r\n\r\n",
    "-1\r\n{body}\r\n0\r\n\r\n",
    "0x{n:x}\r\n{body}\r\n0\r\n\r\n",
    "\r\n{body}\r\n0\r\n\r\n",
    "0\r\n\r\nGET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "zz\r\n{body}\r\n",
];

fn pick<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.usize(..of.len())]
}

fn bytes(rng: &mut Rng, most: usize) -> Vec<u8> {
    (0..rng.usize(..=most)).map(|_| rng.u8(..)).collect()
}

fn framed(method: &str, path: &[u8], headers: &[u8], body: &[u8]) -> Vec<u8> {
    let length = format!("content-length: {}\r\n\r\n", body.len());
    [method.as_bytes(), b" ", path, b" HTTP/1.1\r\nhost: localhost\r\n", headers, length.as_bytes(), body]
        .concat()
}

const JSON: &[u8] = b"content-type: application/json\r\n";

/// A request that any server would take for one.
fn valid(rng: &mut Rng) -> Vec<u8> {
    let body = pick(rng, &BODIES);
    framed(pick(rng, &METHODS[..5]), pick(rng, &PATHS).as_bytes(), JSON, body)
}

/// Changes a few bytes.
fn mutated(rng: &mut Rng) -> Vec<u8> {
    let mut request = valid(rng);
    for _ in 0..rng.usize(1..6) {
        let at = rng.usize(..request.len());
        match rng.u8(..5) {
            0 => request[at] = rng.u8(..),
            1 => request[at] ^= 1 << rng.u8(..8),
            2 => request.insert(at, pick(rng, b"\0\r\n \t:%/\"{}\\\x7f\xff")),
            3 => {
                request.remove(at);
            }
            _ => {
                let end = (at + rng.usize(1..40)).min(request.len());
                let again = request[at..end].to_vec();
                request.splice(at..at, again);
            }
        }
    }
    request
}

fn deep(rng: &mut Rng) -> Vec<u8> {
    let depth = pick(rng, &[60, 127, 128, 129, 5_000, 100_000]);
    let (open, close) = pick(rng, &[("[", "]"), ("{\"a\":", "}")]);
    let ends = if rng.bool() { close.repeat(depth) } else { String::new() };
    let body = format!("{{\"kind\":\"noop\",\"payload\":{}1{ends}}}", open.repeat(depth));
    framed("POST", b"/api/jobs", JSON, body.as_bytes())
}

fn smuggled(rng: &mut Rng) -> Vec<u8> {
    let body = String::from_utf8_lossy(pick(rng, &BODIES)).into_owned();
    let length = body.len().to_string();
    let framing = pick(rng, &FRAMINGS).replace("{n}", &length);
    let body = if framing.contains("chunked") && rng.u8(..4) > 0 {
        let size = format!("{:x}", body.len());
        pick(rng, &CHUNKS).replace("{n:x}", &size).replace("{body}", &body)
    } else {
        body
    };
    let version = pick(rng, &["1.1", "1.1", "1.1", "1.0", "0.9", "2.0", "9.9"]);
    let head = format!(
        "POST /api/jobs HTTP/{version}\r\nhost: localhost\r\ncontent-type: application/json\r\n{framing}"
    );
    [head.as_bytes(), b"\r\n\r\n", body.as_bytes()].concat()
}

fn headed(rng: &mut Rng) -> Vec<u8> {
    let mut headers = Vec::new();
    for _ in 0..rng.usize(1..5) {
        let value = if rng.bool() { pick(rng, &VALUES).to_vec() } else { bytes(rng, 40) };
        headers.extend([pick(rng, &NAMES).as_bytes(), b": ", &value, b"\r\n"].concat());
    }
    if rng.bool() {
        headers.extend(JSON);
    }
    // Of these every job completes by itself, so that nobody is asked to wait for long.
    framed(pick(rng, &["GET", "POST", "HEAD"]), b"/api/jobs", &headers, BODIES[0])
}

fn pathed(rng: &mut Rng) -> Vec<u8> {
    let mut path =
        pick(rng, &["/", "/api/jobs/", "/api/queues/", "/api/jobs?", "/problems/", ""]).as_bytes().to_vec();
    for _ in 0..rng.usize(..30) {
        match rng.u8(..4) {
            0 => path.extend(format!("%{:02x}", rng.u8(..)).bytes()),
            1 => path.extend(pick(rng, &["%", "%%", "%g0", "..", "/", "?", "#", "&", "=", "%c0%af"]).bytes()),
            2 => path.push(rng.u8(..)),
            _ => path.push(rng.u8(0x21..0x7f)),
        }
    }
    framed(pick(rng, &METHODS), &path, b"", b"")
}

fn oversize(rng: &mut Rng) -> Vec<u8> {
    let more = match rng.u8(..3) {
        0 => "x: y\r\n".repeat(rng.usize(90..200)),
        1 => format!("x: {}\r\n", "y".repeat(rng.usize(100_000..200_000))),
        _ => format!("{}: y\r\n", "x".repeat(rng.usize(60_000..70_000))),
    };
    framed("GET", b"/livez", more.as_bytes(), b"")
}

fn case(rng: &mut Rng) -> Vec<u8> {
    match rng.u8(..20) {
        0 => bytes(rng, 300),
        1..5 => mutated(rng),
        5..7 => {
            let mut request = valid(rng);
            request.truncate(rng.usize(..request.len()));
            request
        }
        7..9 => valid(rng),
        9..12 => pathed(rng),
        12..15 => headed(rng),
        15..18 => smuggled(rng),
        18 => {
            if rng.u8(..4) == 0 {
                oversize(rng)
            } else {
                deep(rng)
            }
        }
        // Several in a row, the last ones behind whatever the first ones were.
        _ => {
            (0..rng.usize(2..20)).flat_map(|_| if rng.bool() { valid(rng) } else { smuggled(rng) }).collect()
        }
    }
}

/// Sends the bytes and the end, and reads until the end. What was read before a reset counts.
async fn exchange(address: &str, bytes: &[u8]) -> Vec<u8> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let mut answers = Vec::new();
    let sending = async {
        // The server may have heard enough before that.
        let _ = write.write_all(bytes).await;
        let _ = write.shutdown().await;
    };
    let reading = async {
        let _ = read.read_to_end(&mut answers).await;
    };
    tokio::join!(sending, reading);
    answers
}

/// Says what is wrong with the answers, if anything is.
fn fault(mut answers: &[u8]) -> Option<String> {
    while !answers.is_empty() {
        let Some(end) = answers.windows(4).position(|four| four == b"\r\n\r\n") else {
            // Cut off by a reset.
            return None;
        };
        let Ok(head) = std::str::from_utf8(&answers[..end]) else { return Some("no text".to_owned()) };
        answers = &answers[end + 4..];
        let mut lines = head.split("\r\n");
        let line = lines.next().unwrap_or_default();
        let status = line.strip_prefix("HTTP/1.").and_then(|line| line.get(2..5)?.parse::<u16>().ok());
        let Some(status) = status else { return Some(format!("no status line: {line:?}")) };
        if status >= 500 && status != 503 {
            return Some(format!("a {status}"));
        }
        let header = |name: &str| {
            let mut lines = head.split("\r\n").skip(1).filter_map(|line| line.split_once(": "));
            lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
        };
        let length: usize = header("content-length").map_or(0, |length| length.parse().unwrap_or(0));
        // An answer to HEAD, or one without content: the next answer follows, or nothing.
        if length == 0 || answers.is_empty() || answers.starts_with(b"HTTP/1.") {
            continue;
        }
        let (body, rest) = answers.split_at_checked(length)?;
        answers = rest;
        if header("content-type") == Some("application/problem+json") {
            let problem: Result<Value, _> = serde_json::from_slice(body);
            match problem {
                Ok(problem) if problem["status"] == status && problem["request_id"].is_string() => {}
                Ok(problem) => return Some(format!("a {status} says {problem}")),
                Err(error) => return Some(format!("a problem is no JSON: {error}")),
            }
        }
    }
    None
}

#[tokio::test]
async fn garbage_is_answered_within_the_contract_and_breaks_nothing() {
    let seed = std::env::var("EDGE_TEST_SEED").map_or(SEED, |seed| seed.parse().unwrap());
    let mut rng = Rng::with_seed(seed);
    let place = Place::new(&["queues.default.enqueue_wait=0s", "queues.mail.enqueue_wait=0s"]);
    let process = place.start().await;
    let address = process.base.strip_prefix("http://").unwrap();
    let (mut answered, mut problems) = (0, 0);
    for _ in 0..CASES / AT_ONCE {
        let cases: Vec<Vec<u8>> = (0..AT_ONCE).map(|_| case(&mut rng)).collect();
        let exchanges = join_all(cases.iter().map(|case| exchange(address, case)));
        let Ok(answers) = tokio::time::timeout(PATIENCE, exchanges).await else {
            let cases: Vec<_> = cases.iter().map(|case| case.escape_ascii().to_string()).collect();
            panic!("seed {seed}: one of these was not ended: {cases:#?}")
        };
        for (case, answers) in cases.iter().zip(answers) {
            let shown = || format!("{} -> {}", case.escape_ascii(), answers.escape_ascii());
            if let Some(fault) = fault(&answers) {
                panic!("seed {seed}: {fault}: {}", shown());
            }
            answered += usize::from(!answers.is_empty());
            problems += usize::from(answers.windows(12).any(|window| window == b"problem+json"));
        }
    }
    // Most of it is heard and answered; else nothing was tested.
    assert!(
        answered > CASES / 2 && problems > CASES / 8,
        "seed {seed}: {answered} answers, {problems} problems"
    );
    let id = process.accepted(&json!({"kind": "noop"})).await;
    assert_eq!(process.end(&id).await["state"], "completed");
    let ended = process.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.text());
    for line in ended.log() {
        assert_ne!(line["level"], "ERROR", "seed {seed}: {line}");
        assert!(!line.to_string().contains("panic"), "seed {seed}: {line}");
    }
}

#[test]
fn the_judge_of_the_answers_sees_faults() {
    let problem = |body: &str| {
        format!(
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let good = problem(r#"{"status":400,"request_id":"x"}"#);
    assert_eq!(fault(format!("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n{good}").as_bytes()), None);
    // An answer to HEAD announces what it does not send.
    assert_eq!(fault(format!("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{good}").as_bytes()), None);
    assert_eq!(fault(b"HTTP/1.1 503 Service Unavailable\r\n\r\n"), None);
    for bad in [
        "HTTP/1.1 500 Internal Server Error\r\n\r\n".to_owned(),
        format!("{good}HTTP/1.1 502 Bad Gateway\r\n\r\n"),
        format!("{good}{}", problem(r#"{"status":400,"#)),
        problem(r#"{"status":404,"request_id":"x"}"#),
        "SSH-2.0\r\n\r\n".to_owned(),
    ] {
        assert!(fault(bad.as_bytes()).is_some(), "{bad}");
    }
}
