//! Many jobs, several clients and a drain in the middle: every number must add up, and every mail arrive once.

use std::collections::BTreeSet;
use std::time::Duration;

use nix::sys::signal::Signal;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::process::{CANARIES, Place, Process, email, noop};
use crate::smtp::{Options, Server};

async fn mail_server() -> Server {
    Server::start(Options {
        login: Some(("shop", CANARIES[2])),
        slow: Duration::from_millis(10),
        ..Options::default()
    })
    .await
}

fn place(server: &Server, more: &[&str]) -> Place {
    let mut place = Place::new(more);
    std::fs::write(place.path("password"), CANARIES[2]).unwrap();
    place.sets.extend([
        "mail.transport=smtp".to_owned(),
        format!("mail.smtp_url=smtp://shop@127.0.0.1:{}?tls=none", server.port()),
        "mail.smtp_password_file=password".to_owned(),
        "mail.from=Shop <shop@example.com>".to_owned(),
    ]);
    place
}

/// The ids of the jobs whose mails have arrived, one for each mail.
fn arrived(server: &Server) -> Vec<String> {
    let id = |message: &str| {
        let line = message.lines().find(|line| line.to_ascii_lowercase().starts_with("message-id:"));
        let id = line.and_then(|line| line.split(['<', '@']).nth(1));
        id.unwrap().to_owned()
    };
    server.received().iter().map(|mail| id(&mail.message)).collect()
}

/// Holds every mail that is not handed over yet, and waits until those that were are known to be completed.
async fn freeze(server: &Server, process: &Process) -> usize {
    server.hold("DATA");
    server.holds(4).await;
    let finished = server.received().len();
    let waiting = async { while process.count("completed").await != finished {} };
    let waited = tokio::time::timeout(crate::process::PATIENCE, waiting).await;
    assert!(waited.is_ok(), "{finished} mails arrived and were not settled");
    finished
}

fn ids(jobs: &[Value]) -> BTreeSet<String> {
    jobs.iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect()
}

/// Waits until every spilled job has completed; and everything that was accepted has arrived, nothing twice.
async fn finish(place: &Place, server: &Server, spilled: &BTreeSet<String>, emails: &BTreeSet<String>) {
    let process = place.start_with(&["shutdown.grace=25s"]).await;
    for id in spilled {
        let job = process.end(id).await;
        assert_eq!(job["state"], "completed", "{job}");
    }
    let ended = process.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.text());
    let arrived = arrived(server);
    let once: BTreeSet<String> = arrived.iter().cloned().collect();
    assert_eq!(arrived.len(), once.len(), "no mail arrived twice");
    assert_eq!(&once, emails, "no mail is missing");
    assert!(!place.files().iter().any(|file| file.contains("spill")), "{:?}", place.files());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_accepted_job_is_finished_or_spilled_and_every_mail_arrives_once() {
    let server = mail_server().await;
    let place = place(&server, &["shutdown.grace=600ms"]);
    let process = place.start().await;
    let mut emails: BTreeSet<String> = process.batch(vec![email(); 300]).await.into_iter().collect();

    // Clients that go on posting until they are told that the server drains.
    let mut clients = JoinSet::new();
    for _ in 0..4 {
        let (client, url) = (process.client.clone(), format!("{}/api/jobs", process.base));
        clients.spawn(async move {
            let mut accepted = Vec::new();
            loop {
                let response = client.post(&url).json(&email()).send().await.unwrap();
                let status = response.status();
                let body: Value = response.json().await.unwrap();
                if status != StatusCode::ACCEPTED {
                    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
                    assert_eq!(body["type"], "/problems/draining");
                    return accepted;
                }
                accepted.push(body["id"].as_str().unwrap().to_owned());
                // sleep: the pace of a client; nothing is awaited by it.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }
    server.nth(60).await;
    let before = freeze(&server, &process).await;
    let naps: BTreeSet<String> =
        process.batch(vec![noop(&json!({"sleep": "400ms"})); 16]).await.into_iter().collect();
    process.signal(Signal::SIGTERM);
    process.message("draining").await;
    server.release();
    while let Some(accepted) = clients.join_next().await {
        emails.extend(accepted.unwrap());
    }
    let ended = process.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.text());

    let report = ended.report();
    let spilled = ids(&place.spilled());
    let accepted = emails.len() + naps.len();
    println!("accepted {accepted}, finished before {before}, {report:?}");
    assert!(report.lost.is_empty());
    assert_eq!(report.spilled, spilled.len() as u64);
    assert_eq!(accepted as u64, before as u64 + report.finished + report.spilled);
    // What the report says to have finished is what the mail server has.
    let arrived: BTreeSet<String> = arrived(&server).into_iter().collect();
    let unspilled: BTreeSet<String> = emails.difference(&spilled).cloned().collect();
    assert_eq!(arrived, unspilled);
    assert!(naps.is_disjoint(&spilled), "they had the time");
    assert_eq!(report.finished as usize, arrived.len() - before + naps.len());
    assert!(report.finished > 16 && report.spilled > 0, "both happened: {report:?}");

    finish(&place, &server, &spilled, &emails).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_spills_at_once_what_was_not_handed_over() {
    let server = mail_server().await;
    let place = place(&server, &["shutdown.grace=1h"]);
    let process = place.start().await;
    let emails: BTreeSet<String> = process.batch(vec![email(); 300]).await.into_iter().collect();
    server.nth(60).await;
    let before = freeze(&server, &process).await;
    let naps: BTreeSet<String> = process
        .batch(vec![noop(&json!({"sleep": "1500ms", "ignore_cancel": true})); 20])
        .await
        .into_iter()
        .collect();
    process.signal(Signal::SIGTERM);
    process.message("draining").await;
    process.signal(Signal::SIGINT);
    let ended = process.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.text());
    let report = ended.report();
    println!("accepted {}, finished before {before}, {report:?}", emails.len() + naps.len());
    // 4 mails and 16 naps were under way, and nothing could finish.
    assert_eq!((report.finished, report.interrupted), (0, 20));
    assert_eq!(report.spilled as usize, emails.len() + naps.len() - before);
    assert!(report.lost.is_empty() && report.duration_ms < 1_000, "{report:?}");
    let lines = place.spilled();
    let spilled = ids(&lines);
    assert!(spilled.is_superset(&naps));
    assert_eq!(spilled.len(), lines.len());
    for line in lines {
        assert_eq!(line["attempt"], 0, "an interrupted attempt is not used up");
        assert_eq!(line["state"], "pending");
    }
    server.release();
    finish(&place, &server, &spilled, &emails).await;
}
