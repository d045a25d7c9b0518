//! `POST /api/jobs`: what is accepted, and what becomes of it.

use backroom::job::StateName;
use serde_json::{Value, json};

use crate::app::{Answer, TestApp, assert_answer};

#[tokio::test]
async fn an_accepted_job_is_shown_as_the_contract_has_it() {
    let app = TestApp::narrow(10).await;
    app.hold().await;
    let answer = app
        .post(
            "/api/jobs",
            &json!({"kind": "act", "payload": {"text": "hello"}, "queue": "default", "max_attempts": 5,
                    "timeout": "60s", "expires_in": "30m", "tags": ["signup", "Über 100 €"]}),
        )
        .await;
    assert_answer!("accepted", answer);
    let id = answer.id();
    assert_eq!(answer.header("location"), format!("/api/jobs/{id}/status"));
    // The order of the members is that of the contract too.
    let text = answer.text();
    let members = [
        "id",
        "kind",
        "queue",
        "state",
        "durability",
        "attempt",
        "max_attempts",
        "tags",
        "created_at",
        "run_at",
        "started_at",
        "finished_at",
        "next_attempt_at",
        "expires_at",
        "progress",
        "cancel_requested",
        "skip_reason",
        "waiting",
        "error",
        "attempts",
        "callback",
        "links",
    ];
    let places: Vec<_> = members.map(|name| text.find(&format!("\"{name}\":")).unwrap()).into();
    assert!(places.is_sorted(), "{text}");
    assert_eq!(answer.json().as_object().unwrap().len(), members.len());
    assert_eq!(
        answer.json()["links"],
        json!({"self": format!("/api/jobs/{id}"), "status": format!("/api/jobs/{id}/status"),
               "result": format!("/api/jobs/{id}/result"), "events": format!("/api/jobs/{id}/events")})
    );
    // Half an hour, to the millisecond.
    let time = |member: &str| -> backroom::job::Timestamp {
        serde_json::from_value(answer.json()[member].clone()).unwrap()
    };
    let expires_in = time("expires_at").since(time("created_at"));
    assert_eq!(expires_in, std::time::Duration::from_mins(30));
    app.stop().await;
}

#[tokio::test]
async fn a_kind_alone_is_enough_and_null_counts_as_left_out() {
    let app = TestApp::start().await;
    let all_null = json!({"kind": "noop", "payload": null, "queue": null, "delay": null, "run_at": null,
        "max_attempts": null, "timeout": null, "expires_in": null, "tags": null,
        "callback_url": null, "callback_events": null, "notify_email": null});
    for body in [json!({"kind": "noop"}), all_null] {
        let id = app.submit(&body).await;
        app.until(&id, StateName::Completed).await;
        assert_eq!(app.get(&format!("/api/jobs/{id}/result")).await.text(), "{}");
        let job = app.job(&id).await;
        assert_eq!(job["queue"], "default");
        assert_eq!(job["max_attempts"], 8);
        assert_eq!(job["expires_at"], Value::Null);
        assert_eq!(job["tags"], json!([]));
    }
    app.stop().await;
}

#[tokio::test]
async fn the_queue_is_that_of_the_kind_unless_the_job_says_otherwise() {
    let app = TestApp::start().await;
    let mail = json!({"to": "ada@example.com", "subject": "Hi", "text": "Hello"});
    for (queue, expected) in [(json!(null), "mail"), (json!("default"), "default")] {
        let id = app.submit(&json!({"kind": "email", "payload": mail, "queue": queue})).await;
        assert_eq!(app.job(&id).await["queue"], expected);
        app.until(&id, StateName::Completed).await;
    }
    app.stop().await;
}

#[tokio::test]
async fn a_delay_makes_it_wait_for_its_time() {
    let app = TestApp::start().await;
    let answer = app.post("/api/jobs", &json!({"kind": "act", "delay": "1h30m"})).await;
    assert_answer!("scheduled", answer);
    let job = answer.json();
    assert_eq!(job["waiting"]["until"], job["run_at"]);
    let time =
        |member: &str| -> backroom::job::Timestamp { serde_json::from_value(job[member].clone()).unwrap() };
    assert_eq!(time("run_at").since(time("created_at")), std::time::Duration::from_mins(90));
    // Below the clamp the pause is what is left.
    let soon = app.post("/api/jobs", &json!({"kind": "act", "delay": "20s"})).await;
    let pause: u64 = soon.header("retry-after").parse().unwrap();
    assert!((19..=20).contains(&pause), "{pause}");
    assert_eq!(app.runs(), 0);
    assert_eq!(app.stop().await.spilled, 2);
}

#[tokio::test]
async fn a_time_ahead_is_waited_for_and_a_past_one_means_now() {
    let app = TestApp::start().await;
    let now = app.jobs().clock().now();
    let ahead = now.after(std::time::Duration::from_hours(1)).to_string();
    let job = app.post("/api/jobs", &json!({"kind": "act", "run_at": ahead})).await.json();
    assert_eq!(job["state"], "scheduled");
    assert_eq!(job["waiting"], json!({"for": "schedule", "until": ahead, "ahead": 0}));
    for past in ["2001-02-03T04:05:06Z", "1970-01-01T00:00:00.000Z"] {
        let answer = app.post("/api/jobs", &json!({"kind": "act", "run_at": past})).await;
        assert_eq!(answer.status, 202);
        let job = app.job(&answer.id()).await;
        assert_eq!(job["run_at"], job["created_at"]);
        app.until(&answer.id(), StateName::Completed).await;
    }
    // An offset is an offset.
    let shifted = json!({"kind": "act", "run_at": "2001-02-03T04:05:06+07:00"});
    app.until(&app.submit(&shifted).await, StateName::Completed).await;
    app.stop().await;
}

#[tokio::test]
async fn jobs_in_front_are_counted_exactly() {
    let app = TestApp::narrow(10).await;
    app.hold().await;
    let mut ids = Vec::new();
    for ahead in 0..4 {
        let answer = app.post("/api/jobs", &json!({"kind": "act", "payload": {"wait": true}})).await;
        let waiting = json!({"for": "turn", "until": null, "ahead": ahead});
        assert_eq!(answer.json()["waiting"], waiting);
        ids.push(answer.id());
    }
    // One leaves, and everybody moves up.
    app.let_go(1);
    app.until(&ids[0], StateName::Processing).await;
    assert_eq!(app.job(&ids[0]).await["waiting"], Value::Null);
    for (ahead, id) in ids[1..].iter().enumerate() {
        assert_eq!(app.job(id).await["waiting"]["ahead"], ahead);
    }
    app.stop().await;
}

#[tokio::test]
async fn limits_hold_to_the_unit() {
    let app = TestApp::start().await;
    let year = 366 * 24;
    let past_year = year * 3600 + 1;
    let tag = |length| json!(["ä".repeat(length)]);
    let tags = |count| json!((0..count).map(|n| format!("t{n}")).collect::<Vec<_>>());
    let at_year = app.jobs().clock().now().after(std::time::Duration::from_hours(year));
    let beyond_year = at_year.after(std::time::Duration::from_mins(1)).to_string();
    for (member, good, bad, fault) in [
        (
            "max_attempts",
            vec![json!(1), json!(100)],
            vec![json!(0), json!(101), json!(-1), json!(1.5), json!(4_294_967_296_u64)],
            "must be 1 to 100",
        ),
        (
            "timeout",
            vec![json!("1ms"), json!("24h")],
            vec![json!("0s"), json!("999us"), json!("86400001ms")],
            "must be 1ms to 24h",
        ),
        (
            "expires_in",
            vec![json!("1h"), json!("8784h")],
            vec![json!("0s"), json!(format!("{past_year}s"))],
            "must be 1ms to 366d",
        ),
        (
            "delay",
            vec![json!("0s"), json!("8784h")],
            vec![json!(format!("{past_year}s"))],
            "must be at most 366d",
        ),
        (
            "run_at",
            vec![json!(at_year)],
            vec![json!(beyond_year), json!("9999-12-01T00:00:00Z")],
            "must be at most 366 days ahead",
        ),
        ("tags", vec![tags(0), tags(19), tags(20)], vec![tags(21)], "must hold at most 20 tags"),
    ] {
        for value in good {
            let answer = app.post("/api/jobs", &json!({"kind": "act", member: value})).await;
            assert_eq!(answer.status, 202, "{member} {value}: {}", answer.text());
        }
        for value in bad {
            let answer = app.post("/api/jobs", &json!({"kind": "act", member: value})).await;
            assert_eq!(answer.faults("validation-failed"), [format!("/{member}: {fault}")], "{value}");
        }
    }
    for length in [1, 63, 64] {
        app.submit(&json!({"kind": "act", "tags": tag(length)})).await;
    }
    for bad in [tag(0), tag(65), json!(["a\nb"])] {
        let answer = app.post("/api/jobs", &json!({"kind": "act", "tags": bad})).await;
        assert_eq!(
            answer.faults("validation-failed"),
            ["/tags/0: a tag is 1 to 64 characters without control characters"]
        );
    }
    app.stop().await;
}

#[tokio::test]
async fn a_payload_may_be_as_large_as_the_limit() {
    let app = TestApp::with(|config| config.limits.payload = 100).await;
    let payload = |length: usize| json!({"text": "x".repeat(length - r#"{"text":""}"#.len())});
    for length in [99, 100] {
        app.act(&payload(length)).await;
    }
    let answer = app.post("/api/jobs", &json!({"kind": "act", "payload": payload(101)})).await;
    assert_answer!("payload_too_large", answer);
    app.stop().await;
}

#[tokio::test]
async fn a_body_may_be_as_large_as_the_limit() {
    let app = TestApp::with(|config| config.server.body_limit = 1024).await;
    let body = |length: usize| {
        let body = json!({"kind": "act"}).to_string();
        // Blanks are part of the body and not of the job.
        " ".repeat(length - body.len()) + &body
    };
    for length in [1023, 1024] {
        assert_eq!(app.post_bytes("/api/jobs", body(length)).await.status, 202);
    }
    for path in ["/api/jobs", "/api/jobs/batch", "/nowhere", "/livez"] {
        let answer = app.post_bytes(path, body(1025)).await;
        assert_eq!(answer.problem(413, "payload-too-large")["limit"], 1024, "{path}");
        assert_eq!(answer.header("connection"), "close");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_full_queue_refuses_keeps_nothing_and_takes_again() {
    let app = TestApp::narrow(2).await;
    app.hold().await;
    let mut waiting = Vec::new();
    for _ in 0..2 {
        waiting.push(app.act(&json!({"wait": true})).await);
    }
    let refused = app.post("/api/jobs", &json!({"kind": "act"})).await;
    assert_answer!("queue_full", refused);
    assert_eq!(app.get("/api/jobs").await.json()["items"].as_array().unwrap().len(), 3);
    // A later one needs no room now.
    assert_eq!(app.post("/api/jobs", &json!({"kind": "act", "delay": "1h"})).await.status, 202);
    app.let_go(1);
    app.until(&waiting[0], StateName::Processing).await;
    assert_eq!(app.post("/api/jobs", &json!({"kind": "act"})).await.status, 202);
    app.stop().await;
}

#[tokio::test]
async fn a_producer_waits_for_room() {
    let app = TestApp::with(|config| {
        crate::app::narrow(config, 1);
        config.queues.get_mut("default").unwrap().enqueue_wait = std::time::Duration::from_mins(1);
    })
    .await;
    app.hold().await;
    let second = app.act(&json!({"wait": true})).await;
    let third = tokio::spawn(Answer::of(app.request("POST", "/api/jobs").json(&json!({"kind": "act"}))));
    // It is not in the list as long as there is no room for it, and it is once there is.
    assert_eq!(app.get("/api/jobs").await.json()["items"].as_array().unwrap().len(), 2);
    app.let_go(1);
    app.until(&second, StateName::Processing).await;
    assert_eq!(third.await.unwrap().status, 202);
    app.stop().await;
}

#[tokio::test]
async fn prefer_wait_leads_to_the_result() {
    let app = TestApp::start().await;
    let submit = |body: Value, wait: &str| {
        Answer::of(app.request("POST", "/api/jobs").header("prefer", wait).json(&body))
    };
    let completed = submit(json!({"kind": "act", "payload": {"text": "done"}}), "wait=20").await;
    assert_answer!("prefer_completed", completed);
    let result = app.get(completed.header("location")).await;
    assert_eq!(result.text(), "done");

    let given_up = submit(json!({"kind": "act", "payload": {"permanent": "no"}}), "wait=20").await;
    assert_eq!(given_up.status, 202);
    assert_eq!(given_up.json()["state"], "dead_lettered");
    assert_eq!(given_up.header("preference-applied"), "wait=20");

    let too_slow = submit(json!({"kind": "act", "payload": {"wait": true}}), "wait=0").await;
    assert_eq!(too_slow.status, 202);
    assert_eq!(too_slow.header("preference-applied"), "wait=0");
    assert_eq!(too_slow.header("retry-after"), "1");
    // More than a minute is cut to a minute; what is no number is ignored.
    let cut = submit(json!({"kind": "act", "payload": {"text": "x"}}), "wait=3600").await;
    assert_eq!(cut.header("preference-applied"), "wait=60");
    let ignored = submit(json!({"kind": "act", "payload": {"text": "x"}}), "wait=soon").await;
    assert_eq!(ignored.status, 202);
    assert!(!ignored.headers.contains_key("preference-applied"));
    app.stop().await;
}

#[tokio::test]
async fn a_job_that_is_due_waits_for_room() {
    let app = TestApp::narrow(1).await;
    app.hold().await;
    let second = app.act(&json!({"wait": true})).await;
    let third = app.submit(&json!({"kind": "act", "delay": "1ms"})).await;
    let due = async { while app.job(&third).await["waiting"]["for"] == "schedule" {} };
    crate::app::within("its time", due).await;
    let job = app.job(&third).await;
    assert_eq!(job["waiting"], json!({"for": "room", "until": null, "ahead": 0}));
    app.let_go(1);
    app.until(&second, StateName::Processing).await;
    app.until(&third, StateName::Pending).await;
    assert_eq!(app.job(&third).await["waiting"]["for"], "turn");
    app.stop().await;
}
