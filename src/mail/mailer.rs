//! The one door through which mails leave.

use std::borrow::Cow;
use std::sync::Arc;

use lettre::message::Mailbox;

use super::transport::{Captured, Transport};
use super::{Draft, Mail, MailFault, Settings, Templates, parse_mailbox};
use crate::clock::Clock;
use crate::job::{Fault, JobId, Timestamp};

/// How long the name of the application may be, in characters.
const MAX_APP_NAME_CHARS: usize = 100;

/// Renders and sends mails. Cheap to clone.
#[derive(Clone)]
pub struct Mailer(Arc<Inner>);

struct Inner {
    from: Mailbox,
    templates: Templates,
    transport: Transport,
}

/// What became of a mail that was taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sent {
    /// Its `Message-ID`, with angle brackets.
    pub message_id: String,
    /// Who it was taken for. Addresses: not for a log.
    pub accepted: Vec<String>,
    /// What the server answered, for example `250 2.0.0 Ok: queued as 4F2C1`.
    pub response: String,
}

/// Why a mail was not taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct SendError {
    /// A short word for programs: `smtp-451`, `smtp-connect`, `smtp-tls`, `smtp-timeout`, `mail-file`.
    pub code: Cow<'static, str>,
    /// What happened, in the words of the server if it said something; addresses are masked.
    pub message: String,
    /// Whether a repeat could succeed.
    pub retryable: bool,
}

impl Mailer {
    /// Reads the settings and the templates. Connects to nothing and writes nothing.
    ///
    /// # Errors
    ///
    /// Every fault at once.
    pub fn new(settings: Settings, clock: Clock) -> Result<Self, Vec<MailFault>> {
        let mut faults = Vec::new();
        let from = parse_mailbox(&settings.from).map_err(|e| faults.push(MailFault::new("mail.from", e)));
        let name_chars = settings.app_name.chars().count();
        if settings.app_name.trim().is_empty() || name_chars > MAX_APP_NAME_CHARS {
            let reason = format!("must be 1 to {MAX_APP_NAME_CHARS} characters");
            faults.push(MailFault::new("mail.app_name", reason));
        } else if settings.app_name.chars().any(char::is_control) {
            faults.push(MailFault::new(
                "mail.app_name",
                "must not contain control characters",
            ));
        }
        let templates = Templates::load(&settings.app_name, settings.templates.as_deref());
        let templates = templates.map_err(|found| faults.extend(found));
        let transport = Transport::new(settings.transport, clock).map_err(|found| faults.extend(found));
        match (from, templates, transport) {
            (Ok(from), Ok(templates), Ok(transport)) if faults.is_empty() => Ok(Self(Arc::new(Inner {
                from,
                templates,
                transport,
            }))),
            _ => Err(faults),
        }
    }

    /// Makes a mail of a draft, from the sender of the settings. `created_at` is when the job was accepted.
    ///
    /// # Errors
    ///
    /// Every fault at once.
    pub fn compose(&self, created_at: Timestamp, draft: Draft) -> Result<Mail, Vec<Fault>> {
        Mail::new(self.0.from.clone(), created_at, draft)
    }

    /// Sends a mail: to all of its recipients or to none.
    ///
    /// # Errors
    ///
    /// Says whether a repeat could succeed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection that it used. Whether the server took the mail is then unknown; the
    /// repeat has the same `Message-ID`.
    pub async fn send(&self, job: JobId, mail: &Mail) -> Result<Sent, SendError> {
        let message = mail.to_message(job).map_err(|error| SendError {
            code: "mail-invalid".into(),
            message: format!("the mail could not be built: {error}"),
            retryable: false,
        })?;
        let response = self.0.transport.send(job, mail, &message).await?;
        let accepted = mail.recipients().into_iter().map(ToString::to_string).collect();
        Ok(Sent {
            message_id: mail.message_id(job),
            accepted,
            response,
        })
    }

    /// The templates.
    pub fn templates(&self) -> &Templates {
        &self.0.templates
    }

    /// The mails that were captured, if that is how they leave.
    pub fn captured(&self) -> Option<&Captured> {
        match &self.0.transport {
            Transport::Capture(captured) => Some(captured),
            Transport::File(_) | Transport::Smtp(_) => None,
        }
    }
}
