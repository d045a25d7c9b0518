//! What a restart finds again.

use serde_json::{Value, json};

use crate::process::{CANARIES, Place, noop};

#[tokio::test]
async fn what_waits_survives_a_restart_with_its_times_and_attempts() {
    let place = Place::new(&[
        "shutdown.grace=100ms",
        "queues.default.concurrency=1",
        "retry.standard.initial=1h",
        "retry.standard.max=2h",
        "retry.standard.jitter=none",
    ]);
    let process = place.start().await;
    let mut scheduled = noop(&json!({}));
    scheduled["delay"] = json!("1h");
    scheduled["expires_in"] = json!("2h");
    scheduled["timeout"] = json!("1500ms");
    scheduled["tags"] = json!(["spring"]);
    let scheduled = process.accepted(&scheduled).await;
    let failed = process.accepted(&noop(&json!({"fail": "transient"}))).await;
    process.state(&failed, "failed").await;
    let dead = process.accepted(&noop(&json!({"fail": "permanent"}))).await;
    assert_eq!(process.end(&dead).await["state"], "dead_lettered");
    let running = process.accepted(&noop(&json!({"sleep": "10s"}))).await;
    process.state(&running, "processing").await;
    let mut pending = Vec::new();
    for _ in 0..3 {
        pending.push(process.accepted(&noop(&json!({}))).await);
    }
    let done = [&scheduled, &failed, &dead];
    let mut before = Vec::new();
    for id in done {
        before.push(process.get(&format!("/api/jobs/{id}")).await);
    }
    let ended = process.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.text());
    let report = ended.report();
    assert_eq!((report.finished, report.interrupted, report.spilled), (0, 1, 6));
    assert_eq!(ended.line("drain report")["dead_letters_kept"], 1);
    let payload = |id: &str| {
        let lines = place.spilled();
        let line = lines.iter().find(|line| line["id"] == id).unwrap();
        line["payload"].clone()
    };
    assert_eq!(payload(&scheduled), json!({ "secret": CANARIES[0] }));

    let process = place.start_with(&["retry.standard.initial=1s"]).await;
    let taken = process.message("spilled jobs taken up").await;
    assert_eq!(taken["jobs"], 7);
    for (id, before) in done.into_iter().zip(&before) {
        let after = process.get(&format!("/api/jobs/{id}")).await;
        assert_eq!(&after, before, "nothing about it has changed");
    }
    // The job that was interrupted holds the only place for 10 s; what was never begun waits behind or before it.
    process.client.delete(format!("{}/api/jobs/{running}", process.base)).send().await.unwrap();
    for id in &pending {
        assert_eq!(process.end(id).await["state"], "completed");
    }
    assert_eq!(process.end(&running).await["state"], "canceled");
    // A dead letter that was kept can be sent round again.
    let retry = format!("{}/api/jobs/{dead}/retry", process.base);
    assert_eq!(process.client.post(retry).send().await.unwrap().status().as_u16(), 202);
    let again = process.end(&dead).await;
    let runs: Vec<_> = again["attempts"].as_array().unwrap().iter().map(|a| &a["outcome"]).collect();
    assert_eq!((&again["state"], runs), (&json!("dead_lettered"), vec![&json!("failed"); 2]));
    assert_eq!(process.stop().await.code, Some(0));
}

#[tokio::test]
async fn whole_lines_of_a_damaged_file_are_taken_up() {
    let place = Place::new(&["shutdown.grace=0s"]);
    let process = place.start().await;
    let mut later = noop(&json!({}));
    later["delay"] = json!("1h");
    let ids = process.batch(vec![later; 5]).await;
    assert_eq!(process.stop().await.code, Some(0));

    let text = std::fs::read_to_string(place.spill()).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let position = |id: &str| lines.iter().position(|line| line.contains(id)).unwrap();
    let (cut, strange, gone) = (position(&ids[1]), position(&ids[2]), position(&ids[4]));
    let half = lines[cut].len() / 2;
    lines[cut].truncate(half);
    lines[strange] = format!("\u{fffd} {}", CANARIES[0]);
    lines[gone] = lines[gone].replace("\"kind\":\"noop\"", "\"kind\":\"gone\"");
    std::fs::write(place.spill(), lines.join("\n")).unwrap();

    let process = place.start().await;
    for (n, id) in ids.iter().enumerate() {
        let job: Value = process.get(&format!("/api/jobs/{id}")).await;
        let expected = match n {
            0 | 3 => json!("scheduled"),
            _ => Value::Null,
        };
        assert_eq!(job["state"], expected, "{n}: {job}");
    }
    let kept = std::fs::read_to_string(place.path("backroom.spill.jsonl.rejected")).unwrap();
    let (header, kept) = kept.split_once('\n').unwrap();
    assert!(header.contains("backroom_spill"), "it can be given back: {header}");
    let kept: Vec<&str> = kept.lines().collect();
    assert_eq!(kept.len(), 3);
    for line in [cut, strange] {
        assert!(kept.contains(&lines[line].as_str()));
    }
    assert!(kept.iter().any(|line| line.contains(&ids[4])));
    let ended = process.stop().await;
    assert_eq!((ended.code, ended.report().spilled), (Some(0), 2), "{}", ended.text());
    let rejected: Vec<Value> =
        ended.log().into_iter().filter(|line| line["message"] == "spilled job rejected").collect();
    assert_eq!(rejected.len(), 3, "each is named");
}
