//! `[metrics]`.

use super::reader::Reader;

/// Says whether anything is counted for Prometheus.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Metrics {
    /// Whether there is a `GET /metrics`, and something to tell there.
    pub enabled: bool,
}

impl Metrics {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        reader.section("metrics", |s| Self { enabled: s.flag("enabled") })
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{config, faults};

    #[test]
    fn metrics_are_on_unless_they_are_turned_off() {
        assert!(config(&[]).metrics.enabled);
        assert!(!config(&["metrics.enabled=false"]).metrics.enabled);
        assert_eq!(faults(&["metrics.enabled=perhaps"]).len(), 1);
        assert!(config(&["log.access=true"]).log.access);
    }
}
