//! A thousand jobs on the real binary, which end in every way, leave nothing behind.

use std::fs;

use serde_json::{Value, json};

use crate::process::{Place, Process};

/// What a process holds for programs: children, pipes, and handles of processes.
#[derive(PartialEq, Eq, Debug)]
struct Held {
    children: Vec<String>,
    pipes: usize,
    processes: usize,
}

fn held(pid: u32) -> Held {
    let mut children = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        // A thread can end just now.
        let text = fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default();
        children.extend(text.split_whitespace().map(str::to_owned));
    }
    let links = || {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        open.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
            .map(|link| link.to_string_lossy().into_owned())
    };
    Held {
        children,
        pipes: links().filter(|link| link.starts_with("pipe:")).count(),
        processes: links().filter(|link| link.contains("pidfd")).count(),
    }
}

/// Processes that were started with this argument.
fn running(word: &str) -> usize {
    let processes = fs::read_dir("/proc").unwrap();
    let lines = processes.filter_map(|entry| fs::read(entry.unwrap().path().join("cmdline")).ok());
    lines.filter(|line| line.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes())).count()
}

async fn states(server: &Process, jobs: Vec<Value>) -> Vec<String> {
    let mut states = Vec::new();
    for id in server.batch(jobs).await {
        states.push(server.end(&id).await["state"].as_str().unwrap().to_owned());
    }
    states
}

#[tokio::test]
async fn a_thousand_jobs_leave_nothing_behind() {
    // Nobody else's sleep is that long.
    let seconds = format!("98{}", std::process::id());
    let orphan = format!("sleep {seconds} > /dev/null 2>&1 & echo done");
    let kind = |name: &str, script: &str| {
        vec![
            format!("kinds.{name}.run=command"),
            format!("kinds.{name}.command={}", json!(["sh", "-c", script])),
            format!("kinds.{name}.env=PATH"),
            format!("kinds.{name}.max_attempts=1"),
        ]
    };
    let mut place = Place::new(&["queues.default.capacity=1000", "queues.default.concurrency=8"]);
    place.sets.extend(kind("good", "cat"));
    place.sets.extend(kind("bad", "exit 65"));
    place.sets.extend(kind("crash", "kill -KILL $$"));
    place.sets.extend(kind("orphan", &orphan));
    let server = place.start().await;
    let kinds = ["good", "bad", "crash", "orphan"];
    let jobs =
        |n: usize| (0..n).map(|n| json!({"kind": kinds[n % 4], "payload": {"n": n}})).collect::<Vec<_>>();

    // Once before, for what is opened with the first one.
    states(&server, jobs(4)).await;
    let (before, files) = (held(server.pid()), place.files());
    assert_eq!(before.children, [""; 0]);
    let ends = states(&server, jobs(1_000)).await;
    for (n, state) in ends.iter().enumerate() {
        let want = if matches!(kinds[n % 4], "good" | "orphan") { "completed" } else { "dead_lettered" };
        assert_eq!(state, want, "{n}");
    }
    assert_eq!(held(server.pid()), before);
    assert_eq!(place.files(), files);
    assert_eq!(running(&seconds), 0);
    let ended = server.stop().await;
    assert_eq!(ended.code, Some(0));
}
