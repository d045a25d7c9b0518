//! Mails: what they say (templates), what they are (a checked [`Mail`]) and how they leave (a transport).
//!
//! ```text
//! template + data -> Rendered -+
//!                              +-> Draft -> Mail -> Mailer::send -> capture | file | smtp
//! subject + text/html ---------+
//! ```
//!
//! A [`Mail`] cannot be made without passing every check, and its bytes depend on nothing but itself and the job: a
//! retry sends the same bytes with the same `Message-ID`, so that the far side can recognise it. No address, subject
//! or body goes to a log; see [`mask`].

mod address;
mod mailer;
mod message;
mod settings;
mod templates;
mod transport;

pub use address::{mask, parse_mailbox};
pub use mailer::{Mailer, SendError, Sent};
pub use message::{Attachment, Draft, MAX_RECIPIENTS, MAX_SUBJECT_CHARS, Mail};
pub(crate) use message::{check_file_name, check_subject, parse_content_type};
pub use settings::{MailFault, Settings, SmtpSettings, TransportSettings};
pub use templates::{RenderError, Rendered, Templates};
pub use transport::{Captured, CapturedAttachment, CapturedMail, CapturedSummary};
