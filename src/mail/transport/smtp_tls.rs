//! Whose certificates an SMTP connection believes.

use lettre::transport::smtp::client::{Certificate, CertificateStore, TlsParameters};

use crate::mail::{MailFault, SmtpSettings};

/// Those that the system believes or, with a `ca_file`, those of its authorities and no others.
pub(super) fn trust(host: &str, settings: &SmtpSettings) -> Result<TlsParameters, MailFault> {
    let mut builder = TlsParameters::builder(host.to_owned());
    let mut key = "mail.smtp_url";
    if let Some(path) = &settings.ca_file {
        key = "mail.smtp_ca_file";
        let pem = std::fs::read(path).map_err(|e| MailFault::new(key, format!("cannot be read: {e}")))?;
        if !String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
            return Err(MailFault::new(key, "has no certificate in PEM form"));
        }
        let certificate = Certificate::from_pem(&pem).map_err(|_| MailFault::new(key, "is not PEM"))?;
        builder = builder.certificate_store(CertificateStore::None).add_root_certificate(certificate);
    }
    builder.build().map_err(|error| MailFault::new(key, format!("no trust could be set up: {error}")))
}
