//! `[mail]`: where mail goes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lettre::message::Mailbox;
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};

use super::reader::{Reader, Section};
use super::secret::Secret;

/// Says where mail goes and in whose name.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The way.
    pub transport: MailTransport,
    /// The sender.
    pub from: Mailbox,
    /// The name of the app in the shipped templates.
    pub app_name: String,
    /// The server, for [`MailTransport::Smtp`], from `smtp_url` or `smtp_url_file`: checked, `smtp` or `smtps`.
    pub smtp_url: Option<SecretString>,
    /// The password, from `smtp_password` or `smtp_password_file`; `None` when it is in the URL, or there is none.
    pub smtp_password: Option<SecretString>,
    /// A PEM file with the certificate authority of the server.
    pub smtp_ca_file: Option<PathBuf>,
    /// How long one step of the conversation may take.
    pub smtp_timeout: Duration,
    /// Connections kept.
    pub smtp_pool: u32,
    /// A folder of templates that come before the shipped ones.
    pub templates: Option<PathBuf>,
    /// The folder for [`MailTransport::File`].
    pub folder: PathBuf,
    /// Mails kept for [`MailTransport::Capture`].
    pub capture_messages: usize,
    /// Bytes kept for [`MailTransport::Capture`].
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

const TRANSPORTS: [(&str, MailTransport); 3] = [
    ("capture", MailTransport::Capture),
    ("smtp", MailTransport::Smtp),
    ("file", MailTransport::File),
];

impl Mail {
    /// `None` only together with a fault.
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.section("mail", |s| {
            let transport = s.choice("transport", &TRANSPORTS);
            let from = s.text("from", None, mailbox);
            let smtp_url = s.secret("smtp_url", "smtp_url_file", check_url);
            let smtp_password = s.secret("smtp_password", "smtp_password_file", |_| {
                Ok("[redacted]".to_owned())
            });
            check_smtp(s, transport, &smtp_url, &smtp_password);
            Some(Self {
                transport,
                app_name: s.text("app_name", String::new(), not_empty),
                smtp_url: smtp_url.value(),
                smtp_password: smtp_password.value(),
                smtp_ca_file: existing(s, "smtp_ca_file", Path::is_file, "is not a file that can be read"),
                smtp_timeout: s.duration(
                    "smtp_timeout",
                    Duration::from_millis(100)..=Duration::from_mins(10),
                ),
                smtp_pool: s.integer("smtp_pool", 1..=100),
                templates: existing(s, "templates", Path::is_dir, "is not a folder that can be read"),
                folder: s.text("folder", PathBuf::new(), |text| {
                    not_empty(text).map(PathBuf::from)
                }),
                capture_messages: s.integer("capture_messages", 1..=1_000_000_u32) as usize,
                capture_bytes: s.size("capture_bytes", 1 << 10..=4 << 30) as usize,
                // At the end, so that everything has been read when it is not there.
                from: from?,
            })
        })
    }
}

fn check_smtp(s: &mut Section<'_>, transport: MailTransport, url: &Secret, password: &Secret) {
    match (url, password) {
        _ if s.is_incomplete() => {}
        (Secret::None, _) if transport == MailTransport::Smtp => {
            s.fault_of(
                "smtp_url",
                "transport",
                "is required when mail.transport is \"smtp\"",
            );
        }
        (Secret::Given { value: url, .. }, Secret::Given { key, .. }) => {
            let Ok(url) = Url::parse(url.expose_secret()) else {
                return;
            };
            if url.password().is_some() {
                s.fault(
                    key,
                    "is given, and so is a password in mail.smtp_url; write one of the two",
                );
            } else if url.username().is_empty() {
                s.fault(
                    key,
                    "is given, but mail.smtp_url names no user: write smtp://user@host",
                );
            }
        }
        _ => {}
    }
}

/// Checks the URL of a mail server and returns it without its credentials.
fn check_url(text: &str) -> Result<String, &'static str> {
    let url = Url::parse(text).map_err(|_| "must be a URL, as in smtp://user@host:587")?;
    if !matches!(url.scheme(), "smtp" | "smtps") {
        return Err("must begin with smtp:// or smtps://");
    }
    let host = url
        .host_str()
        .filter(|host| !host.is_empty())
        .ok_or("must name a host, as in smtp://user@host:587")?;
    if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
        return Err("must have no path and no fragment; a '/' or '#' in a password is written %2F or %23");
    }
    for (name, value) in url.query_pairs() {
        if name != "tls" || !matches!(&*value, "required" | "opportunistic" | "none") {
            return Err(
                "may be followed by ?tls=required, ?tls=opportunistic or ?tls=none, and nothing else",
            );
        }
    }
    let scheme = url.scheme();
    let user = if url.username().is_empty() && url.password().is_none() {
        ""
    } else {
        "[redacted]@"
    };
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    Ok(format!("{scheme}://{user}{host}{port}{query}"))
}

fn mailbox(text: &str) -> Result<Option<Mailbox>, String> {
    text.parse().map(Some).map_err(|_| {
        "must be an address, as in \"Name <name@example.com>\" or \"name@example.com\"".to_owned()
    })
}

fn not_empty(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        Err("must not be empty".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

/// A path that must lead to something, unless it is `""`.
fn existing(
    s: &mut Section<'_>,
    key: &'static str,
    is_right: fn(&Path) -> bool,
    reason: &'static str,
) -> Option<PathBuf> {
    s.text(key, None, |text| match text {
        "" => Ok(None),
        path if is_right(Path::new(path)) => Ok(Some(PathBuf::from(path))),
        _ => Err(reason.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{config, faults, loaded};

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
    fn smtp_needs_a_server() {
        assert_eq!(
            faults(&["mail.transport=smtp"]),
            ["--set: mail.smtp_url: is required when mail.transport is \"smtp\""]
        );
        let mail = config(&[
            "mail.transport=smtp",
            "mail.smtp_url=smtps://a:b@h:465?tls=required",
        ])
        .mail;
        assert_eq!(mail.transport, MailTransport::Smtp);
        assert_eq!(
            exposed(mail.smtp_url.as_ref()),
            Some("smtps://a:b@h:465?tls=required")
        );
        assert_eq!(
            config(&["mail.transport=file"]).mail.transport,
            MailTransport::File
        );
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
        ] {
            let found = faults(&["mail.transport=smtp", &format!("mail.smtp_url={bad}")]);
            assert_eq!(found.len(), 1, "{bad:?}: {found:?}");
            assert!(found[0].starts_with("--set: mail.smtp_url: m"), "{found:?}");
            assert!(!found[0].contains("s3"), "{found:?}");
        }
    }

    #[test]
    fn credentials_are_never_shown() {
        let set = [
            "mail.smtp_url=smtp://me@h:587/?tls=none",
            "mail.smtp_password=s3cret",
        ];
        let loaded = loaded(&set);
        let value = |key: &str| {
            loaded
                .effective
                .iter()
                .find(|v| v.key == key)
                .unwrap()
                .value
                .clone()
        };
        assert_eq!(value("mail.smtp_url"), "smtp://[redacted]@h:587?tls=none");
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
        assert!(
            found.len() == 1 && found[0].contains("names no user"),
            "{found:?}"
        );
        let file = written("s3cret");
        let found = faults(&[
            password,
            &format!("mail.smtp_password_file={}", file.path().display()),
        ]);
        assert_eq!(
            found,
            ["--set: mail.smtp_password_file: is given, and so is mail.smtp_password; write one of the two"]
        );
    }

    #[test]
    fn secrets_come_from_files_without_their_newline() {
        for (text, want) in [
            ("s3cret", "s3cret"),
            ("s3cret\n", "s3cret"),
            ("s3cret\r\n", "s3cret"),
            (" s \n\n", " s \n"),
        ] {
            let file = written(text);
            let path = file.path().display().to_string();
            let mail = config(&[&format!("mail.smtp_password_file={path}")]).mail;
            assert_eq!(exposed(mail.smtp_password.as_ref()), Some(want), "{text:?}");
        }
        let file = written("smtp://u:p@h\n");
        let mail = config(&[
            "mail.transport=smtp",
            &format!("mail.smtp_url_file={}", file.path().display()),
        ])
        .mail;
        assert_eq!(exposed(mail.smtp_url.as_ref()), Some("smtp://u:p@h"));
    }

    #[test]
    fn a_secret_file_must_hold_a_secret() {
        let found = faults(&["mail.smtp_password_file=/nonexistent/password"]);
        assert_eq!(found.len(), 1);
        assert!(
            found[0].starts_with("--set: mail.smtp_password_file: cannot be read: "),
            "{found:?}"
        );
        let empty = written("\n");
        let found = faults(&[&format!("mail.smtp_password_file={}", empty.path().display())]);
        assert_eq!(found, ["--set: mail.smtp_password_file: is an empty file"]);
        let wrong = written("http://u:s3cret@h");
        let found = faults(&[
            "mail.transport=smtp",
            &format!("mail.smtp_url_file={}", wrong.path().display()),
        ]);
        assert_eq!(
            found,
            ["--set: mail.smtp_url_file: must begin with smtp:// or smtps://"]
        );
    }

    #[test]
    fn addresses_names_and_paths_are_checked() {
        assert_eq!(
            config(&["mail.from=a@b.example"]).mail.from.to_string(),
            "a@b.example"
        );
        for bad in [
            "from=",
            "from=nobody",
            "from=A <b>",
            "app_name=",
            "app_name=  ",
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
        assert_eq!(faults(&[&format!("mail.templates={path}/gone")]).len(), 1);
    }
}
