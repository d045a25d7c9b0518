//! Webhooks, verified by the public libraries of Standard Webhooks for Node and for Python.

use serde_json::{Value, json};

use crate::peer::Peer;
use crate::process::{Place, Process, noop};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEXT: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const README: &str = include_str!("../../README.md");

/// A receiver that knows this secret and answers so, and where it listens.
async fn receiver(language: &str, secret: &str, answers: &[&str]) -> (Peer, String) {
    let arguments: Vec<&str> = std::iter::once(secret).chain(answers.iter().copied()).collect();
    let mut peer = match language {
        "node" => Peer::node("webhook.js", &arguments),
        _ => Peer::python("webhook.py", &arguments),
    };
    let url = format!("http://127.0.0.1:{}/hooks", peer.hear().await["port"]);
    (peer, url)
}

/// A server that signs with these secrets and tries a webhook again after this rest.
async fn serve(secrets: &str, rest: &str) -> (Place, Process) {
    let rest = format!("retry.patient.delays=[\"{rest}\"]");
    let place = Place::new(&[&format!("webhooks.secret={secrets}"), &rest]);
    let server = place.start().await;
    (place, server)
}

fn told(url: &str) -> Value {
    let mut job = noop(&json!({"name": "Ädä"}));
    job["callback_url"] = json!(url);
    job
}

#[tokio::test]
async fn a_webhook_is_verified_and_its_repeat_is_known_for_one() {
    for language in ["node", "python"] {
        // A fifth may be taken off the rest, and what is left of it must still be more than a second.
        let (_place, server) = serve(SECRET, "2s").await;
        let (mut peer, url) = receiver(language, SECRET, &["503", "200"]).await;
        let id = server.accepted(&told(&url)).await;
        let (first, second) = (peer.hear().await, peer.hear().await);
        for heard in [&first, &second] {
            assert_eq!(heard["verified"], true, "{language}: {heard}");
            assert_eq!((&heard["type"], &heard["job"]), (&json!("job.completed"), &json!(id)));
            assert_eq!(heard["result"]["name"], "Ädä");
        }
        assert_eq!((&first["id"], &first["body"]), (&second["id"], &second["body"]));
        let seconds = |heard: &Value| heard["timestamp"].as_str().unwrap().parse::<u64>().unwrap();
        assert!(seconds(&second) > seconds(&first), "a fresh time for each attempt");
        assert_ne!(first["signature"], second["signature"]);
        let delivery = server.end(first["id"].as_str().unwrap()).await;
        assert_eq!((&delivery["state"], &delivery["attempt"]), (&json!("completed"), &json!(2)));
        assert_eq!(server.get(&format!("/api/jobs/{id}")).await["callback"]["state"], "delivered");
        peer.end().await;
        assert_eq!(server.stop().await.code, Some(0));
    }
}

/// While a secret is rotated, who knows the old one and who knows the new one both can verify; who knows neither cannot.
#[tokio::test]
async fn a_secret_can_be_rotated() {
    let strange = "whsec_c29tZSBvdGhlciBzZWNyZXQgb2YgMzIgYnl0ZXMhISE=";
    let (_place, server) = serve(&format!("{NEXT},{SECRET}"), "1s").await;
    for language in ["node", "python"] {
        for (secret, verified) in [(SECRET, true), (NEXT, true), (strange, false)] {
            let (mut peer, url) = receiver(language, secret, &["200"]).await;
            server.accepted(&told(&url)).await;
            let heard = peer.hear().await;
            assert_eq!(heard["verified"], verified, "{language}: {heard}");
            assert_eq!(heard["signature"].as_str().unwrap().split(' ').count(), 2);
            let delivery = server.end(heard["id"].as_str().unwrap()).await;
            assert_eq!(delivery["state"], if verified { "completed" } else { "dead_lettered" });
            peer.end().await;
        }
    }
    assert_eq!(server.stop().await.code, Some(0));
}

#[tokio::test]
async fn a_receiver_that_answers_410_hears_no_more_of_the_job() {
    for language in ["node", "python"] {
        let (_place, server) = serve(SECRET, "1s").await;
        let (mut peer, url) = receiver(language, SECRET, &["410", "200"]).await;
        let mut job = told(&url);
        job["payload"]["sleep"] = json!("30s");
        job["callback_events"] = json!(["job.processing", "job.canceled"]);
        let id = server.accepted(&job).await;
        let first = peer.hear().await;
        assert_eq!(first["type"], "job.processing");
        assert_eq!(server.end(first["id"].as_str().unwrap()).await["state"], "dead_lettered");
        server.client.delete(format!("{}/api/jobs/{id}", server.base)).send().await.unwrap();
        let job = server.end(&id).await;
        assert_eq!((&job["state"], &job["callback"]["state"]), (&json!("canceled"), &json!("disabled")));
        let deliveries = server.get(&format!("/api/jobs/{id}/deliveries")).await;
        assert_eq!(deliveries["items"].as_array().unwrap().len(), 1, "{deliveries}");
        assert_eq!(peer.end().await, [] as [Value; 0]);
        assert_eq!(server.stop().await.code, Some(0));
    }
}

/// What could not be sent before the end of the process is sent by the next one, under the same id.
#[tokio::test]
async fn a_webhook_outlives_its_process() {
    let (place, server) = serve(SECRET, "1h").await;
    let (mut peer, url) = receiver("python", SECRET, &["500", "200"]).await;
    server.accepted(&told(&url)).await;
    let first = peer.hear().await;
    server.state(first["id"].as_str().unwrap(), "failed").await;
    let ended = server.stop().await;
    assert_eq!((ended.code, ended.report().spilled), (Some(0), 1), "{}", ended.text());
    let line = &place.spilled()[0];
    assert_eq!((&line["kind"], &line["id"]), (&json!("webhook"), &first["id"]));
    let server = place.start().await;
    let again = format!("{}/api/jobs/{}/retry", server.base, first["id"].as_str().unwrap());
    assert_eq!(server.client.post(again).send().await.unwrap().status(), 202);
    let second = peer.hear().await;
    assert_eq!((&second["verified"], &second["id"]), (&json!(true), &first["id"]));
    assert_eq!(first["body"], second["body"]);
    server.end(first["id"].as_str().unwrap()).await;
    peer.end().await;
    assert_eq!(server.stop().await.code, Some(0));
}

#[test]
fn the_readme_shows_what_is_tested() {
    for tested in [include_str!("webhook-verify.js"), include_str!("webhook_verify.py")] {
        assert!(README.contains(tested.trim_end()), "README.md does not hold:\n{tested}");
    }
}
