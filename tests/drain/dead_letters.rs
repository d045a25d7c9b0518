//! Dead letters over restarts.

use serde_json::{Value, json};

use crate::process::{CANARIES, Place, Process, noop};

/// Everything that can be asked about a job.
async fn all_of(process: &Process, id: &str) -> [Value; 3] {
    [
        process.get(&format!("/api/jobs/{id}")).await,
        process.get(&format!("/api/jobs/{id}/payload")).await,
        process.get(&format!("/api/jobs/{id}/log")).await,
    ]
}

#[tokio::test]
async fn a_dead_letter_keeps_everything_until_it_is_redriven_or_deleted() {
    let place = Place::new(&[]);
    let process = place.start().await;
    let mut ids = Vec::new();
    for note in ["redriven", "deleted"] {
        let mut job = noop(&json!({"fail": "transient", "note": note}));
        job["max_attempts"] = json!(1);
        ids.push(process.accepted(&job).await);
    }
    let [redriven, deleted] = &ids[..] else { unreachable!() };
    let mut before = Vec::new();
    for id in &ids {
        assert_eq!(process.end(id).await["state"], "dead_lettered");
        before.push(all_of(&process, id).await);
    }
    assert_eq!(before[0][0]["error"]["retryable"], true);
    assert_eq!(before[0][0]["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(before[0][1]["note"], "redriven");
    let mut process = process;
    for _ in 0..2 {
        let ended = process.stop().await;
        assert_eq!((ended.code, ended.report().spilled), (Some(0), 0), "{}", ended.text());
        assert_eq!(ended.line("drain report")["dead_letters_kept"], 2);
        process = place.start().await;
        for (id, before) in ids.iter().zip(&before) {
            let mut after = all_of(&process, id).await;
            // Hidden by a key of each start; the value itself is looked at in the spill file.
            after[1]["secret"] = before[1]["secret"].clone();
            assert_eq!(&after, before, "nothing about it has changed");
        }
    }
    let redrive = process.client.post(format!("{}/api/dead-letters/redrive", process.base));
    let answer: Value =
        redrive.json(&json!({ "ids": [redriven] })).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer, json!({"matched": 1, "redriven": 1, "left": 0}));
    let again = process.end(redriven).await;
    assert_eq!((&again["state"], &again["attempt"]), (&json!("dead_lettered"), &json!(1)));
    assert_eq!(again["attempts"].as_array().unwrap().len(), 2, "it keeps its history");
    let delete = process.client.delete(format!("{}/api/dead-letters?id={deleted}", process.base));
    let answer: Value = delete.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer, json!({"deleted": 1}));
    let ended = process.stop().await;
    assert_eq!(ended.line("drain report")["dead_letters_kept"], 1);
    assert_eq!(ended.line("dead letters redriven")["redriven"], 1);
    assert_eq!(ended.line("dead letters deleted")["deleted"], 1);
    let spilled = place.spilled();
    assert_eq!((spilled.len(), &spilled[0]["id"]), (1, &json!(redriven)), "what was deleted stays away");
    assert_eq!(spilled[0]["payload"]["secret"], CANARIES[0]);
}

/// What was accepted can be unfit for the version that takes it up. The first attempt says so and is the last.
#[tokio::test]
async fn a_payload_that_does_not_decode_any_more_is_a_dead_letter_at_once() {
    let place = Place::new(&[]);
    let process = place.start().await;
    let mail = json!({"to": "ada@example.com", "subject": "s", "text": "t"});
    let mut ids = Vec::new();
    for _ in 0..2 {
        let job = json!({"kind": "email", "delay": "1h", "max_attempts": 5, "payload": mail});
        ids.push(process.accepted(&job).await);
    }
    assert_eq!(process.stop().await.code, Some(0));
    let text = std::fs::read_to_string(place.spill()).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (id, to) in ids.iter().zip([json!(17), json!(CANARIES[1])]) {
        let line = lines.iter_mut().find(|line| line.contains(id)).unwrap();
        let mut job: Value = serde_json::from_str(line).unwrap();
        job["payload"]["to"] = to;
        job["at"] = job["created_at"].clone();
        *line = job.to_string();
    }
    std::fs::write(place.spill(), lines.join("\n") + "\n").unwrap();

    let process = place.start().await;
    for id in &ids {
        let job = process.end(id).await;
        assert_eq!(job["state"], "dead_lettered", "{job}");
        assert_eq!(job["attempts"].as_array().unwrap().len(), 1, "{job}");
        assert_eq!(
            (&job["error"]["code"], &job["error"]["retryable"]),
            (&json!("invalid-payload"), &json!(false))
        );
        assert!(job["error"]["message"].as_str().unwrap().starts_with("/payload/to: "), "{job}");
    }
    assert_eq!(process.stop().await.code, Some(0));
}
