//! `backroom health`: a probe for containers.

use super::{Ended, HealthArgs};

/// Asks `/readyz` of a running server.
///
/// # Errors
///
/// With exit code 1 when it is not ready or does not answer in time.
pub async fn health(args: HealthArgs) -> Result<(), Ended> {
    let url = format!("{}/readyz", args.server);
    let shown = without_user(&url);
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(args.timeout)
        .build()
        .map_err(anyhow::Error::from)?;
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
