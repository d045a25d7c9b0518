//! `backroom health`: a probe for containers.

use super::client::{http_client, without_user};
use super::{Ended, HealthArgs};

/// Asks `/readyz` of a running server.
///
/// # Errors
///
/// With exit code 1 when it is not ready or does not answer in time, and 2 when its address is none.
pub async fn health(args: HealthArgs) -> Result<(), Ended> {
    let server = args.target.url()?;
    let url = format!("{server}/readyz");
    let shown = without_user(&url);
    let client =
        http_client(&args.target, &server)?.timeout(args.timeout).build().map_err(anyhow::Error::from)?;
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
