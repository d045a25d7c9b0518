//! What a running server takes over when it is told to: SIGHUP.

use std::sync::Arc;

use crate::http::Tls;

/// Everything that can change while a server runs. What else should be reloadable joins here, with a step of its own in
/// [`Reload::run`].
pub struct Reload {
    pub(super) tls: Option<Arc<Tls>>,
}

impl Reload {
    /// Takes over what has changed. Each part by itself: one with a fault stays as it was and does not keep the others
    /// from changing. Logs what happened.
    ///
    /// Reads files, so it blocks for as long as the disk does.
    pub fn run(&self) {
        let mut parts = 0;
        if let Some(tls) = &self.tls {
            parts += 1;
            match tls.reload() {
                Ok(()) => tracing::info!(part = "server.tls", "reloaded"),
                Err(fault) => {
                    tracing::error!(
                        part = "server.tls",
                        error = format!("server.tls.{fault}"),
                        "not reloaded: the certificate in use stays in use"
                    );
                }
            }
        }
        if parts == 0 {
            tracing::warn!(
                "nothing to reload: the configuration is read at start only; restart to change it"
            );
        }
    }
}
