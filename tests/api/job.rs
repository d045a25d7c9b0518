//! `GET /api/jobs/{id}`, `/status`, `/payload`, `/log`: how a job stands.

use backroom::job::StateName;
use serde_json::{Value, json};

use crate::app::{Answer, TestApp, assert_answer};

#[tokio::test]
async fn what_an_attempt_says_is_seen_while_it_runs() {
    let app = TestApp::start().await;
    let id = app.act(&json!({"progress": [45, "rendering"], "log": ["one", "two"], "wait": true})).await;
    app.until_job(&id, "progress", |job| job.progress.percent == 45).await;
    assert_answer!("processing", app.get(&format!("/api/jobs/{id}/status")).await);
    assert_answer!("log", app.get(&format!("/api/jobs/{id}/log")).await);
    app.let_go(1);
    app.until(&id, StateName::Completed).await;
    let job = app.job(&id).await;
    assert_eq!(job["progress"], json!({"percent": 100, "message": "rendering"}));
    app.stop().await;
}

#[tokio::test]
async fn a_job_without_lines_has_an_empty_log() {
    let app = TestApp::start().await;
    let id = app.act(&json!({})).await;
    let log = app.get(&format!("/api/jobs/{id}/log")).await;
    assert_eq!((log.status.as_u16(), log.json()), (200, json!({"lines": []})));
    app.stop().await;
}

#[tokio::test]
async fn a_failed_job_says_why_and_when_it_goes_on() {
    let app = TestApp::start().await;
    let id = app.act(&json!({"fail": "451 try again later"})).await;
    app.until(&id, StateName::Failed).await;
    let answer = app.get(&format!("/api/jobs/{id}/status")).await;
    assert_answer!("failed", answer);
    let job = answer.json();
    assert_eq!(job["next_attempt_at"], job["waiting"]["until"]);
    assert_eq!(app.stop().await.spilled, 1);
}

#[tokio::test]
async fn attempts_that_are_used_up_make_a_dead_letter() {
    let app = TestApp::start().await;
    let id = app.submit(&json!({"kind": "noop", "payload": {"fail": "panic"}, "max_attempts": 1})).await;
    app.until(&id, StateName::DeadLettered).await;
    let answer = app.get(&format!("/api/jobs/{id}/status")).await;
    assert_answer!("dead_lettered", answer);
    app.stop().await;
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_is_timed_out() {
    let app = TestApp::start().await;
    let id = app
        .submit(&json!({"kind": "act", "payload": {"wait": true}, "timeout": "1ms", "max_attempts": 1}))
        .await;
    app.until(&id, StateName::DeadLettered).await;
    let job = app.job(&id).await;
    assert_eq!(
        job["error"],
        json!({"code": "timeout", "message": "the attempt took longer than 1ms", "retryable": true})
    );
    assert_eq!(job["attempts"][0]["outcome"], "timed_out");
    app.stop().await;
}

#[tokio::test]
async fn a_handler_can_skip_and_snooze() {
    let app = TestApp::start().await;
    let skipped = app.act(&json!({"skip": "nothing to do"})).await;
    app.until(&skipped, StateName::Skipped).await;
    assert_answer!("skipped", app.get(&format!("/api/jobs/{skipped}/status")).await);
    let snoozed = app.act(&json!({"snooze_hours": 2})).await;
    app.until(&snoozed, StateName::Scheduled).await;
    let job = app.job(&snoozed).await;
    assert_eq!(job["attempt"], 0);
    assert_eq!(job["attempts"][0]["outcome"], "snoozed");
    assert_eq!(job["waiting"]["for"], "schedule");
    assert!(job["waiting"]["until"].as_str() > job["run_at"].as_str(), "{job}");
    app.stop().await;
}

#[tokio::test]
async fn a_job_that_was_not_started_in_time_is_skipped() {
    let app = TestApp::narrow(10).await;
    app.hold().await;
    // Late because its turn comes too late, and because its time does.
    let waiting = app.submit(&json!({"kind": "act", "expires_in": "1ms"})).await;
    let scheduled = app.submit(&json!({"kind": "act", "expires_in": "1ms", "delay": "1h"})).await;
    app.until(&scheduled, StateName::Skipped).await;
    app.let_go(1);
    app.until(&waiting, StateName::Skipped).await;
    for id in [&waiting, &scheduled] {
        let job = app.job(id).await;
        assert_eq!(job["skip_reason"], "expired");
        assert_eq!((&job["started_at"], &job["attempts"]), (&Value::Null, &json!([])));
    }
    assert_eq!(app.runs(), 1, "only the one that was held");
    app.stop().await;
}

#[tokio::test]
async fn the_monitor_leads_a_completed_job_to_its_result() {
    let app = TestApp::start().await;
    let id = app.act(&json!({"text": "done"})).await;
    app.until(&id, StateName::Completed).await;
    let answer = app.get(&format!("/api/jobs/{id}/status")).await;
    assert_answer!("status_completed", answer);
    assert_eq!(answer.header("location"), format!("/api/jobs/{id}/result"));
    // The job itself is 200 whatever its state.
    let job = app.get(&format!("/api/jobs/{id}")).await;
    assert_eq!((job.status.as_u16(), job.json()), (200, answer.json()));
    assert!(!job.headers.contains_key("retry-after"));
    app.stop().await;
}

#[tokio::test]
async fn an_unchanged_job_is_not_sent_again() {
    let app = TestApp::start().await;
    let id = app.hold().await;
    let path = format!("/api/jobs/{id}");
    let first = app.get(&path).await;
    let tag = first.header("etag").to_owned();
    assert_eq!(app.get(&path).await.header("etag"), tag);
    let ask = |known: String| Answer::of(app.request("GET", &path).header("if-none-match", known));
    let unchanged = ask(tag.clone()).await;
    assert_answer!("not_modified", unchanged);
    for known in [format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
        assert_eq!(ask(known.clone()).await.status, 304, "{known}");
    }
    for other in ["\"x\"".to_owned(), tag.trim_matches('"').to_owned()] {
        assert_eq!(ask(other.clone()).await.status, 200, "{other}");
    }
    app.let_go(1);
    app.until(&id, StateName::Completed).await;
    let changed = ask(tag.clone()).await;
    assert_eq!(changed.status, 200);
    assert_ne!(changed.header("etag"), tag);
    app.stop().await;
}

#[tokio::test]
async fn whoever_prefers_to_wait_is_answered_when_it_ends() {
    let app = TestApp::start().await;
    let id = app.hold().await;
    let ask = |part: &str, wait: &str| {
        let request = app.request("GET", &format!("/api/jobs/{id}{part}"));
        tokio::spawn(Answer::of(request.header("prefer", wait.to_owned())))
    };
    let now = ask("/status", "wait=0").await.unwrap();
    assert_eq!((now.status.as_u16(), now.header("retry-after")), (200, "1"));
    assert_eq!(now.header("preference-applied"), "wait=0");
    let (show, status) = (ask("", "wait=61"), ask("/status", "respond-async, wait=19"));
    // A round trip behind both, so that they are waiting.
    assert_eq!(app.job(&id).await["state"], "processing");
    app.let_go(1);
    let (show, status) = (show.await.unwrap(), status.await.unwrap());
    assert_eq!((show.status.as_u16(), &show.json()["state"]), (200, &json!("completed")));
    assert_eq!(show.header("preference-applied"), "wait=60");
    assert_eq!(status.status, 303);
    assert_eq!(status.header("preference-applied"), "wait=19");
    // It has ended: nobody waits any more.
    let ended = ask("", "wait=60").await.unwrap();
    assert_eq!(ended.json()["state"], "completed");
    app.stop().await;
}

#[tokio::test]
async fn secrets_of_a_payload_are_not_shown() {
    let app = TestApp::with(|config| {
        let kind = backroom::config::Kind { sensitive: vec!["iban".to_owned()], ..Default::default() };
        config.kinds.insert("noop".parse().unwrap(), kind);
    })
    .await;
    let payload = json!({"password": "s3cret-a", "inner": [{"apiKey": "s3cret-a", "iban": "s3cret-b"}],
        "reset_url": "https://x.example/?token=s3cret-c", "shown": "as it is", "tokens": {"a": "s3cret-d"}});
    let id = app.submit(&json!({"kind": "noop", "payload": payload})).await;
    let answer = app.get(&format!("/api/jobs/{id}/payload")).await;
    assert_answer!("payload", answer);
    let shown = answer.json();
    assert!(!answer.text().contains("s3cret"), "{shown}");
    // Equal ones can be seen to be equal.
    assert_eq!(shown["password"], shown["inner"][0]["apiKey"]);
    assert_ne!(shown["password"], shown["inner"][0]["iban"]);
    // Neither is it anywhere else.
    app.until(&id, StateName::Completed).await;
    for part in ["", "/status", "/log"] {
        let answer = app.get(&format!("/api/jobs/{id}{part}")).await;
        assert!(!answer.text().contains("s3cret"), "{}", answer.text());
        assert!(!answer.text().contains("as it is"), "{}", answer.text());
    }
    app.stop().await;
}

#[tokio::test]
async fn a_job_that_is_not_there_is_not_found() {
    let app = TestApp::start().await;
    let nobody = "01a1fa71-0000-7000-8000-000000000000";
    assert_answer!("job_not_found", app.get(&format!("/api/jobs/{nobody}")).await);
    for id in [nobody, "x", "%20", "01a1fa7100007000800000000000000"] {
        for part in ["", "/status", "/result", "/payload", "/log"] {
            app.get(&format!("/api/jobs/{id}{part}")).await.problem(404, "job-not-found");
        }
        let canceled = Answer::of(app.request("DELETE", &format!("/api/jobs/{id}"))).await;
        canceled.problem(404, "job-not-found");
        let retried = app.post(&format!("/api/jobs/{id}/retry"), &json!(null)).await;
        retried.problem(404, "job-not-found");
        let waiting = app.request("GET", &format!("/api/jobs/{id}/status")).header("prefer", "wait=20");
        Answer::of(waiting).await.problem(404, "job-not-found");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_job_that_was_forgotten_is_not_found() {
    let app = TestApp::with(|config| config.retention.max_finished = 1).await;
    let ids = [app.hold().await, app.hold().await];
    for id in &ids {
        let waiting = app.request("GET", &format!("/api/jobs/{id}")).header("prefer", "wait=20");
        let waiting = tokio::spawn(Answer::of(waiting));
        let canceled = Answer::of(app.request("DELETE", &format!("/api/jobs/{id}"))).await;
        assert_eq!(canceled.status, 202);
        assert_eq!(waiting.await.unwrap().json()["state"], "canceled");
    }
    app.get(&format!("/api/jobs/{}", ids[0])).await.problem(404, "job-not-found");
    assert_eq!(app.job(&ids[1]).await["state"], "canceled");
    let list = app.get("/api/jobs").await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn the_pause_until_the_next_question_follows_the_measured_speed() {
    let app = TestApp::narrow(1000).await;
    // A second in which twenty jobs came to their end, and nothing else is done meanwhile.
    let jobs = vec![json!({"kind": "act"}); 20];
    app.post("/api/jobs/batch", &json!({"jobs": jobs})).await;
    let measured =
        async { while app.get("/api/queues/default").await.json()["throughput_per_second"] == json!(0.0) {} };
    crate::app::within("the measure", measured).await;
    app.hold().await;
    let jobs = vec![json!({"kind": "act"}); 999];
    app.post("/api/jobs/batch", &json!({"jobs": jobs})).await;
    let last = app.post("/api/jobs", &json!({"kind": "act"})).await;
    let pause: u64 = last.header("retry-after").parse().unwrap();
    assert!((2..=30).contains(&pause), "{pause}");
    let refused = app.post("/api/jobs", &json!({"kind": "act"})).await;
    let pause: u64 = refused.header("retry-after").parse().unwrap();
    assert!((31..=300).contains(&pause), "{pause}");
    app.stop().await;
}
