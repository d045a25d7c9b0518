//! What an error of an SMTP conversation means: a repeat could help, or not.

use lettre::Address;
use lettre::transport::smtp;

use crate::mail::SendError;
use crate::mail::address::mask_in;

/// Judges an error; `recipients` are masked in what the server said.
pub(super) fn judge<'a>(error: &smtp::Error, recipients: impl IntoIterator<Item = &'a Address>) -> SendError {
    if let Some(code) = error.status() {
        // The source of such an error is the text of the reply.
        let text = std::error::Error::source(error)
            .map(ToString::to_string)
            .unwrap_or_default();
        return SendError {
            code: format!("smtp-{code}").into(),
            message: printable(&mask_in(&format!("{code} {text}"), recipients)),
            retryable: !error.is_permanent(),
        };
    }
    let code = if error.is_timeout() {
        "smtp-timeout"
    } else if error.is_tls() || is_handshake(error) {
        "smtp-tls"
    } else if error.is_client() {
        "smtp-client"
    } else {
        "smtp-connect"
    };
    transient(code, &mask_in(&error.to_string(), recipients))
}

/// What a server said, short enough to be kept and fit to be shown: at most 500 characters, none of them a control.
pub(super) fn printable(text: &str) -> String {
    let plain: String = text.chars().filter(|c| !c.is_control()).take(500).collect();
    plain.trim_end().to_owned()
}

/// An error that a repeat could mend.
pub(super) fn transient(code: &'static str, message: &str) -> SendError {
    SendError {
        code: code.into(),
        message: printable(message),
        retryable: true,
    }
}

/// Whether a connection failed because of its certificate: rustls says so inside an I/O error.
fn is_handshake(error: &smtp::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(io) = error.downcast_ref::<std::io::Error>()
            && let Some(inner) = io.get_ref()
            && inner.is::<rustls::Error>()
        {
            return true;
        }
        source = error.source();
    }
    false
}
