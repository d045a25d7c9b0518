//! The hub, used by the package `@microsoft/signalr` as it is, over each of its three transports.

use serde_json::{Value, json};

use crate::peer::Peer;
use crate::process::{PATIENCE, Place, Process, noop};

const NOBODY: &str = "01a1fa71-0000-7000-8000-000000000000";

/// A connection that does what it is told.
struct Client(Peer);

impl Client {
    async fn start(server: &Process, transport: &str, token: &str) -> Self {
        let mut peer = Peer::node("hub.js", &[&format!("{}/hubs/jobs", server.base), transport, token]);
        assert_eq!(peer.hear().await, json!({"started": true}));
        Self(peer)
    }

    /// Calls a method; its result, or its error.
    async fn invoke(&mut self, method: &str, argument: impl Into<Value>) -> Result<Value, String> {
        self.0.say(&json!({"invoke": method, "args": [argument.into()]}).to_string()).await;
        let mut answer = self.0.hear().await;
        match answer.get_mut("result") {
            Some(result) => Ok(result.take()),
            None => Err(answer["error"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()),
        }
    }

    /// The next `JobUpdated`: its type, and the job.
    async fn update(&mut self) -> (String, String) {
        let heard = self.0.hear().await;
        let text = |name: &str| heard[name].as_str().unwrap_or_else(|| panic!("{heard}")).to_owned();
        (text("updated"), text("job"))
    }

    /// Leaves, and has nothing more to say.
    async fn end(self) {
        assert_eq!(self.0.end().await, [json!({"closed": null})]);
    }
}

async fn cancel(server: &Process, id: &str) {
    let request = server.client.delete(format!("{}/api/jobs/{id}", server.base));
    assert!(request.send().await.unwrap().status().is_success());
}

/// Everything that a client does in its life.
async fn a_life(transport: &str) {
    let place = Place::new(&[]);
    let server = place.start().await;
    let mut client = Client::start(&server, transport, "").await;

    // A job from its submission over the hub to its end.
    let job = client.invoke("Enqueue", noop(&json!({"sleep": "30s"}))).await.unwrap();
    let id = job["id"].as_str().unwrap().to_owned();
    server.state(&id, "processing").await;
    let snapshot = client.invoke("Subscribe", &*id).await.unwrap();
    assert_eq!(
        (&snapshot["state"], &snapshot),
        (&json!("processing"), &client.invoke("GetJob", &*id).await.unwrap())
    );
    cancel(&server, &id).await;
    assert_eq!(client.update().await, ("job.progress".to_owned(), id.clone()), "it was asked to stop");
    assert_eq!(client.update().await, ("job.canceled".to_owned(), id.clone()));

    // A stream, from a snapshot to the end.
    let id = server.accepted(&noop(&json!({"sleep": "30s"}))).await;
    server.state(&id, "processing").await;
    client.0.say(&json!({"stream": "StreamJob", "args": [id]}).to_string()).await;
    let item = client.0.hear().await;
    assert_eq!((&item["item"], &item["state"]), (&json!("job.snapshot"), &json!("processing")));
    cancel(&server, &id).await;
    assert_eq!(client.0.hear().await["item"], "job.progress");
    let item = client.0.hear().await;
    assert_eq!((&item["item"], &item["state"]), (&json!("job.canceled"), &json!("canceled")));
    assert_eq!(client.0.hear().await, json!({"complete": true}));

    // A queue: jobs that nobody has named.
    assert_eq!(client.invoke("subscribequeue", "default").await, Ok(Value::Null));
    let id = server.accepted(&noop(&json!({}))).await;
    for state in ["pending", "processing", "completed"] {
        assert_eq!(client.update().await, (format!("job.{state}"), id.clone()));
    }
    assert_eq!(client.invoke("UnsubscribeQueue", "default").await, Ok(Value::Null));

    // What is wrong is said, and nothing is worse for it.
    for (method, argument, said) in [
        ("Nothing", json!(1), "unknown-method: there is no method \"Nothing\"; there are: Subscribe, "),
        ("GetJob", json!(NOBODY), "job-not-found: No job has this id"),
        ("Subscribe", json!("x"), "job-not-found: No job has this id"),
        ("GetJob", json!(7), "GetJob takes one argument, the id of a job, as a string"),
        ("SubscribeQueue", json!("x"), "queue-not-found: No queue has this name. There are: "),
        ("Enqueue", json!({"kind": "email", "queue": "x", "payload": {}}), "/queue"),
    ] {
        let error = client.invoke(method, argument).await.unwrap_err();
        assert!(error.contains(said), "{method}: {error}");
    }
    client.0.say(&json!({"stream": "StreamJob", "args": [NOBODY]}).to_string()).await;
    assert!(client.0.hear().await["error"].as_str().unwrap().contains("job-not-found"));
    assert_eq!(client.invoke("GETJOB", &*id).await.unwrap()["state"], "completed");
    client.end().await;
    assert_eq!(server.stop().await.code, Some(0));
}

#[tokio::test]
async fn a_life_over_web_sockets() {
    a_life("WebSockets").await;
}

#[tokio::test]
async fn a_life_over_server_sent_events() {
    a_life("ServerSentEvents").await;
}

#[tokio::test]
async fn a_life_over_long_polling() {
    a_life("LongPolling").await;
}

/// The server stops and another one starts in its place: the client comes back by itself, and finds its job.
async fn a_restart(transport: &str) {
    let place = Place::new(&[]);
    let server = place.start().await;
    let address = server.base.strip_prefix("http://").unwrap().to_owned();
    let mut client = Client::start(&server, transport, "").await;
    let mut job = noop(&json!({}));
    job["delay"] = "1h".into();
    let id = server.accepted(&job).await;
    assert_eq!(client.invoke("Subscribe", &*id).await.unwrap()["state"], "scheduled");
    let ended = server.stop().await;
    assert_eq!((ended.code, ended.report().spilled), (Some(0), 1));
    assert_eq!(
        client.0.hear().await,
        json!({"reconnecting": null}),
        "it was asked to, so that nothing is wrong"
    );

    let server = place.start_with(&[&format!("server.bind={address}")]).await;
    assert_eq!(client.0.hear().await, json!({"reconnected": true}));
    assert_eq!(client.invoke("Subscribe", &*id).await.unwrap()["state"], "scheduled");
    let now = server.client.post(format!("{}/api/jobs/{id}/retry", server.base));
    assert_eq!(now.send().await.unwrap().status(), 202);
    for state in ["pending", "processing", "completed"] {
        assert_eq!(client.update().await, (format!("job.{state}"), id.clone()));
    }
    client.end().await;
    assert_eq!(server.stop().await.code, Some(0));
}

#[tokio::test]
async fn a_restart_over_web_sockets() {
    a_restart("WebSockets").await;
}

#[tokio::test]
async fn a_restart_over_server_sent_events() {
    a_restart("ServerSentEvents").await;
}

#[tokio::test]
async fn a_restart_over_long_polling() {
    a_restart("LongPolling").await;
}

/// The token travels as each transport can: in a header, or in the URL.
#[tokio::test]
async fn a_token_lets_in_over_every_transport() {
    let place =
        Place::new(&["auth.tokens=[{name = \"shop\", token = \"shop-0123456789ab\", roles = [\"submit\"]}]"]);
    let server = place.start().await;
    for transport in ["WebSockets", "ServerSentEvents", "LongPolling"] {
        let mut client = Client::start(&server, transport, "shop-0123456789ab").await;
        let job = client.invoke("Enqueue", noop(&json!({}))).await.unwrap();
        assert_eq!(client.invoke("GetJob", job["id"].clone()).await.unwrap()["kind"], "noop");
        let error = client.invoke("SubscribeQueue", "default").await.unwrap_err();
        assert!(error.contains("forbidden: This needs a token with the role read"), "{error}");
        client.end().await;
    }
    let ended = server.stop().await;
    assert!(!ended.text().contains("shop-0123456789ab"), "the log has no token");
}

/// The example of README.md, as it stands there.
#[tokio::test]
async fn the_example_of_the_readme_follows_its_job_to_the_end() {
    let readme = include_str!("../../README.md");
    let example =
        readme.split("<!-- hub -->\n```js\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let place = Place::new(&[]);
    let server = place.start().await;
    let example = example.replace("http://127.0.0.1:8080", &server.base);
    assert!(example.contains(&server.base), "it says where the hub is");
    // What the client tells of itself goes where errors go.
    let show = "console.info = console.error; const show = ({ state }) => { console.log(JSON.stringify(state)); if (state === 'completed') process.exit(0); };\n";
    let mut peer = Peer::node("--input-type=module", &["-e", &format!("{show}{example}")]);
    while peer.hear().await != "completed" {}
    assert_eq!(peer.end().await, [Value::Null; 0]);
    assert_eq!(server.stop().await.code, Some(0));
}

/// All that a page says in one turn of its event loop, which the client sends together, and a goodbye right after a word.
async fn a_burst(transport: &str) {
    let place = Place::new(&["queues.default.capacity=1000"]);
    let server = place.start().await;
    let mut client = Client::start(&server, transport, "").await;
    for (method, argument, times) in [("Enqueue", noop(&json!({})), 100), ("GetJob", json!(NOBODY), 1_000)] {
        let order = json!({"burst": method, "args": [argument], "times": times});
        client.0.say(&order.to_string()).await;
        let heard = client.0.hear().await;
        let expected = if method == "Enqueue" { json!([100, 0]) } else { json!([0, 1_000]) };
        assert_eq!(heard, json!({"done": expected[0], "failed": expected[1]}), "{method}");
    }
    let mut job = noop(&json!({}));
    job["delay"] = "1h".into();
    client.0.say(&json!({"last": "Enqueue", "args": [job]}).to_string()).await;
    client.end().await;
    let made = async { while server.count("scheduled").await == 0 {} };
    tokio::time::timeout(PATIENCE, made).await.expect("what was sent before the goodbye is made");
    let ended = server.stop().await;
    assert_eq!((ended.code, ended.report().spilled), (Some(0), 1));
}

#[tokio::test]
async fn a_burst_over_web_sockets() {
    a_burst("WebSockets").await;
}

#[tokio::test]
async fn a_burst_over_server_sent_events() {
    a_burst("ServerSentEvents").await;
}

#[tokio::test]
async fn a_burst_over_long_polling() {
    a_burst("LongPolling").await;
}
