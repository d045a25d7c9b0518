//! The one door through which mails leave.

use std::borrow::Cow;
use std::sync::Arc;

use lettre::message::Mailbox;
use tokio_util::sync::CancellationToken;

use super::transport::{Captured, Transport};
use super::{Draft, Mail, MailFault, Settings, Templates, parse_mailbox};
use crate::clock::Clock;
use crate::job::{Fault, JobId, Timestamp};
use crate::metrics::{Counter, MailOutcome};

/// How long the name of the application may be, in characters.
const MAX_APP_NAME_CHARS: usize = 100;

/// Renders and sends mails. Cheap to clone.
#[derive(Clone)]
pub struct Mailer(Arc<Inner>);

struct Inner {
    from: Mailbox,
    templates: Templates,
    transport: Transport,
    /// What became of the mails, for Prometheus.
    outcomes: [Counter; MailOutcome::ALL.len()],
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
    /// A short word for programs: `smtp-451`, `smtp-connect`, `smtp-tls`, `smtp-timeout`, `smtp-protocol`,
    /// `smtp-auth`, `canceled`, `mail-file`.
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
            faults.push(MailFault::new("mail.app_name", "must not contain control characters"));
        }
        let templates = Templates::load(&settings.app_name, settings.templates.as_deref());
        let templates = templates.map_err(|found| faults.extend(found));
        let transport = Transport::new(settings.transport, clock).map_err(|found| faults.extend(found));
        match (from, templates, transport) {
            (Ok(from), Ok(templates), Ok(transport)) if faults.is_empty() => {
                Ok(Self(Arc::new(Inner { from, templates, transport, outcomes: Default::default() })))
            }
            _ => Err(faults),
        }
    }

    /// Makes a mail of a draft, from the sender of the settings. `date` is when the job was first due.
    ///
    /// # Errors
    ///
    /// Every fault at once.
    pub fn compose(&self, date: Timestamp, draft: Draft) -> Result<Mail, Vec<Fault>> {
        Mail::new(self.0.from.clone(), date, draft)
    }

    /// Sends a mail: to all of its recipients or to none. A cancellation stops it until the server has heard of the mail;
    /// from there on it goes on to the end: half way through, whether the server took it would never be known.
    ///
    /// # Errors
    ///
    /// Says whether a repeat could succeed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection that it used. Whether the server took the mail is then unknown; the
    /// repeat has the same `Message-ID`.
    pub async fn send(
        &self,
        job: JobId,
        mail: &Mail,
        canceled: &CancellationToken,
    ) -> Result<Sent, SendError> {
        let sent = self.send_uncounted(job, mail, canceled).await;
        let outcome = match &sent {
            Ok(_) => MailOutcome::Sent,
            Err(SendError { retryable: true, .. }) => MailOutcome::Failed,
            Err(_) => MailOutcome::Refused,
        };
        self.0.outcomes[outcome as usize].add_one();
        sent
    }

    async fn send_uncounted(
        &self,
        job: JobId,
        mail: &Mail,
        canceled: &CancellationToken,
    ) -> Result<Sent, SendError> {
        let message = mail.to_message(job).map_err(|error| SendError {
            code: "mail-invalid".into(),
            message: format!("the mail could not be built: {error}"),
            retryable: false,
        })?;
        let response = self.0.transport.send(job, mail, &message, canceled).await?;
        let accepted = mail.recipients().into_iter().map(ToString::to_string).collect();
        Ok(Sent { message_id: mail.message_id(job), accepted, response })
    }

    /// How many mails came to which end since the start.
    pub fn outcomes(&self) -> impl Iterator<Item = (MailOutcome, u64)> {
        MailOutcome::ALL.into_iter().zip(self.0.outcomes.iter().map(Counter::get))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{SmtpSettings, TransportSettings};
    use std::time::Duration;

    fn settings() -> Settings {
        Settings {
            from: "Shop <shop@example.com>".into(),
            app_name: "Shop".into(),
            templates: None,
            transport: TransportSettings::Capture { max_messages: 10, max_bytes: 1 << 20 },
        }
    }

    fn faults(settings: Settings) -> Vec<&'static str> {
        Mailer::new(settings, Clock::system())
            .err()
            .unwrap_or_default()
            .into_iter()
            .map(|fault| fault.key)
            .collect()
    }

    #[test]
    fn every_fault_is_reported_at_once() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let smtp = SmtpSettings {
            url: "smtp://u:s3cret@mx.example?tls=none".into(),
            password: Some("s3cret".into()),
            timeout: Duration::ZERO,
            pool_size: 0,
            ca_file: Some(file.path().to_owned()),
        };
        let bad = Settings {
            from: "nobody".into(),
            app_name: " ".into(),
            templates: Some("/nowhere/at/all".into()),
            transport: TransportSettings::Smtp(smtp),
        };
        let found = Mailer::new(bad, Clock::system()).err().unwrap();
        let keys: Vec<_> = found.iter().map(|fault| fault.key).collect();
        let expected = [
            "mail.from",
            "mail.app_name",
            "mail.templates",
            "mail.smtp_password_file",
            "mail.smtp_url",
            "mail.smtp_timeout",
            "mail.smtp_pool",
            "mail.smtp_ca_file",
        ];
        assert_eq!(keys, expected);
        assert!(!format!("{found:?}").contains("s3cret"));
    }

    #[test]
    fn limits_hold_at_their_edges() {
        for (chars, ok) in [(1, true), (100, true), (101, false), (0, false)] {
            assert_eq!(
                faults(Settings { app_name: "ä".repeat(chars), ..settings() }).is_empty(),
                ok,
                "{chars}"
            );
        }
        assert_eq!(faults(Settings { app_name: "a\nb".into(), ..settings() }), ["mail.app_name"]);
        let smtp = |timeout, pool_size| {
            let url = "smtp://mx.example?tls=none".into();
            let smtp = SmtpSettings { url, password: None, timeout, pool_size, ca_file: None };
            faults(Settings { transport: TransportSettings::Smtp(smtp), ..settings() }).len()
        };
        assert_eq!(smtp(Duration::from_millis(1), 1), 0);
        assert_eq!(smtp(Duration::from_mins(10), 100), 0);
        assert_eq!(smtp(Duration::from_micros(999), 101), 2);
        assert_eq!(smtp(Duration::from_millis(600_001), 0), 2);
    }

    #[tokio::test]
    async fn a_captured_mail_can_be_looked_at() {
        let mailer = Mailer::new(settings(), Clock::system()).unwrap();
        let draft = Draft {
            to: vec![parse_mailbox("ada@example.com").unwrap()],
            subject: "s".into(),
            text: Some("t".into()),
            ..Draft::default()
        };
        let mail = mailer.compose(Timestamp::from_millis(0), draft).unwrap();
        let sent = mailer.clone().send(JobId::MIN, &mail, &CancellationToken::new()).await.unwrap();
        assert_eq!(sent.accepted, ["ada@example.com"]);
        let captured = mailer.captured().unwrap().list();
        assert_eq!(captured[0].headers["Message-ID"], sent.message_id);
    }
}
