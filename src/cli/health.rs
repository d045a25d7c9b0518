//! `backroom health`: a probe for containers.

use anyhow::Context as _;

use super::{Ended, HealthArgs};

/// Asks `/readyz` of a running server.
///
/// # Errors
///
/// With exit code 1 when it is not ready or does not answer in time.
pub async fn health(args: HealthArgs) -> Result<(), Ended> {
    let url = format!("{}/readyz", args.server);
    let shown = without_user(&url);
    let client = client(&args)?;
    let response = client.get(&url).send().await.map_err(|error| {
        Ended::failed(format!(
            "not ready: {:#}",
            anyhow::Error::from(error.without_url()).context(shown.clone())
        ))
    })?;
    match response.status() {
        status if status.is_success() => Ok(()),
        status => Err(Ended::failed(format!("not ready: {shown} answered {status}"))),
    }
}

fn client(args: &HealthArgs) -> anyhow::Result<reqwest::Client> {
    let mut client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(args.timeout)
        // Nothing is sent that is secret, and nothing is believed but a status.
        .tls_danger_accept_invalid_certs(args.insecure);
    if args.server.starts_with("http://") {
        // The authorities of the system are not looked for: a container may have none, and needs none for this.
        client = client.tls_certs_only([]);
    } else if let Some(file) = &args.ca_file {
        let unusable = || format!("--ca-file: {} cannot be used", file.display());
        let authorities = std::fs::read(file).with_context(unusable)?;
        let authorities = reqwest::Certificate::from_pem_bundle(&authorities).with_context(unusable)?;
        anyhow::ensure!(!authorities.is_empty(), "--ca-file: {} holds no certificate", file.display());
        client = client.tls_certs_only(authorities);
    }
    Ok(client.build()?)
}

/// A URL as it may be printed: whatever stands before the host can be a password.
fn without_user(url: &str) -> String {
    let Ok(mut url) = reqwest::Url::parse(url) else {
        return "the server".to_owned();
    };
    // Fails only for URLs that cannot have either.
    let _ = (url.set_username(""), url.set_password(None));
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_printed() {
        assert_eq!(without_user("http://u:s3cret@127.0.0.1:8080/readyz"), "http://127.0.0.1:8080/readyz");
    }
}
