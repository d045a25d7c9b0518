//! What requests that leave are made with: clients under a policy, and the secret that signs them.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;

use crate::clock::Clock;
use crate::config::{Config, Webhooks};
use crate::egress::{Allow, Client, Policy};
use crate::sign::{Secret, Signer};

/// How much of a file is read that should hold a secret, in bytes.
const LONGEST_FILE: u64 = 4_096;

/// The client of the kind `http`.
pub(super) fn http_client(config: &Config) -> anyhow::Result<Client> {
    let loopback = config.server.bind.ip().to_canonical().is_loopback();
    client(Policy::new("http.allow", config.http.allow.clone(), loopback))
}

/// Where webhooks may go.
pub(super) fn webhook_policy(config: &Config) -> Policy {
    let loopback = config.server.bind.ip().to_canonical().is_loopback();
    Policy::new("webhooks.allow", config.webhooks.allow.clone(), loopback)
}

/// The client for an app whose address the configuration names: that it may be reached goes without saying.
pub(super) fn app_client(url: &url::Url) -> anyhow::Result<Client> {
    let host = url.host_str().unwrap_or_default();
    let allow = Allow::parse(host).with_context(|| format!("{host} cannot be reached"))?;
    client(Policy::new("kinds.<name>.url", vec![allow], false))
}

pub(super) fn client(policy: Policy) -> anyhow::Result<Client> {
    Client::new(policy).context("set up TLS for requests that leave")
}

/// The signer: by the configured secrets, by one that was made before, or by a new one, which is kept for the next start,
/// unless this is a `dry` run.
pub(super) fn signer(webhooks: &Webhooks, clock: &Clock, dry: bool) -> anyhow::Result<Signer> {
    if let Some(signer) = webhooks.signer().map_err(|reason| anyhow::anyhow!("webhooks.secret: {reason}"))? {
        return Ok(signer);
    }
    let Some(path) = &webhooks.made_secret_file else {
        tracing::warn!("requests are signed with a secret that nobody knows: set webhooks.secret");
        return Ok(Signer::new(vec![Secret::from_random(clock.secret())]));
    };
    let secret = if dry && !path.exists() { unkept(path, clock) } else { made(path, clock) };
    let secret = secret.with_context(|| format!("webhooks.made_secret_file: {}", path.display()))?;
    Ok(Signer::new(vec![secret]))
}

/// A secret that nobody keeps, where a start could keep one.
fn unkept(path: &Path, clock: &Clock) -> anyhow::Result<Secret> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    anyhow::ensure!(folder.is_dir(), "there is no folder {}", folder.display());
    Ok(Secret::from_random(clock.secret()))
}

fn made(path: &Path, clock: &Clock) -> anyhow::Result<Secret> {
    let secret = Secret::from_random(clock.secret());
    // Only for us, and never over a file that is there: two servers that start at once use the same.
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            file.write_all(format!("{}\n", secret.expose()).as_bytes())?;
            file.sync_all()?;
            tracing::info!(file = %path.display(), "made a secret to sign requests with; verify them with it");
            Ok(secret)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let mut text = String::new();
            File::open(path)?.take(LONGEST_FILE).read_to_string(&mut text)?;
            // A start that was cut short leaves an empty one.
            let secret = Secret::parse(&text).context("holds no secret; take it away and one is made")?;
            tracing::info!(file = %path.display(), "requests are signed with the secret in this file");
            Ok(secret)
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_made_secret_is_kept_for_the_next_start_and_for_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let first = made(&path, &Clock::system()).unwrap().expose();
        assert_eq!(made(&path, &Clock::system()).unwrap().expose(), first);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for rubbish in ["", "rubbish"] {
            std::fs::write(&path, rubbish).unwrap();
            let error = made(&path, &Clock::system()).unwrap_err();
            assert!(error.to_string().contains("take it away"), "{error:#}");
        }
        assert!(made(&folder.path().join("no/such/folder"), &Clock::system()).is_err());
    }

    #[test]
    fn a_dry_run_finds_what_a_start_would_and_makes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let dry = |path: &str| {
            let made_secret_file = Some(folder.path().join(path));
            signer(&Webhooks { secret: None, made_secret_file, allow: Vec::new() }, &Clock::system(), true)
        };
        assert!(dry("secret").is_ok());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let error = dry("no/such/secret").map(drop).unwrap_err();
        assert!(error.to_string().starts_with("webhooks.made_secret_file: "), "{error:#}");
        std::fs::write(folder.path().join("rubbish"), "rubbish").unwrap();
        assert!(dry("rubbish").is_err());
    }
}
