//! The payload of an `email` job, and everything that can be wrong with it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::email_reader::Reader;
use crate::handler::Payload;
use crate::job::Fault;
use crate::mail::{Draft, Templates};

/// The payload of an `email` job.
///
/// It holds whatever JSON it was given, so that the check can name every fault and not only the first one that a decoder
/// would stop at.
///
/// # Examples
///
/// ```
/// use backroom::job::NewJob;
/// use backroom::kinds::Email;
///
/// let email = Email::from_template("ada@example.com", "welcome", &serde_json::json!({"name": "Ada"}))
///     .with("cc", "Bob <bob@example.com>")
///     .attach("terms.txt", "text/plain", b"Be kind.");
/// let job = NewJob::new("email", &email)?;
/// # Ok::<(), backroom::job::NewJobError>(())
/// ```
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Email(Value);

impl Payload for Email {
    const KIND: &'static str = "email";
}

impl Email {
    /// A mail from a template.
    pub fn from_template(to: &str, template: &str, data: &Value) -> Self {
        Self(json!({"to": to, "template": template, "data": data}))
    }

    /// A mail of plain text.
    pub fn from_text(to: &str, subject: &str, text: &str) -> Self {
        Self(json!({"to": to, "subject": subject, "text": text}))
    }

    /// Sets a member: `cc`, `bcc`, `reply_to`, `locale`, `html`, …
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.0[member] = value.into();
        self
    }

    /// Adds a file.
    #[must_use]
    pub fn attach(mut self, filename: &str, content_type: &str, content: &[u8]) -> Self {
        let content = BASE64_STANDARD.encode(content);
        let file = json!({"filename": filename, "content_type": content_type, "content_base64": content});
        match &mut self.0["attachments"] {
            Value::Array(files) => files.push(file),
            other => *other = json!([file]),
        }
        self
    }

    /// Reads the payload and renders its template.
    ///
    /// # Errors
    ///
    /// Every fault at once, with pointers relative to the payload. No fault repeats a value.
    pub(super) fn parse(&self, templates: &Templates) -> Result<Draft, Vec<Fault>> {
        let Value::Object(members) = &self.0 else {
            return Err(vec![Fault::new("", "must be an object")]);
        };
        Reader::new(members).read(templates)
    }
}
