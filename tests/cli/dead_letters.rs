//! `backroom dead-letters`.

use serde_json::json;

use crate::rig::Rig;

const DEAD: &str = "{\"fail\": \"permanent\"}";

#[tokio::test]
async fn they_are_listed_sent_round_and_deleted() {
    let rig = Rig::new(&[]).await;
    let mut ids = Vec::new();
    for queue in ["default", "default", "mail"] {
        ids.push(rig.ended(&["noop", DEAD, "--queue", queue]).await);
    }
    rig.ended(&["noop"]).await;
    let listed = rig.json(&["dead-letters", "--queue", "default", "--all"]).await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    assert_eq!(rig.run(&["dead-letters"]).await.out.lines().count(), 4);

    let dry =
        ["dead-letters", "redrive", "--queue", "default", "--kind", "noop", "--limit", "1", "--dry-run"];
    assert_eq!(rig.json(&dry).await, json!({"matched": 2, "redriven": 0, "left": 2}));
    assert_eq!(rig.run(&dry).await.out, "2 would be sent round again\n");
    let one = rig.run(&["dead-letters", "redrive", "--id", &ids[0]]).await;
    assert_eq!(one.out, "1 found, 1 sent round again, 0 left\n", "{one:?}");
    rig.server.end(&ids[0]).await;

    // Nobody is there to be asked, and what is meant must be said.
    rig.run(&["dead-letters", "delete"]).await.refused(2, "required");
    rig.run(&["dead-letters", "delete", "--all", "--kind", "noop", "--yes"])
        .await
        .refused(2, "cannot be used with");
    rig.run(&["dead-letters", "delete", "--all"]).await.refused(2, "add --yes");
    assert_eq!(rig.run(&["dead-letters"]).await.out.lines().count(), 4);
    assert_eq!(rig.run(&["dead-letters", "delete", "--queue", "mail", "--yes"]).await.out, "1 deleted\n");
    assert_eq!(rig.json(&["dead-letters", "delete", "--id", &ids[1], "-y"]).await, json!({"deleted": 1}));
    assert_eq!(rig.json(&["dead-letters", "delete", "--all", "--yes"]).await, json!({"deleted": 1}));
    rig.run(&["dead-letters", "redrive", "--queue", "male"]).await.refused(1, "\n  /queue: ");
}
