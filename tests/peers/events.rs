//! Server-sent events, read by the package `eventsource`.

use serde_json::json;

use crate::peer::Peer;
use crate::process::{Place, noop};

/// The snapshot first, every state, and the end: the client comes once more after the terminal event, is told 204, and
/// does not come again.
#[tokio::test]
async fn an_event_source_sees_a_job_to_its_end_and_stops() {
    let place = Place::new(&[]);
    let server = place.start().await;
    let id = server.accepted(&noop(&json!({"sleep": "30s"}))).await;
    server.state(&id, "processing").await;

    let mut peer = Peer::node("events.js", &[&format!("{}/api/jobs/{id}/events", server.base)]);
    assert_eq!(peer.hear().await, json!({"open": true}));
    let snapshot = peer.hear().await;
    assert_eq!((&snapshot["event"], &snapshot["state"]), (&json!("job.snapshot"), &json!("processing")));
    assert_eq!(snapshot["id"], snapshot["sequence"].to_string());

    let canceled = server.client.delete(format!("{}/api/jobs/{id}", server.base)).send().await.unwrap();
    assert_eq!(canceled.status(), 202);
    let said = peer.end().await;
    let events: Vec<_> = said.iter().filter_map(|line| line["event"].as_str()).collect();
    assert_eq!(events, ["job.progress", "job.canceled"], "{said:#?}");
    let last = said.last().unwrap();
    assert_eq!(last, &json!({"closed": true, "code": 204}), "{said:#?}");
}
