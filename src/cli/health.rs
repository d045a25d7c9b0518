//! `backroom health`: a probe for containers.

use super::{Ended, HealthArgs};

/// Asks `/readyz` of a running server.
///
/// # Errors
///
/// With exit code 1 when it is not ready or does not answer in time.
pub async fn health(args: HealthArgs) -> Result<(), Ended> {
    let url = format!("{}/readyz", args.server);
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(args.timeout)
        .build()
        .map_err(anyhow::Error::from)?;
    let response = client.get(&url).send().await.map_err(|error| {
        Ended::failed(format!(
            "not ready: {:#}",
            anyhow::Error::from(error.without_url()).context(url.clone())
        ))
    })?;
    match response.status() {
        status if status.is_success() => Ok(()),
        status => Err(Ended::failed(format!("not ready: {url} answered {status}"))),
    }
}
