//! `GET /api/kinds`.

use crate::app::TestApp;

#[tokio::test]
async fn every_kind_is_shown_with_what_a_form_needs() {
    let app = TestApp::start().await;
    let answer = app.get("/api/kinds").await;
    assert_eq!(answer.status, 200);
    let items = answer.json()["items"].as_array().unwrap().clone();
    let names: Vec<&str> = items.iter().map(|kind| kind["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["act", "email", "http", "noop"]);
    let email = &items[1];
    assert_eq!(
        (&email["queue"], &email["timeout"], &email["max_attempts"]),
        (&"mail".into(), &"6m".into(), &6.into())
    );
    assert_eq!(email["retry"]["profile"], "interactive");
    for kind in &items[1..] {
        assert!(kind["description"].is_string() && kind["schema"]["type"] == "object", "{kind}");
        let submitted = serde_json::json!({"kind": kind["name"], "payload": kind["example"], "delay": "1h"});
        assert_eq!(app.post("/api/jobs", &submitted).await.status, 202, "the example of {}", kind["name"]);
    }
    // A kind that says nothing of itself.
    assert!(items[0]["schema"].is_null() && items[0]["example"].is_null());
}
