//! The log: what is in it, and what is not.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use backroom::telemetry::names;
use reqwest::Method;
use serde_json::{Value, json};

use crate::program::Program;

/// Submits a job that completes, one that is refused, and asks for something with a token in its query.
async fn ask(program: &Program) -> String {
    let job = json!({"kind": "noop", "payload": {"name": "canary-payload"}});
    let wait = [("prefer", "wait=20"), ("x-request-id", "my-request")];
    let answer = program.ask(Method::POST, "/api/jobs", &wait, &job).await;
    assert_eq!(answer.status(), 303);
    let id = answer.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned();
    let refused = program.ask(Method::POST, "/api/jobs", &[], &json!({"kind": "canary-kind"})).await;
    assert_eq!(refused.status(), 422);
    let path = format!("/api/jobs/{id}?access_token=canary-token");
    let headers = [("authorization", "Bearer canary-header")];
    assert_eq!(program.ask(Method::GET, &path, &headers, &Value::Null).await.status(), 200);
    assert_eq!(program.ask(Method::GET, "/no/such", &[], &Value::Null).await.status(), 404);
    id
}

fn is_of_request(line: &Value) -> bool {
    line["message"] == "request"
}

#[tokio::test]
async fn a_healthy_job_and_its_requests_write_no_line() {
    let program = Program::start(&[], &[]).await;
    ask(&program).await;
    let lines = program.stop().await;
    let messages: Vec<&str> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(messages, ["stopping", "draining", "drain report"], "{lines:#?}");
}

#[tokio::test]
async fn the_access_log_has_a_line_for_every_request() {
    let program = Program::start(&["log.access=true"], &[]).await;
    let id = ask(&program).await;
    let lines = program.stop().await;
    let requests: Vec<&Value> = lines.iter().filter(|line| is_of_request(line)).collect();
    let text = |value: &Value, member: &str| value[member].as_str().unwrap().to_owned();
    let seen: Vec<_> = requests
        .iter()
        .map(|line| (text(line, "method"), text(line, "route"), text(line, "path"), line["status"].as_u64()))
        .collect();
    let line = |method: &str, route: &str, path: &str, status| {
        (method.to_owned(), route.to_owned(), path.to_owned(), Some(status))
    };
    assert_eq!(
        seen,
        [
            line("POST", "/api/jobs", "/api/jobs", 303),
            line("POST", "/api/jobs", "/api/jobs", 422),
            line("GET", "/api/jobs/{id}", &format!("/api/jobs/{id}"), 200),
            line("GET", "unmatched", "/no/such", 404),
        ]
    );
    assert_eq!(requests[0]["request_id"], "my-request");
    assert_eq!(requests[0]["caller"], "");
    assert!(requests.iter().all(|line| line["duration_ms"].as_f64().is_some_and(|millis| millis >= 0.0)));
    assert!(!format!("{lines:?}").contains("canary"), "{lines:#?}");
    let known: BTreeSet<&str> = names::FIELDS.iter().map(|(name, _)| *name).collect();
    let always = ["timestamp", "level", "message", "target"];
    for member in lines.iter().flat_map(|line| line.as_object().unwrap().keys()) {
        assert!(known.contains(&**member) || always.contains(&&**member), "{member} is not documented");
    }
}

#[test]
fn every_field_is_documented() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let known: BTreeSet<&str> = names::FIELDS.iter().map(|(name, _)| *name).collect();
    assert_eq!(known.len(), names::FIELDS.len(), "a name stands there twice");
    let mut used = BTreeSet::new();
    visit(&root.join("src"), &mut used);
    let used: BTreeSet<&str> = used.iter().map(String::as_str).collect();
    assert!(used.len() > 40, "the macros have another form; look at this test again: {used:?}");
    let unknown: Vec<_> = used.difference(&known).collect();
    assert!(unknown.is_empty(), "add to FIELDS in src/telemetry/names.rs, and to README.md: {unknown:?}");
    let gone: Vec<_> = known.difference(&used).collect();
    assert!(gone.is_empty(), "nobody logs these any more: {gone:?}");
    for (name, meaning) in names::FIELDS {
        let row = format!("| `{name}` | {meaning} |");
        assert!(readme.contains(&row), "README.md lacks: {row}");
    }
}

fn visit(folder: &Path, used: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            visit(&path, used);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path).unwrap();
            for level in ["tracing::error!(", "tracing::warn!(", "tracing::info!("] {
                for (at, _) in source.match_indices(level) {
                    used.extend(fields(&source[at + level.len()..]));
                }
            }
        }
    }
}

/// The names of the fields in the arguments of a macro that begin here.
fn fields(source: &str) -> Vec<String> {
    let (mut arguments, mut depth, mut quoted, mut escaped) = (vec![String::new()], 0, false, false);
    for c in source.chars() {
        match c {
            _ if quoted => {
                quoted = c != '"' || escaped;
                escaped = c == '\\' && !escaped;
                continue;
            }
            '"' => quoted = true,
            '(' | '[' | '{' => depth += 1,
            ')' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                arguments.push(String::new());
                continue;
            }
            _ => {}
        }
        arguments.last_mut().unwrap().push(c);
    }
    let name = |argument: &String| {
        let argument = argument.trim().trim_start_matches(['%', '?']);
        let end = argument.find(|c: char| !(c.is_ascii_alphanumeric() || "_.".contains(c)));
        let (name, rest) = argument.split_at(end.unwrap_or(argument.len()));
        let rest = rest.trim_start();
        let is_field = rest.is_empty() || (rest.starts_with('=') && !rest.starts_with("=="));
        (is_field && name.starts_with(|c: char| c.is_ascii_lowercase())).then(|| name.to_owned())
    };
    arguments.iter().filter_map(name).collect()
}

#[test]
fn fields_are_found_in_the_source() {
    let source = r#"job = %id, %address, code = x("a, b = \" c"), total, target: "t", "it died: {n}", if (a == b) { c }); d"#;
    assert_eq!(fields(source), ["job", "address", "code", "total"]);
}
