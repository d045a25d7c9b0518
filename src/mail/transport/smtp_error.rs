//! What an error of an SMTP conversation means: a repeat could help, or not.

use lettre::Address;
use lettre::transport::smtp;

use super::smtp_reply::Reply;
use crate::mail::SendError;
use crate::mail::address::mask_in;

/// Why a step of a conversation did not succeed.
pub(super) enum Broken {
    /// The server said no.
    Refused(Reply),
    /// The network failed, or the server hung up.
    Lost(std::io::Error),
    /// The connection could not be encrypted.
    Tls(smtp::Error),
    /// We gave up ourselves.
    Here(SendError),
}

impl Broken {
    /// Whether the conversation can go on: the server said no, and not that it leaves.
    pub(super) fn is_reply(&self) -> bool {
        matches!(self, Self::Refused(reply) if reply.code() != 421)
    }

    /// Whether the server has given the connection up.
    pub(super) fn is_gone(&self) -> bool {
        match self {
            Self::Refused(reply) => reply.code() == 421,
            Self::Lost(_) => true,
            Self::Tls(_) | Self::Here(_) => false,
        }
    }

    /// Whether nothing came back in time.
    pub(super) fn is_timeout(&self) -> bool {
        matches!(self, Self::Here(error) if error.code == "smtp-timeout")
    }

    /// Says whether a repeat could help; `recipients` are masked in what the server said.
    pub(super) fn judge<'a>(&self, recipients: impl IntoIterator<Item = &'a Address>) -> SendError {
        match self {
            Self::Refused(reply) => SendError {
                code: format!("smtp-{}", reply.code()).into(),
                message: printable(&mask_in(&reply.to_string(), recipients)),
                retryable: reply.code() < 500,
            },
            Self::Lost(error) => transient("smtp-connect", &format!("the connection failed: {error}")),
            Self::Tls(error) => match handshake(error) {
                Some(error) => transient("smtp-tls", &advice(error)),
                None => transient("smtp-connect", &error.to_string()),
            },
            Self::Here(error) => error.clone(),
        }
    }
}

impl From<std::io::Error> for Broken {
    fn from(error: std::io::Error) -> Self {
        Self::Lost(error)
    }
}

/// What a server said, short enough to be kept and fit to be shown: at most 500 characters, none of them a control.
pub(super) fn printable(text: &str) -> String {
    let plain: String = text.chars().filter(|c| !c.is_control()).take(500).collect();
    plain.trim_end().to_owned()
}

/// An error that a repeat could mend.
pub(super) fn transient(code: &'static str, message: &str) -> SendError {
    SendError { code: code.into(), message: printable(message), retryable: true }
}

/// What to do about a handshake that failed.
fn advice(error: &rustls::Error) -> String {
    use rustls::CertificateError as Bad;
    match error {
        rustls::Error::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => {
            "the server's certificate is for another name than the host in mail.smtp_url".to_owned()
        }
        rustls::Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => {
            "the server's certificate has expired".to_owned()
        }
        rustls::Error::InvalidCertificate(_) => {
            "the server's certificate is not trusted: set mail.smtp_ca_file, or \
            ?tls=none for a server on this machine"
                .to_owned()
        }
        error => format!("the TLS handshake failed: {error}"),
    }
}

/// What rustls has to say about it, if it was the TLS itself: it says so inside an I/O error.
fn handshake(error: &smtp::Error) -> Option<&rustls::Error> {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        let io = error.downcast_ref::<std::io::Error>();
        if let Some(error) = io.and_then(std::io::Error::get_ref) {
            return error.downcast_ref();
        }
        source = error.source();
    }
    None
}
