//! Starts that fail, and that take nothing with them.

use nix::sys::signal::Signal;
use serde_json::json;

use crate::process::{Place, exists, noop};

/// Leaves a spill file with one job behind; gives back its text.
async fn leave(place: &Place) -> String {
    let process = place.start().await;
    let mut later = noop(&json!({}));
    later["delay"] = json!("1h");
    process.accepted(&later).await;
    assert_eq!(process.stop().await.code, Some(0));
    std::fs::read_to_string(place.spill()).unwrap()
}

#[tokio::test]
async fn two_servers_do_not_share_a_spill_file() {
    let place = Place::new(&[]);
    let first = place.start().await;
    let second = place.fail(&[]).await;
    assert_eq!(second.code, Some(78), "{}", second.text());
    assert!(second.text().contains("is in use by another backroom"), "{}", second.text());
    // The first one has not noticed anything.
    let id = first.accepted(&noop(&json!({}))).await;
    assert_eq!(first.end(&id).await["state"], "completed");
    assert_eq!(first.stop().await.code, Some(0));
    assert_eq!(place.files(), [""; 0]);
}

#[tokio::test]
async fn a_file_that_is_not_ours_stops_the_start_and_is_left_alone() {
    let place = Place::new(&[]);
    for foreign in ["my notes\n", "{\"orders\": [1, 2]}\n"] {
        std::fs::write(place.spill(), foreign).unwrap();
        let ended = place.fail(&[]).await;
        assert_eq!(ended.code, Some(78), "{}", ended.text());
        assert!(ended.text().contains("is not a spill file of backroom"), "{}", ended.text());
        assert_eq!(std::fs::read_to_string(place.spill()).unwrap(), foreign);
        assert_eq!(place.files(), ["backroom.spill.jsonl"]);
    }
}

#[tokio::test]
async fn an_address_in_use_consumes_no_spill_file() {
    let place = Place::new(&[]);
    let left = leave(&place).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let bind = format!("server.bind={}", taken.local_addr().unwrap());
    let ended = place.fail(&[&bind]).await;
    assert_eq!(ended.code, Some(1), "{}", ended.text());
    assert!(ended.text().contains("cannot listen on"), "{}", ended.text());
    assert_eq!(std::fs::read_to_string(place.spill()).unwrap(), left);
    assert_eq!(place.files(), ["backroom.spill.jsonl"]);
}

#[tokio::test]
async fn a_start_that_fails_late_puts_back_what_it_took_up() {
    let place = Place::new(&[]);
    leave(&place).await;
    let left = place.spilled();
    let ended = place.fail(&["server.address_file=missing/address"]).await;
    assert_eq!(ended.code, Some(1), "{}", ended.text());
    assert_eq!(place.spilled(), left);
    assert_eq!(place.files(), ["backroom.spill.jsonl"]);
}

#[tokio::test]
async fn everybody_can_connect_only_when_that_is_written_out() {
    let place = Place::new(&[]);
    let ended = place.fail(&["server.bind=0.0.0.0:0"]).await;
    assert_eq!(ended.code, Some(78), "{}", ended.text());
    assert!(ended.text().contains("auth.mode"), "{}", ended.text());
    assert_eq!(place.files(), [""; 0]);
}

#[tokio::test]
async fn a_signal_during_the_start_loses_nothing() {
    let place = Place::new(&[]);
    leave(&place).await;
    let left = place.spilled();
    // Again and again, each time a little later: before it knows the signal, while it takes up, after it listens.
    for delay in 0..12 {
        let process = place.begin();
        // sleep: the moment at which the signal comes is the input of this test.
        tokio::time::sleep(std::time::Duration::from_millis(delay * 4)).await;
        process.signal(Signal::SIGTERM);
        let ended = process.ended().await;
        match ended.code {
            // Killed before it had done anything.
            None => {}
            Some(code) => {
                assert_eq!(code, 0, "{}", ended.text());
                let report = ended.report();
                assert_eq!((report.spilled, report.lost.len()), (1, 0));
            }
        }
        assert!(exists(&place.spill()), "after {delay}: {}", ended.text());
        assert_eq!(place.spilled(), left);
    }
}

#[tokio::test]
async fn beyond_loopback_it_takes_a_token() {
    let place = Place::new(&["server.bind=0.0.0.0:0"]);
    let open = place.fail(&[]).await;
    assert_eq!(open.code, Some(78), "{}", open.text());
    assert!(open.text().contains("server.bind: 0.0.0.0 is beyond loopback"), "{}", open.text());
    let both = place.fail(&["auth.token=canary-token-0123456789", "auth.mode=none"]).await;
    assert_eq!(both.code, Some(78), "{}", both.text());
    assert!(both.text().contains("auth.mode: is \"none\""), "{}", both.text());
    assert!(!both.text().contains("canary-token"), "{}", both.text());

    let file = place.path("token");
    std::fs::write(&file, "canary-token-0123456789\n").unwrap();
    let process = place.start_with(&[&format!("auth.token_file={}", file.display())]).await;
    assert_eq!(process.post(&noop(&json!({}))).await.status(), 401);
    let ended = process.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.text());
    assert!(!ended.text().contains("canary-token"), "{}", ended.text());
}
