//! `backroom jobs`, `retry` and `log`, and who asks.

use serde_json::{Value, json};

use crate::rig::{Rig, backroom, ended};
use crate::scripted::{Scripted, answer};

#[tokio::test]
async fn lists_have_filters_and_pages_and_one_form() {
    let rig = Rig::new(&[]).await;
    let mut ids = Vec::new();
    for n in 0..5 {
        let tag = format!("n{n}");
        ids.push(rig.enqueue(&["noop", "--delay", "1h", "--tag", "all", "--tag", &tag]).await);
    }
    ids.reverse();
    let listed = |list: &Value| -> Vec<String> {
        list["items"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect()
    };
    let page = rig.json(&["jobs", "--tag", "all", "--limit", "2"]).await;
    assert_eq!(listed(&page), ids[..2]);
    let cursor = page["next_cursor"].as_str().unwrap();
    assert_eq!(
        listed(&rig.json(&["jobs", "--tag", "all", "--limit", "2", "--cursor", cursor]).await),
        ids[2..4]
    );
    let all = rig.json(&["jobs", "--tag", "all", "--limit", "2", "--all"]).await;
    assert_eq!((listed(&all), &all["next_cursor"], &all["next"]), (ids.clone(), &Value::Null, &Value::Null));
    assert_eq!(
        rig.json(&["jobs", "--tag", "nobody", "--all"]).await,
        json!({"items": [], "next_cursor": null, "next": null})
    );
    let filters = [
        "jobs",
        "--state",
        "scheduled",
        "--queue",
        "default",
        "--kind",
        "noop",
        "--tag",
        "n3",
        "-q",
        &ids[1],
    ];
    assert_eq!(listed(&rig.json(&filters).await), ids[1..2]);
    let past = ["jobs", "--created-before", "2020-01-01T00:00:00Z"];
    assert_eq!(listed(&rig.json(&past).await), [""; 0]);
    assert_eq!(listed(&rig.json(&["jobs", "--created-after", "2020-01-01T00:00:00Z"]).await), ids);

    let table = rig.run(&["jobs", "--limit", "2"]).await;
    let lines: Vec<&str> = table.out.lines().collect();
    assert_eq!(lines.len(), 3, "{table:?}");
    assert!(
        lines[0].starts_with("ID                                    STATE      QUEUE    KIND"),
        "{table:?}"
    );
    assert!(lines[1].starts_with(&format!("{}  scheduled  default  noop", ids[0])), "{table:?}");
    assert!(!table.out.contains('\u{1b}'), "{table:?}");
    assert!(table.err.contains("there are more: --cursor "), "{table:?}");
    assert_eq!(rig.run(&["jobs", "--limit", "2", "--all"]).await.out.lines().count(), 6);
    rig.run(&["jobs", "--limit", "101"]).await.refused(1, "\n  limit: ");
    rig.run(&["jobs", "--created-after", "soon"]).await.refused(1, "\n  created_after: ");
}

#[tokio::test]
async fn jobs_go_round_again_and_tell_what_they_wrote() {
    let kind = [
        "kinds.\"say\".run=command",
        "kinds.\"say\".command=[\"sh\", \"-c\", \"echo hello >&2; exit 64\"]",
        "kinds.\"say\".env=[\"PATH\"]",
    ];
    let rig = Rig::new(&kind).await;
    let id = rig.ended(&["say"]).await;
    let run = rig.run(&["log", &id]).await;
    assert!(run.code == 0 && run.out.contains("hello\n"), "{run:?}");
    assert!(rig.json(&["log", &id]).await["lines"].to_string().contains("hello"));
    let again = rig.json(&["retry", &id]).await;
    assert_eq!((&again["state"], &again["id"]), (&json!("pending"), &json!(id)));
    rig.server.end(&id).await;
    let run = rig.run(&["cancel", &id]).await;
    run.refused(1, "(409 job-not-cancelable)");
    let shown = rig.run(&["retry", &id]).await;
    assert!(shown.code == 0 && shown.out.starts_with(&format!("id        {id}\n")), "{shown:?}");
}

#[tokio::test]
async fn tokens_come_from_the_line_a_file_or_the_environment_and_are_never_printed() {
    let token = "s3cret-token-0123456789";
    let rig = Rig::new(&[&format!("auth.token={token}")]).await;
    std::fs::write(rig.path("token"), format!("{token}\n")).unwrap();
    rig.run(&["queues"]).await.refused(1, "(401 unauthorized)");
    let wrong = [("BACKROOM_TOKEN", "s3cret-but-wrong-000000")];
    for (arguments, variables) in [
        (&["queues", "--token", token][..], &wrong[..]),
        (&["queues", "--token-file", "token"], &wrong),
        (&["queues"], &[("BACKROOM_TOKEN", token)]),
    ] {
        let run = rig.run_with(arguments, variables, "").await;
        assert_eq!(run.code, 0, "{run:?}");
        assert!(!format!("{run:?}").contains("s3cret"), "{run:?}");
    }
    let run = rig.run_with(&["queues"], &wrong, "").await;
    run.refused(1, "(401 unauthorized)");
    assert!(!format!("{run:?}").contains("s3cret"), "{run:?}");
    rig.run(&["queues", "--token-file", "missing"]).await.refused(2, "--token-file: missing cannot be read");
    let run = rig.run(&["queues", "--token", "s3cret\n"]).await;
    run.refused(2, "the token holds what cannot be in a header");
    assert!(!run.err.contains("s3cret"), "{run:?}");
    rig.run(&["queues", "--token", "x", "--token-file", "token"]).await.refused(2, "cannot be used with");
}

#[tokio::test]
async fn what_another_server_says_is_told_and_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let page = answer("301 Moved Permanently", &["location: https://127.0.0.1:1/"], "<h1>\u{1b}[2Jmoved");
    let server = Scripted::new([page, answer("200 OK", &[], "<h1>hello")]);
    let run = ended(backroom(folder.path(), &server.base, &["jobs", "--token", "x"]), "").await;
    run.refused(1, "refused: 301, and no problem of a Backroom server: <h1>\\u{1b}[2Jmoved");
    ended(backroom(folder.path(), &server.base, &["jobs"]), "")
        .await
        .refused(1, "is this a Backroom server?");
    assert_eq!(server.asked().await[0].header("authorization"), "Bearer x");
}

#[tokio::test]
async fn a_reader_that_goes_away_is_no_failure() {
    let rig = Rig::new(&[]).await;
    rig.enqueue(&["noop", "--delay", "1h"]).await;
    let program = env!("CARGO_BIN_EXE_backroom");
    let script = format!(
        "set -o pipefail; '{program}' jobs | true && '{program}' completions bash | grep -c dead-letters"
    );
    let mut bash = tokio::process::Command::new("bash");
    bash.args(["-c", &script]).env("BACKROOM_URL", &rig.server.base).kill_on_drop(true);
    let run = ended(bash, "").await;
    assert!(run.code == 0 && run.out.trim() != "0", "{run:?}");
}
