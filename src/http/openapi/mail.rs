//! `/api/mail`.

use serde_json::{Value, json};

use super::Resource;
use super::headers::NOSNIFF;
use super::operation::{Answer, Operation};
use super::schemas::{ID, and_maybe, count, items_of, job_id, list, named, object, or_null, text, time};
use crate::http::problem_type::ProblemType as T;

pub(super) fn resource() -> Resource {
    Resource {
        tag: ("Mail", "Mail that was captured instead of sent (`mail.transport = \"capture\"`)."),
        operations: vec![
            Operation::get("/api/mail", "listMail")
                .says("List captured mail", "Newest first, without the texts.")
                .answers(Answer::json(200, "What is kept.", "Mails").example(json!({"items": [example()]}))),
            Operation::delete("/api/mail", "deleteMail")
                .says("Forget captured mail", "All of it.")
                .answers(Answer::json(200, "It is gone.", "Deleted").example(json!({"deleted": 3}))),
            Operation::get("/api/mail/{id}", "getMail")
                .says("Show a captured mail", "With its texts and headers.")
                .answers(Answer::json(200, "The mail.", "Mail"))
                .refuses(&[T::MailNotFound]),
            Operation::get("/api/mail/{id}/raw", "getRawMail")
                .says("Read a captured mail as it would have left", "Byte for byte (RFC 5322).")
                .answers(
                    Answer::of(200, "The message.", "message/rfc822", text("The message.")).with(&NOSNIFF),
                )
                .refuses(&[T::MailNotFound]),
        ],
        schemas: vec![
            ("MailSummary", summary([])),
            (
                "Mail",
                summary([
                    ("text", or_null(text("The body as plain text."))),
                    ("html", or_null(text("The body as HTML."))),
                    (
                        "headers",
                        json!({
                            "type": "object",
                            "description": "Every header; an array where a name is there more than once.",
                            "additionalProperties": {"type": ["string", "array"], "items": {"type": "string"}},
                        }),
                    ),
                ]),
            ),
            ("Mails", items_of("What is kept, newest first.", "MailSummary")),
            (
                "Attachment",
                object(
                    "A file without its content.",
                    [
                        ("filename", text("What it is called.")),
                        ("content_type", text("What it is.")),
                        ("size", count("How long it is, in bytes.")),
                    ],
                ),
            ),
        ],
    }
}

/// What every mail shows, and members that are always there too.
fn summary<const N: usize>(also: [(&str, Value); N]) -> Value {
    let addresses = || list(text("An address."));
    let mut mail = object(
        "A captured mail.",
        [
            ("id", json!({"type": "string", "format": "uuid", "description": "Its name here."})),
            ("job", job_id("The job that sent it.")),
            ("at", time("When it was sent.")),
            ("from", text("Who sent it.")),
            ("to", addresses()),
            ("subject", text("One line.")),
            ("attachments", list(named("Attachment"))),
        ],
    );
    for (name, schema) in also {
        mail["properties"][name] = schema;
        if let Some(required) = mail["required"].as_array_mut() {
            required.push(name.into());
        }
    }
    and_maybe(mail, [("cc", addresses()), ("bcc", addresses())])
}

fn example() -> Value {
    json!({
        "id": "019a9f2e-8001-7c11-a1b2-0d6f0b0e4a56", "job": ID, "at": "2026-11-20T16:50:00.412Z",
        "from": "Shop <shop@example.com>", "to": ["ada@example.com"], "subject": "Welcome, Ada", "attachments": [],
    })
}
