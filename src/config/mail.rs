//! `[mail]`: where mail goes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lettre::message::Mailbox;
use secrecy::{ExposeSecret as _, SecretString};

use super::layers::unreadable;
use super::reader::{Reader, Section};
use super::secret::{self, Secret};
use super::smtp_url::{Login, SmtpUrl};

/// Says where mail goes and in whose name.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The way.
    pub transport: MailTransport,
    /// The sender. For [`MailTransport::Smtp`] one that its server lets through.
    pub from: Mailbox,
    /// The name of the app in the shipped templates: 1 to 100 characters, none of them a control.
    pub app_name: String,
    /// The server, required for [`MailTransport::Smtp`]: `smtp://[user[:password]@]host[:port][?tls=…]` or `smtps://…`.
    pub smtp_url: Option<SecretString>,
    /// The password; `None` when it is in the URL, or there is none.
    pub smtp_password: Option<SecretString>,
    /// A PEM file with the certificate authority of the server, which then is the only one that is trusted.
    pub smtp_ca_file: Option<PathBuf>,
    /// How long connecting and each command may take, but not the final reply: 100 ms to 10 min.
    pub smtp_timeout: Duration,
    /// Connections at the same time: 1 to 100.
    pub smtp_pool: u32,
    /// A folder of templates that come before the shipped ones. Read once, at the start.
    pub templates: Option<PathBuf>,
    /// The folder for [`MailTransport::File`]; made when it is missing.
    pub folder: PathBuf,
    /// Mails kept for [`MailTransport::Capture`], the oldest go first: 1 to 1,000,000.
    pub capture_messages: usize,
    /// Bytes kept for [`MailTransport::Capture`], the oldest mails go first: 1 KiB to 4 GiB.
    pub capture_bytes: usize,
}

/// Names the way of a mail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MailTransport {
    /// Nowhere: kept in memory and shown.
    Capture,
    /// To a mail server.
    Smtp,
    /// Into a folder.
    File,
}

const TRANSPORTS: [(&str, MailTransport); 3] =
    [("capture", MailTransport::Capture), ("smtp", MailTransport::Smtp), ("file", MailTransport::File)];

impl Mail {
    /// `None` only together with a fault.
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.section("mail", |s| {
            let transport = s.choice("transport", &TRANSPORTS);
            let from = s.text("from", None, mailbox);
            let smtp_url =
                s.secret("smtp_url", "smtp_url_file", |text| SmtpUrl::parse(text).map(|url| url.shown));
            let smtp_password = s.secret("smtp_password", "smtp_password_file", |_| Ok(secret::hidden()));
            check_smtp(s, transport, &smtp_url, &smtp_password);
            // By its origin: who writes the shipped sender out means it.
            if transport == MailTransport::Smtp && s.comes_as_shipped("from") && !s.is_incomplete() {
                let reason =
                    "must be set when mail.transport is \"smtp\": nobody takes mail from the shipped one";
                s.fault_of("from", "transport", reason);
            }
            Some(Self {
                transport,
                app_name: s.text("app_name", String::new(), app_name),
                smtp_url: smtp_url.value(),
                smtp_password: smtp_password.value(),
                smtp_ca_file: existing(s, "smtp_ca_file", is_pem),
                smtp_timeout: s
                    .duration("smtp_timeout", Duration::from_millis(100)..=Duration::from_mins(10)),
                smtp_pool: s.integer("smtp_pool", 1..=100),
                templates: existing(s, "templates", is_folder),
                folder: s.text("folder", PathBuf::new(), folder),
                capture_messages: s.integer("capture_messages", 1..=1_000_000_u32) as usize,
                capture_bytes: s.size("capture_bytes", 1 << 10..=4 << 30) as usize,
                // At the end, so that everything has been read when it is not there.
                from: from?,
            })
        })
    }
}

fn check_smtp(s: &mut Section<'_>, transport: MailTransport, url: &Secret, password: &Secret) {
    if s.is_incomplete() {
        return;
    }
    let smtp = transport == MailTransport::Smtp;
    let (url, url_key) = match url {
        Secret::Given { value, key } => (SmtpUrl::parse(value.expose_secret()), *key),
        Secret::None if smtp => {
            s.fault_of("smtp_url", "transport", "is required when mail.transport is \"smtp\"");
            return;
        }
        Secret::None | Secret::Faulty => return,
    };
    match (url.map(|url| url.login), password) {
        (Ok(Login::UserAndPassword), Secret::Given { key, .. }) => {
            s.fault(key, "is given, and so is a password in mail.smtp_url; write one of the two");
        }
        (Ok(Login::None), Secret::Given { key, .. }) => {
            s.fault(key, "is given, but mail.smtp_url names no user: write smtp://user@host");
        }
        (Ok(Login::User), Secret::None) if smtp => {
            s.fault(url_key, "names a user, but there is no password: see mail.smtp_password_file");
        }
        _ => {}
    }
}

fn mailbox(text: &str) -> Result<Option<Mailbox>, String> {
    if text.chars().any(char::is_control) {
        return Err("must not contain control characters".to_owned());
    }
    text.trim().parse().map(Some).map_err(|_| {
        "must be an address, as in \"Name <name@example.com>\" or \"name@example.com\"".to_owned()
    })
}

fn app_name(text: &str) -> Result<String, String> {
    if text.chars().any(char::is_control) {
        return Err("must not contain control characters".to_owned());
    }
    if text.trim().is_empty() || text.chars().count() > 100 {
        return Err("must be 1 to 100 characters".to_owned());
    }
    Ok(text.to_owned())
}

fn folder(text: &str) -> Result<PathBuf, String> {
    if text.trim().is_empty() {
        return Err("must not be empty".to_owned());
    }
    Ok(PathBuf::from(text))
}

fn is_folder(path: &Path) -> Result<(), String> {
    if path.is_dir() { Ok(()) } else { Err("is not a folder that can be read".to_owned()) }
}

/// Only whether there is a certificate at all; the mailer reads it.
fn is_pem(path: &Path) -> Result<(), String> {
    let pem = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
    if String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
        Ok(())
    } else {
        Err("has no certificate in PEM form".to_owned())
    }
}

/// A path that must lead to something, unless it is `""`.
fn existing(
    s: &mut Section<'_>,
    key: &'static str,
    check: fn(&Path) -> Result<(), String>,
) -> Option<PathBuf> {
    s.text(key, None, |text| match text {
        "" => Ok(None),
        path => check(Path::new(path)).map(|()| Some(PathBuf::from(path))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{config, faults, loaded};

    const SMTP: &str = "mail.transport=smtp";
    const FROM: &str = "mail.from=a@b.example";

    fn exposed(secret: Option<&SecretString>) -> Option<&str> {
        secret.map(SecretString::expose_secret)
    }

    fn written(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn nothing_leaves_unless_that_is_said() {
        let mail = config(&[]).mail;
        assert_eq!(mail.transport, MailTransport::Capture);
        assert_eq!(mail.from.to_string(), "Backroom <backroom@localhost>");
        assert_eq!(mail.app_name, "Backroom");
        assert!(mail.smtp_url.is_none() && mail.smtp_password.is_none());
        assert_eq!((mail.smtp_ca_file, mail.templates), (None, None));
        assert_eq!((mail.smtp_timeout, mail.smtp_pool), (Duration::from_secs(30), 4));
        assert_eq!(mail.folder, PathBuf::from("mail"));
        assert_eq!((mail.capture_messages, mail.capture_bytes), (1000, 32 << 20));
    }

    #[test]
    fn smtp_needs_a_server_and_a_sender() {
        let url = "mail.smtp_url=smtps://a:b@h:465";
        assert_eq!(
            faults(&[SMTP, FROM]),
            ["--set: mail.smtp_url: is required when mail.transport is \"smtp\""]
        );
        let found = faults(&[SMTP, url]);
        assert!(
            found.len() == 1 && found[0].starts_with("--set: mail.from: must be set when mail.transport is"),
            "{found:?}"
        );
        // Written out, it is meant: for a mail server on a developer's machine.
        config(&[SMTP, url, "mail.from=Backroom <backroom@localhost>"]);
        let mail = config(&[SMTP, FROM, url]).mail;
        assert_eq!(mail.transport, MailTransport::Smtp);
        assert_eq!(exposed(mail.smtp_url.as_ref()), Some("smtps://a:b@h:465"));
        let file = config(&["mail.transport=file"]).mail;
        assert_eq!(file.transport, MailTransport::File);
    }

    #[test]
    fn a_faulty_url_is_one_fault_and_is_not_quoted() {
        for bad in [
            "s3cret",
            "http://u:s3cret@h",
            "smtp://",
            "smtp://u:s3/cret@h",
            "smtp://u:s3cret@h/path",
            "smtp://u:s3cret@h?tls=maybe",
            "smtp://u:s3cret@h?starttls=1",
            "smtp://u:s3cret@h:99999",
            "smtp://u:s3cret@h:0",
            "smtps://u:s3cret@h?tls=required",
            "smtp://u:s3cret@h?tls=required&tls=none",
            "smtp://u:s3cret@h?tls=none",
            "smtp://:s3cret@h",
            "smtp://u:s3cret%0a@h",
            "smtp://u:s3cret%ff@h",
        ] {
            let found = faults(&[SMTP, FROM, &format!("mail.smtp_url={bad}")]);
            assert_eq!(found.len(), 1, "{bad:?}: {found:?}");
            assert!(found[0].starts_with("--set: mail.smtp_url: m"), "{found:?}");
            assert!(!found[0].contains("s3"), "{found:?}");
        }
    }

    #[test]
    fn credentials_are_never_shown() {
        let set = ["mail.smtp_url=smtp://me@h:587/?tls=required", "mail.smtp_password=s3cret"];
        let loaded = loaded(&set);
        let value = |key: &str| loaded.effective.iter().find(|v| v.key == key).unwrap().value.clone();
        assert_eq!(value("mail.smtp_url"), "smtp://[redacted]@h:587?tls=required");
        assert_eq!(value("mail.smtp_password"), "[redacted]");
        assert_eq!(value("mail.smtp_password_file"), "");
        assert_eq!(exposed(loaded.config.mail.smtp_password.as_ref()), Some("s3cret"));
        let debug = format!("{loaded:?}");
        assert!(!debug.contains("s3cret") && !debug.contains("me@h"), "{debug}");
    }

    #[test]
    fn there_is_one_password_and_a_user_to_it() {
        let url = |url: &str| format!("mail.smtp_url={url}");
        let password = "mail.smtp_password=s3cret";
        let found = faults(&[&url("smtp://u:p@h"), password]);
        assert!(
            found.len() == 1 && found[0].starts_with("--set: mail.smtp_password: is given, and so"),
            "{found:?}"
        );
        let found = faults(&[&url("smtp://h"), password]);
        assert!(found.len() == 1 && found[0].contains("names no user"), "{found:?}");
        let found = faults(&[SMTP, FROM, &url("smtp://u@h")]);
        let want =
            "--set: mail.smtp_url: names a user, but there is no password: see mail.smtp_password_file";
        assert_eq!(found, [want]);
        assert_eq!(config(&[&url("smtp://u@h")]).mail.transport, MailTransport::Capture);
        let file = written("s3cret");
        let found = faults(&[password, &format!("mail.smtp_password_file={}", file.path().display())]);
        assert_eq!(
            found,
            ["--set: mail.smtp_password_file: is given, and so is mail.smtp_password; write one of the two"]
        );
    }

    #[test]
    fn addresses_names_and_paths_are_checked() {
        assert_eq!(config(&["mail.from=a@b.example"]).mail.from.to_string(), "a@b.example");
        for bad in [
            "from=",
            "from=nobody",
            "from=A <b>",
            "app_name=",
            "app_name=  ",
            "app_name=\"a\\nb\"",
            "from=\"A\\tB <a@b.example>\"",
            "folder=",
            "transport=pigeon",
        ] {
            assert_eq!(faults(&[&format!("mail.{bad}")]).len(), 1, "{bad:?}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        assert_eq!(
            config(&[&format!("mail.templates={path}")]).mail.templates,
            Some(folder.path().to_owned())
        );
        assert_eq!(faults(&[&format!("mail.smtp_ca_file={path}")]).len(), 1);
        let no_pem = written("s3cret");
        let found = faults(&[&format!("mail.smtp_ca_file={}", no_pem.path().display())]);
        assert!(found.len() == 1 && found[0].contains("no certificate"), "{found:?}");
        config(&[&format!("mail.app_name={}", "ä".repeat(100))]);
        assert_eq!(faults(&[&format!("mail.app_name={}", "ä".repeat(101))]).len(), 1);
        assert_eq!(faults(&[&format!("mail.templates={path}/gone")]).len(), 1);
    }
}
