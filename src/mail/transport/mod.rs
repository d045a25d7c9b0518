//! How mails leave: not at all ([`Captured`]), as files, or to an SMTP server.

mod capture;
mod file;
mod smtp;
mod smtp_connection;
mod smtp_error;
mod smtp_reply;
mod smtp_tls;
mod smtp_url;

pub use capture::{Captured, CapturedAttachment, CapturedMail, CapturedSummary};

use lettre::Message;
use tokio_util::sync::CancellationToken;

use super::{Mail, MailFault, SendError, TransportSettings};
use crate::clock::Clock;
use crate::job::JobId;
use file::Folder;
use smtp::Smtp;

/// One way out, chosen at start.
pub(super) enum Transport {
    Capture(Captured),
    File(Folder),
    Smtp(Box<Smtp>),
}

impl Transport {
    pub(super) fn new(settings: TransportSettings, clock: Clock) -> Result<Self, Vec<MailFault>> {
        match settings {
            TransportSettings::Capture { max_messages, max_bytes } => {
                Captured::new(max_messages, max_bytes, clock).map(Self::Capture)
            }
            TransportSettings::File { folder } => Folder::new(folder, clock).map(Self::File),
            TransportSettings::Smtp(settings) => Smtp::new(&settings, clock).map(Box::new).map(Self::Smtp),
        }
    }

    /// Sends `message`, which was made of `mail`; gives back what the far side answered.
    pub(super) async fn send(
        &self,
        job: JobId,
        mail: &Mail,
        message: &Message,
        canceled: &CancellationToken,
    ) -> Result<String, SendError> {
        match self {
            Self::Capture(captured) => captured.keep(job, mail, message.formatted()),
            Self::File(folder) => folder.write(job, mail.recipients(), &message.formatted()).await,
            Self::Smtp(smtp) => Box::pin(smtp.send(message.envelope(), &message.formatted(), canceled)).await,
        }
    }
}
