//! `[http]` and `[webhooks]`: requests that leave.

use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};

use super::reader::{Reader, Section};
use crate::egress::Allow;
use crate::sign::{MAX_SECRETS, Secret, Signer, Verifier};

/// How many entries a list of allowed targets may have.
const MAX_ALLOWED: usize = 1_000;

/// Says where jobs of the kind `http` may go.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Http {
    /// What is allowed beside the public internet: hosts, addresses, networks.
    pub allow: Vec<Allow>,
}

/// Says how requests to a user's app are signed, and where webhooks may go.
#[derive(Clone, Debug)]
pub struct Webhooks {
    /// The secrets, separated by commas or white space, the newest first: each `whsec_` and 24 to 64 bytes in base64, at
    /// most four. `None`: one is made.
    pub secret: Option<SecretString>,
    /// Where a secret that was made is kept, so that the next start finds it. `None`: nowhere.
    pub made_secret_file: Option<PathBuf>,
    /// What is allowed beside the public internet: hosts, addresses, networks.
    pub allow: Vec<Allow>,
}

impl Http {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        reader.section("http", |s| Self { allow: allow(s) })
    }
}

impl Webhooks {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        reader.section("webhooks", |s| Self {
            secret: s
                .secret("secret", "secret_file", |text| secrets(text).map(|_| "[redacted]".to_owned()))
                .value(),
            made_secret_file: s.path("made_secret_file"),
            allow: allow(s),
        })
    }

    /// The signer that the configured secrets make, if there are any.
    ///
    /// # Errors
    ///
    /// What is wrong with them; never quotes them.
    pub fn signer(&self) -> Result<Option<Signer>, &'static str> {
        self.secret.as_ref().map(|text| secrets(text.expose_secret()).map(Signer::new)).transpose()
    }
}

/// A verifier by secrets that are written as in `webhooks.secret` or in the file of `webhooks.secret_file`.
///
/// # Errors
///
/// What is wrong with them; never quotes them.
pub fn webhook_verifier(text: &str) -> Result<Verifier, &'static str> {
    secrets(text).map(Verifier::new)
}

fn allow(s: &mut Section<'_>) -> Vec<Allow> {
    s.list("allow", 0..=MAX_ALLOWED, |item| Allow::parse(item).map_err(|error| error.to_string()))
}

/// Several secrets in one text: a file has one a line, a list comes with commas, from a variable with its brackets too.
fn secrets(text: &str) -> Result<Vec<Secret>, &'static str> {
    let texts =
        text.split(|c: char| c.is_whitespace() || ",[]\"'".contains(c)).filter(|text| !text.is_empty());
    let secrets: Result<Vec<Secret>, _> = texts.map(Secret::parse).collect();
    let secrets = secrets.map_err(|_| {
        "must be \"whsec_\" and 24 to 64 random bytes in base64, as from: echo whsec_$(openssl rand -base64 32)"
    })?;
    if (1..=MAX_SECRETS).contains(&secrets.len()) {
        Ok(secrets)
    } else {
        Err("must be 1 to 4 secrets, the newest first")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{config, faults, loaded};

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn nothing_inside_is_allowed_unless_that_is_said() {
        let shipped = config(&[]);
        assert_eq!(shipped.http, Http::default());
        assert!(shipped.webhooks.allow.is_empty() && shipped.webhooks.secret.is_none());
        assert_eq!(shipped.webhooks.made_secret_file, Some("backroom.webhook-secret".into()));
        let changed = config(&["http.allow=10.0.0.0/8,app.internal", "webhooks.allow=[\"*.internal\"]"]);
        assert_eq!(changed.http.allow.len(), 2);
        assert_eq!(changed.webhooks.allow[0].to_string(), "*.internal");
        let found = faults(&["http.allow=10.0.0.0/8,http://x", "webhooks.allow=169.254.169.254"]);
        assert!(found[0].contains("http.allow: item 2: must be a host"), "{found:?}");
        assert!(
            found[1].contains("webhooks.allow: item 1: link-local and metadata addresses are never"),
            "{found:?}"
        );
    }

    #[test]
    fn secrets_are_read_and_never_shown() {
        let signers =
            |text: &str| config(&[&format!("webhooks.secret={text}")]).webhooks.signer().unwrap().unwrap();
        let count = |text: &str| signers(text).sign("a", 1, b"").signature.split(' ').count();
        assert_eq!(count(SECRET), 1);
        assert_eq!(count(&format!("[\"{SECRET}\", \"{SECRET}\"]")), 2);
        assert_eq!(count(&[SECRET; 4].join(",")), 4);
        for bad in ["whsec_short".to_owned(), "plain".to_owned(), [SECRET; 5].join(",")] {
            let found = faults(&[&format!("webhooks.secret={bad}")]);
            assert!(
                found.len() == 1 && !found[0].contains("MfKQ") && !found[0].contains("plain"),
                "{found:?}"
            );
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("{SECRET}\n{SECRET}\n")).unwrap();
        let by_file = loaded(&[&format!("webhooks.secret_file={}", file.path().display())]);
        assert!(by_file.config.webhooks.signer().unwrap().is_some());
        assert!(!format!("{:?}", loaded(&[&format!("webhooks.secret={SECRET}")])).contains("MfKQ"));
    }
}
