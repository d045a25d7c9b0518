//! What is allowed, but probably not what was meant.

use super::load::Config;

impl Config {
    /// For the log of the start.
    pub(super) fn warnings(&self) -> Vec<String> {
        [self.payload_warning()].into_iter().flatten().collect()
    }

    fn payload_warning(&self) -> Option<String> {
        let (payload, body) = (self.limits.payload, self.server.body_limit);
        (payload > body).then(|| {
            format!(
                "limits.payload ({payload} bytes) is more than server.body_limit ({body} bytes): \
                 no such payload can arrive over HTTP"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::loaded;

    #[test]
    fn a_payload_that_cannot_arrive_is_warned_about() {
        assert_eq!(loaded(&[]).warnings, Vec::<String>::new());
        assert_eq!(loaded(&["limits.payload=3MiB"]).warnings.len(), 1);
    }
}
