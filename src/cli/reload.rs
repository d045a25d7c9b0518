//! SIGHUP: the certificate, and of the configuration what can change while the server runs.

use std::collections::BTreeMap;

use crate::config::{Config, EffectiveValue, Loaded, Refused};
use crate::server::{Changed, Reload};
use crate::telemetry::LogLevel;

/// What is taken over at each SIGHUP, and what held before.
pub(super) struct Reloading<R> {
    /// Reads the configuration again.
    read: R,
    level: LogLevel,
    /// What `log.level` said last.
    said: String,
    effective: Vec<EffectiveValue>,
}

impl<R: Fn() -> Result<Loaded, Box<Refused>>> Reloading<R> {
    pub(super) fn new(read: R, level: LogLevel, config: &Config, effective: Vec<EffectiveValue>) -> Self {
        Self { read, level, said: config.log.level.clone(), effective }
    }

    /// Takes over what has changed, or of a configuration with a fault nothing. Logs what happened.
    pub(super) fn run(&mut self, reload: &Reload) {
        reload.certificate();
        let loaded = match (self.read)() {
            Ok(loaded) => loaded,
            Err(refused) => {
                let faults: Vec<String> = refused.faults.iter().map(ToString::to_string).collect();
                tracing::error!(
                    faults = faults.join("; "),
                    "configuration not reloaded: it has faults, and nothing of it was taken over"
                );
                return;
            }
        };
        for warning in &loaded.warnings {
            tracing::warn!(warning, "configuration");
        }
        let mut changes = reload.configure(&loaded.config);
        let level = &loaded.config.log.level;
        if *level != self.said {
            match self.level.set(level) {
                Ok(()) => {
                    let from = std::mem::replace(&mut self.said, level.clone());
                    changes.push(Changed { key: "log.level".to_owned(), from, to: level.clone() });
                }
                Err(error) => tracing::error!(error = format!("{error:#}"), "log.level not reloaded"),
            }
        }
        let fixed = changed_keys(&self.effective, &loaded.effective)
            .filter(|key| *key != "log.level" && !changes.iter().any(|change| change.key == *key));
        let fixed: Vec<&str> = fixed.collect();
        if !fixed.is_empty() {
            tracing::warn!(
                options = fixed.join(", "),
                "these have changed too, but are read at start only: restart to change them"
            );
        }
        let changed: Vec<String> = changes.iter().map(ToString::to_string).collect();
        // Always told, whatever the level is now.
        tracing::info!(target: "backroom_report", changed = changed.join(", "), "configuration reloaded");
        // Of what needs a restart the old is kept, so that it is told again until there was one.
        keep(&mut self.effective, &loaded.effective, &changes);
    }
}

/// The keys that say something else than before, sorted.
fn changed_keys<'a>(
    old: &'a [EffectiveValue],
    new: &'a [EffectiveValue],
) -> impl Iterator<Item = &'a str> + use<'a> {
    let mut values: BTreeMap<&str, [Option<&serde_json::Value>; 2]> = BTreeMap::new();
    for (n, list) in [old, new].into_iter().enumerate() {
        for EffectiveValue { key, value, .. } in list {
            values.entry(key).or_default()[n] = Some(value);
        }
    }
    values.into_iter().filter(|(_, [old, new])| old != new).map(|(key, _)| key)
}

fn keep(old: &mut [EffectiveValue], new: &[EffectiveValue], changes: &[Changed]) {
    for value in old {
        if let Some(new) = new.iter().find(|new| new.key == value.key)
            && changes.iter().any(|change| change.key == value.key)
        {
            value.clone_from(new);
        }
    }
}
