//! `[queues.<name>]`: waiting lines.

use std::collections::BTreeMap;
use std::time::Duration;

use super::bounds;
use super::reader::Reader;
use crate::job::{QueueName, RateLimit};

/// Says how long a waiting line may grow and how many jobs leave it at once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Queue {
    /// Jobs that may wait: 1 to 1,000,000. When it is full, submitting waits for `enqueue_wait` and then fails. Jobs for
    /// later and jobs that wait for another attempt do not count.
    pub capacity: usize,
    /// Jobs that run at the same time: 1 to 10,000.
    pub concurrency: usize,
    /// How long a producer waits for room: nothing to 1 min.
    pub enqueue_wait: Duration,
    /// How fast jobs may begin; `None` is as fast as they can.
    pub rate_limit: Option<RateLimit>,
}

impl Queue {
    pub(super) fn read_all(reader: &mut Reader<'_>) -> BTreeMap<QueueName, Self> {
        let mut queues = BTreeMap::new();
        reader.each("queues", |name, s| {
            let queue = Self {
                capacity: s.integer("capacity", bounds::CAPACITY),
                concurrency: s.integer("concurrency", bounds::CONCURRENCY),
                enqueue_wait: s.duration("enqueue_wait", bounds::ENQUEUE_WAIT),
                rate_limit: s.text("rate_limit", None, rate_limit),
            };
            match QueueName::new(name) {
                Ok(name) => {
                    queues.insert(name, queue);
                }
                Err(error) => s.fault_here(error.to_string()),
            }
        });
        queues
    }
}

/// `""` is none.
fn rate_limit(text: &str) -> Result<Option<RateLimit>, String> {
    if text.is_empty() { Ok(None) } else { RateLimit::parse(text).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{config, faults};

    #[test]
    fn the_shipped_queues_are_three() {
        let queues = config(&[]).queues;
        let base =
            Queue { capacity: 1000, concurrency: 16, enqueue_wait: Duration::from_secs(1), rate_limit: None };
        assert_eq!(queues.len(), 3);
        assert_eq!(queues["notices"], Queue { concurrency: 32, ..base.clone() });
        assert_eq!(queues["default"], base);
        assert_eq!(queues["mail"], Queue { concurrency: 4, ..base });
    }

    #[test]
    fn users_add_queues_that_start_from_the_shipped_values() {
        let queues = config(&["queues.bulk.capacity=7", "queues.default.concurrency=1"]).queues;
        let bulk =
            Queue { capacity: 7, concurrency: 16, enqueue_wait: Duration::from_secs(1), rate_limit: None };
        assert_eq!(queues["bulk"], bulk);
        assert_eq!(queues["default"].concurrency, 1);
    }

    #[test]
    fn a_rate_limit_is_a_number_and_a_unit_or_none() {
        let limit =
            |text: &str| config(&[&format!("queues.bulk.rate_limit={text}")]).queues["bulk"].rate_limit;
        for text in ["1/s", "1000000/h"] {
            assert_eq!(limit(text).map(|limit| limit.to_string()).as_deref(), Some(text));
        }
        assert_eq!((limit(""), limit("\"\"")), (None, None));
        for outside in ["0/s", "1000001/h", "10", "10/d"] {
            let found = faults(&[&format!("queues.bulk.rate_limit={outside}")]);
            assert_eq!(
                found,
                [format!("--set: queues.bulk.rate_limit: {} (found {outside:?})", RateLimit::RULE)]
            );
        }
    }

    #[test]
    fn names_have_a_rule_and_members_too() {
        let found = faults(&["queues.Bulk.capacity=1"]);
        assert!(found[0].starts_with("--set: queues.Bulk: a queue is 1 to 64 characters"), "{found:?}");
        assert_eq!(
            faults(&["queues.mail.concurency=1"]),
            ["--set: queues.mail.concurency: unknown key; did you mean \"concurrency\"?"]
        );
        assert_eq!(faults(&["queues.x=1"]), ["--set: queues.x: is a section, not a value: write [queues.x]"]);
        assert_eq!(faults(&["queues=1"]), ["--set: queues: is a section, not a value"]);
    }
}
