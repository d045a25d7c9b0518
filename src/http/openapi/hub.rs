//! The SignalR hub. What is said over its transports is the SignalR protocol, for which OpenAPI has no words; what can be
//! asked over HTTP is described.

use serde_json::{Value, json};

use super::Resource;
use super::headers::{ACCEL_BUFFERING, CONTENT_ENCODING, query, sent};
use super::operation::{Answer, Operation};
use super::schemas::{and_maybe, list, object, text, words};
use crate::http::problem_type::ProblemType as T;

pub(super) fn resource() -> Resource {
    Resource {
        tag: ("Hub", "SignalR: `@microsoft/signalr` and other clients speak to it as they are."),
        operations: vec![negotiate(), connect(), send(), end()],
        schemas: vec![("Negotiation", negotiation())],
    }
}

fn negotiate() -> Operation {
    // Any text, because what is no version is answered with 200 as well.
    let version = json!({"type": "string", "default": "0", "examples": ["1"]});
    Operation::post("/hubs/jobs/negotiate", "negotiate")
        .says(
            "Negotiate a connection",
            "What the connection is called, and by which transports it can be opened. A client that speaks WebSockets only can do \
             without.",
        )
        .takes([query("negotiateVersion", "The newest that is understood: 0 or 1, and more counts as 1. Anything else is answered with `error`.", version)])
        .takes(of_clients())
        .security(either())
        .answers(
            Answer::json(200, "A connection that can be opened, or `error`: why there is none.", "Negotiation")
                .example(json!({
                    "negotiateVersion": 1, "connectionId": "q5vFVcR6t0uZ3xk2bT1yLw", "connectionToken": "Zr8oVn0KXH2mQ7eJ4sWdPg",
                    "availableTransports": [{"transport": "WebSockets", "transferFormats": ["Text"]}],
                })),
        )
        .refuses(&[T::Draining])
}

fn connect() -> Operation {
    Operation::get("/hubs/jobs", "connect")
        .says(
            "Open a connection, or ask it what is new",
            "By its headers: a WebSocket with `Upgrade: websocket` (which needs no `id`), server-sent events with \
             `Accept: text/event-stream`, else long polling, whose first answer is empty. Methods (JSON protocol): \
             `Subscribe(jobId)`, `Unsubscribe(jobId)`, `SubscribeQueue(name)`, `GetJob(jobId)`, `StreamJob(jobId)`, \
             `Enqueue(request)`. The client is called as `JobUpdated(envelope)`, an `Event`.",
        )
        .takes([id(false)])
        .takes(of_clients())
        .security(either())
        .answers(Answer::empty(101, "A WebSocket."))
        .answers(
            Answer::of(200, "What is new.", "application/octet-stream", text("Records of the SignalR protocol."))
                .or("text/event-stream", text("The same, each event with some of them as its `data`."))
                .may(&CONTENT_ENCODING)
                .may(&ACCEL_BUFFERING),
        )
        .answers(Answer::empty(204, "The connection is over: a poll is told so once."))
        .refuses(&[T::NotFound, T::Conflict, T::Unavailable, T::Draining])
}

fn send() -> Operation {
    let handshake = "{\"protocol\":\"json\",\"version\":1}\u{1e}";
    Operation::post("/hubs/jobs", "sendToHub")
        .says(
            "Say something over a connection",
            "For the transports that can only listen. Where records end is said in them: a body may be a part of one, or several.",
        )
        .takes([id(true)])
        .takes(of_clients())
        .body_as(
            &["text/plain"],
            false,
            text("Records of the SignalR protocol, each ended by U+001E."),
            json!({"handshake": {"summary": "What a connection begins with", "value": handshake}}),
        )
        .security(either())
        .answers(Answer::empty(200, "It was taken."))
        .refuses(&[T::NotFound])
}

fn end() -> Operation {
    Operation::delete("/hubs/jobs", "endConnection")
        .says("End a connection", "Only one that polls; the others are closed.")
        .takes([id(true)])
        .takes(of_clients())
        .security(either())
        .answers(Answer::empty(202, "It ends."))
        .refuses(&[T::NotFound])
}

fn id(required: bool) -> Value {
    let description = "The connection: its `connectionToken`, or its `connectionId` with version 0.";
    let mut id = query("id", description, json!({"type": "string"}));
    id["required"] = required.into();
    id
}

/// What clients of the hub send with every request.
fn of_clients() -> [Value; 2] {
    [sent("X-Requested-With"), sent("X-SignalR-User-Agent")]
}

fn either() -> Value {
    json!([{"token": []}, {"access_token": []}])
}

fn negotiation() -> Value {
    let transport = object(
        "A transport.",
        [
            ("transport", words("Its name.", &["WebSockets", "ServerSentEvents", "LongPolling"])),
            ("transferFormats", list(words("A format.", &["Text"]))),
        ],
    );
    let version = json!({"type": "integer", "enum": [0, 1], "description": "The version that is spoken."});
    let mut negotiation = and_maybe(
        object("A connection that can be opened, or why there is none.", []),
        [
            ("negotiateVersion", version),
            ("connectionId", text("Its name, which may be shown around.")),
            ("connectionToken", text("What opens it, from version 1 on.")),
            ("availableTransports", list(transport)),
            ("error", text("Why there is none.")),
        ],
    );
    negotiation["oneOf"] = json!([
        {"required": ["negotiateVersion", "connectionId", "availableTransports"]},
        {"required": ["error"]},
    ]);
    negotiation
}
