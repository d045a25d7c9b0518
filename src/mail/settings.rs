//! What the mailer is told: plain data, and the faults that can be in it.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

/// Everything that mails need to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The sender of every mail: `Shop <shop@example.com>`. Its domain is the right side of every `Message-ID`.
    pub from: String,
    /// What the templates call the application: 1 to 100 characters.
    pub app_name: String,
    /// A folder whose files override the built-in templates and add new ones. Read once, at start.
    pub templates: Option<PathBuf>,
    /// How mails leave.
    pub transport: TransportSettings,
}

/// How mails leave.
#[derive(Clone, Debug)]
pub enum TransportSettings {
    /// They do not: they are kept in memory and shown.
    Capture {
        /// How many are kept; the oldest leaves first. At least 1.
        max_messages: usize,
        /// How many bytes they may take together; one mail that is larger is refused. At least 1.
        max_bytes: usize,
    },
    /// As one `.eml` file each.
    File {
        /// Where to; made at the first mail if it does not exist.
        folder: PathBuf,
    },
    /// To a server.
    Smtp(SmtpSettings),
}

/// How to reach an SMTP server.
#[derive(Clone, Debug)]
pub struct SmtpSettings {
    /// `smtp://[user[:password]@]host[:port][?tls=required|opportunistic|none]` or `smtps://…` (TLS from the first byte).
    ///
    /// Ports: `smtps` 465; `smtp` 587 with a user, 25 without. `tls`: `required` with a user, `opportunistic` without.
    /// User and password are percent-encoded.
    pub url: SecretString,
    /// The password, if it is not in the URL.
    pub password: Option<SecretString>,
    /// How long to wait for a connection and for each reply: 1 ms to 10 min. The reply to a whole message may take 5 min
    /// even if this is less.
    pub timeout: Duration,
    /// How many connections there may be at a time: 1 to 100.
    pub pool_size: u32,
    /// A PEM file with the authorities to trust, in place of those of the system.
    pub ca_file: Option<PathBuf>,
}

/// One thing that is wrong with the [`Settings`].
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct MailFault {
    /// The key in the configuration, for example `mail.smtp_url`.
    pub key: &'static str,
    /// What is wrong and what would be right. Never contains a secret.
    pub reason: String,
}

impl MailFault {
    /// A fault of `key`.
    pub fn new(key: &'static str, reason: impl Into<String>) -> Self {
        Self { key, reason: reason.into() }
    }
}
