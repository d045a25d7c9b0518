//! What is told about the kinds that are built in. Their handlers check payloads themselves, more exactly than a schema can
//! say; a test compares the two.

use serde_json::Value;

use crate::handler::{About, Schema};

/// A description, and a schema with an example in it.
fn about(description: &str, schema: &str) -> About {
    let document: Value = serde_json::from_str(schema)
        .unwrap_or_else(|error| unreachable!("a schema that is built in is no JSON: {error}"));
    let example = document["examples"].get(0).cloned();
    About { description: Some(description.to_owned()), schema: Some(Schema::describing(document)), example }
}

pub(super) fn email() -> About {
    about("Sends a mail, from a template or as it is written.", include_str!("about/email.json"))
}

pub(super) fn http() -> About {
    about(
        "Calls an HTTP API, and tries again when it does not answer or says that it cannot now.",
        include_str!("about/http.json"),
    )
}

pub(super) fn noop() -> About {
    about(
        "Does nothing, in every way that a job can: for trying out and measuring.",
        include_str!("about/noop.json"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::egress::{Client, Policy};
    use crate::handler::{Handler, Payload};
    use crate::kinds::{EmailHandler, HttpHandler, NoopHandler};
    use crate::mail::{Mailer, Settings, TransportSettings};
    use serde_json::json;

    /// What the schema refuses the handler refuses, and what the handler takes the schema takes.
    fn agree<H: Handler>(handler: &H, payloads: &[Value]) {
        let about = handler.about();
        let schema = Schema::new(about.schema.unwrap().document().clone()).unwrap();
        let by_handler = |payload: &Value| {
            serde_json::from_value::<H::Input>(payload.clone())
                .is_ok_and(|input| handler.check(&input).is_empty())
        };
        let by_schema = |payload: &Value| schema.check(&serde_json::value::to_raw_value(payload).unwrap());
        let example = about.example.unwrap();
        assert!(by_handler(&example), "the example of {}", <H::Input as Payload>::KIND);
        let (mut taken, mut refused) = (0, 0);
        for payload in payloads.iter().chain([&example]) {
            let faults = by_schema(payload);
            if by_handler(payload) {
                taken += 1;
                assert!(faults.is_empty(), "{payload}: {faults:?}");
            }
            refused += usize::from(!faults.is_empty());
        }
        assert!(taken >= 3 && refused >= 5, "{taken} taken, {refused} refused");
    }

    #[test]
    fn the_schemas_say_what_the_handlers_check() {
        let settings = Settings {
            from: "Shop <shop@example.com>".into(),
            app_name: "Shop".into(),
            templates: None,
            transport: TransportSettings::Capture { max_messages: 1, max_bytes: 1_000 },
        };
        let mailer = Mailer::new(settings, Clock::system()).unwrap();
        let mail = |member: &str, value: Value| {
            let mut mail = json!({"to": "a@b.example", "subject": "x", "text": "y"});
            mail[member] = value;
            mail
        };
        agree(
            &EmailHandler { mailer },
            &[
                mail("cc", json!(["a@b.example", "Ada <c@d.example>"])),
                mail("html", json!("<p>")),
                mail("reply_to", json!("a@b.example")),
                mail("bcc", Value::Null),
                mail(
                    "attachments",
                    json!([{"filename": "a.txt", "content_type": "text/plain", "content_base64": "eA=="}]),
                ),
                mail("to", json!(5)),
                mail("subject", json!([])),
                mail("attachments", json!([{}])),
                mail("cc", json!([1])),
                mail("ccc", json!("a@b.example")),
                json!([]),
                json!({}),
            ],
        );
        let client = Client::new(Policy::new("http.allow", Vec::new(), false)).unwrap();
        let call = |member: &str, value: Value| {
            let mut call = json!({"url": "https://a.example/"});
            call[member] = value;
            call
        };
        agree(
            &HttpHandler { client, clock: Clock::system(), body_limit: 1 },
            &[
                call("method", json!("PUT")),
                call("headers", json!({"a": "b"})),
                call("body", json!([1])),
                call("text", json!("x")),
                call("expect", json!([200])),
                call("follow_redirects", json!(true)),
                call("method", json!("put")),
                call("headers", json!({"a": 1})),
                call("text", json!(1)),
                call("expect", json!([])),
                call("follow_redirects", json!(1)),
                call("ulr", json!("x")),
                json!({}),
                json!(1),
            ],
        );
        let noop = |member: &str, value: Value| json!({member: value});
        agree(
            &NoopHandler,
            &[
                noop("sleep", json!("1s")),
                noop("steps", json!(1_000)),
                noop("fail", json!("panic")),
                noop("x", json!(1)),
                noop("sleep", json!(1)),
                noop("steps", json!(1_001)),
                noop("fail", json!("x")),
                noop("fail_times", json!(-1)),
                noop("ignore_cancel", json!("x")),
                json!([]),
                Value::Null,
            ],
        );
    }
}
