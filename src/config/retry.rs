//! `[retry.<profile>]`: when failed jobs are tried again.

use std::collections::BTreeMap;

use super::bounds;
use super::fault::ConfigFault;
use super::reader::{Reader, Section};
use super::tree::{Node, Table, dotted};
use crate::job::{Backoff, Jitter, RetryPolicy};

/// The members of the first form; `delays` is the second one.
const EXPONENTIAL: [&str; 4] = ["initial", "factor", "max", "jitter"];

/// Drops from the weaker layers what a stronger one says in the other form; both forms in one layer are a fault.
pub(super) fn choose_form(tree: &mut Table, layer: &mut Table, faults: &mut Vec<ConfigFault>) {
    let Some(layer) = layer.table_mut("retry") else {
        return;
    };
    for (name, node) in &mut layer.entries {
        let Node::Table(profile) = node else { continue };
        let exponential = EXPONENTIAL.iter().any(|key| profile.entries.contains_key(*key));
        let delays = profile.entries.contains_key("delays");
        if exponential && delays {
            let origin = match profile.entries.remove("delays") {
                Some(Node::Leaf(leaf)) => leaf.origin,
                _ => profile.origin.clone(),
            };
            faults.push(ConfigFault {
                origin,
                key: dotted(&["retry".to_owned(), name.clone(), "delays".to_owned()]),
                reason: format!("excludes {}; write one or the other", EXPONENTIAL.join(", ")),
            });
        }
        let Some(below) = tree.table_mut("retry").and_then(|retry| retry.table_mut(name)) else {
            continue;
        };
        let exponential_below = EXPONENTIAL.iter().any(|key| below.entries.contains_key(*key));
        if (delays && exponential_below) || (exponential && below.entries.contains_key("delays")) {
            below.entries.clear();
        }
    }
}

/// Reads every profile.
pub(super) fn read_all(reader: &mut Reader<'_>) -> BTreeMap<String, RetryPolicy> {
    let mut profiles = BTreeMap::new();
    reader.each("retry", |name, s| {
        let profile = if s.has("delays") { delays(s) } else { exponential(s) };
        if name.is_empty() {
            s.fault_here("a profile needs a name");
        }
        profiles.insert(name.to_owned(), profile);
    });
    profiles
}

/// What is left when there is no profile.
pub(super) const fn single_attempt() -> RetryPolicy {
    RetryPolicy { max_attempts: 1, backoff: Backoff::Delays(Vec::new()) }
}

fn exponential(s: &mut Section<'_>) -> RetryPolicy {
    RetryPolicy {
        max_attempts: s.integer("max_attempts", bounds::MAX_ATTEMPTS),
        backoff: Backoff::Exponential {
            initial: s.duration("initial", bounds::DELAY),
            factor: s.number("factor", bounds::FACTOR),
            max: s.duration("max", bounds::DELAY),
            jitter: s.choice("jitter", &[("full", Jitter::Full), ("none", Jitter::None)]),
        },
    }
}

fn delays(s: &mut Section<'_>) -> RetryPolicy {
    let delays = s.durations("delays", bounds::DELAYS, &bounds::DELAY);
    let max_attempts = s.optional("max_attempts", |s, key| s.integer(key, bounds::MAX_ATTEMPTS));
    RetryPolicy {
        max_attempts: max_attempts.unwrap_or((delays.len() as u32 + 1).min(100)),
        backoff: Backoff::Delays(delays),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{config, faults, with_file};
    use std::time::Duration;

    fn growing(max_attempts: u32, initial: u64, factor: f64, max: u64) -> RetryPolicy {
        let (initial, max) = (Duration::from_secs(initial), Duration::from_secs(max));
        let backoff = Backoff::Exponential { initial, factor, max, jitter: Jitter::Full };
        RetryPolicy { max_attempts, backoff }
    }

    fn listed(max_attempts: u32, seconds: &[u64]) -> RetryPolicy {
        let delays = seconds.iter().map(|s| Duration::from_secs(*s)).collect();
        RetryPolicy { max_attempts, backoff: Backoff::Delays(delays) }
    }

    #[test]
    fn the_shipped_profiles_are_those_of_the_contract() {
        let retry = config(&[]).retry;
        assert_eq!(retry.keys().collect::<Vec<_>>(), ["interactive", "patient", "standard"]);
        assert_eq!(retry["interactive"], growing(6, 1, 4.0, 300));
        assert_eq!(retry["standard"], growing(8, 5, 3.0, 900));
        let patient = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400];
        assert_eq!(retry["patient"], listed(10, &patient));
    }

    #[test]
    fn the_same_form_changes_member_by_member() {
        let retry = config(&["retry.interactive.max=10ms", "retry.patient.max_attempts=4"]).retry;
        let Backoff::Exponential { initial, max, .. } = retry["interactive"].backoff else {
            panic!("other form")
        };
        assert_eq!((initial, max), (Duration::from_secs(1), Duration::from_millis(10)));
        assert_eq!(retry["interactive"].max_attempts, 6);
        assert_eq!(retry["patient"].max_attempts, 4);
    }

    #[test]
    fn the_other_form_starts_afresh() {
        let retry = config(&["retry.interactive.delays=1s,2s", "retry.patient.initial=7s"]).retry;
        assert_eq!(retry["interactive"], listed(3, &[1, 2]));
        assert_eq!(retry["patient"], growing(8, 7, 3.0, 900));
        let retry = config(&["retry.interactive.delays=[\"1s\"]", "retry.interactive.max_attempts=9"]).retry;
        assert_eq!(retry["interactive"], listed(9, &[1]));
    }

    #[test]
    fn the_form_can_change_back_in_a_stronger_layer() {
        let loaded = with_file(
            "[retry.mine]\ninitial = '9s'\n[retry.standard]\ndelays = ['1s']\n",
            &["retry.mine.delays=2s", "retry.standard.factor=2"],
        );
        let retry = loaded.unwrap().config.retry;
        assert_eq!(retry["mine"], listed(2, &[2]));
        assert_eq!(retry["standard"], growing(8, 5, 2.0, 900));
    }

    #[test]
    fn the_number_of_attempts_belongs_to_no_form() {
        let loaded = with_file("[retry.mine]\nmax_attempts = 4\n", &["retry.mine.delays=2s"]);
        assert_eq!(loaded.unwrap().config.retry["mine"], listed(4, &[2]));
    }

    #[test]
    fn both_forms_in_one_layer_are_a_fault() {
        let found = faults(&["retry.mine.delays=1s", "retry.mine.factor=2"]);
        let want = "--set: retry.mine.delays: excludes initial, factor, max, jitter; write one or the other";
        assert_eq!(found, [want]);
    }

    #[test]
    fn a_new_profile_takes_the_rest_from_standard() {
        let retry = config(&["retry.mine.initial=2s", "retry.standard.initial=3s"]).retry;
        assert_eq!(retry["mine"], growing(8, 2, 3.0, 900));
        assert_eq!(retry["standard"], growing(8, 3, 3.0, 900));
        assert_eq!(
            faults(&["retry.mine.inital=2s"]),
            ["--set: retry.mine.inital: unknown key; did you mean \"initial\"?"]
        );
        assert_eq!(faults(&["retry.\"\".initial=2s"]).len(), 1);
    }

    #[test]
    fn delays_have_a_range_and_a_number() {
        let hundred = vec!["1s"; 100].join(",");
        assert_eq!(config(&[&format!("retry.mine.delays={hundred}")]).retry["mine"].max_attempts, 100);
        assert_eq!(faults(&[&format!("retry.mine.delays={hundred},1s")]).len(), 1);
        let found = faults(&["retry.mine.delays=[]"]);
        assert_eq!(found, ["--set: retry.mine.delays: must have 1 to 100 items (found \"[]\")"]);
        let found = faults(&["retry.mine.delays=1s,2,31d"]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("item 2: a duration needs a unit"), "{found:?}");
        assert!(found[0].contains("item 3: must be from 0s to 30days"), "{found:?}");
    }
}
