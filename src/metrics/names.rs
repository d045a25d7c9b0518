//! The name of every metric. They are part of the contract: dashboards and alerts are written against them.

use prometheus_client::metrics::MetricType;

/// What every name begins with.
pub const PREFIX: &str = "backroom";

/// One metric: all series of one name.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// The name behind the prefix, as it is asked for.
    pub name: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it is, in a sentence.
    pub help: &'static str,
    pub(super) kind: MetricType,
}

impl Family {
    /// The whole name.
    pub fn full_name(&self) -> String {
        format!("{PREFIX}_{}", self.name)
    }

    /// What is counted, measured or sorted.
    pub const fn kind(&self) -> &'static str {
        match self.kind {
            MetricType::Counter => "counter",
            MetricType::Histogram => "histogram",
            _ => "gauge",
        }
    }
}

/// Declares the families and the list of all of them.
macro_rules! families {
    ($($id:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $id: Family =
                Family { name: $name, labels: &[$($label),*], help: $help, kind: MetricType::$kind };
        )*

        /// Every metric, in the order in which they are told.
        pub const ALL: &[Family] = &[$($id),*];
    };
}

families! {
    JOBS_ENQUEUED: Counter "jobs_enqueued_total" ["queue", "kind"] "Jobs that were accepted.";
    JOBS_REJECTED: Counter "jobs_rejected_total" ["queue", "reason"]
        "Jobs that were refused, by the slug of the problem; without a queue where that was not known.";
    JOBS_FINISHED: Counter "jobs_finished_total" ["queue", "kind", "state"] "Jobs that came to their end.";
    ATTEMPTS: Counter "attempts_total" ["queue", "kind", "outcome"] "Attempts that ended.";
    JOBS: Gauge "jobs" ["queue", "state"] "Jobs that are held.";
    QUEUE_CAPACITY: Gauge "queue_capacity" ["queue"] "Jobs that can wait.";
    QUEUE_OLDEST_PENDING: Gauge "queue_oldest_pending_seconds" ["queue"]
        "How long the longest waiting pending job has waited; 0 when none waits.";
    QUEUE_PAUSED: Gauge "queue_paused" ["queue"] "1 while the queue is paused.";
    WORKERS: Gauge "workers" ["queue"] "Jobs that can run at the same time.";
    WORKERS_BUSY: Gauge "workers_busy" ["queue"] "Jobs that run.";
    WAIT: Histogram "wait_seconds" ["queue", "kind"]
        "From when a job was first due to the start of its first attempt.";
    RUN: Histogram "run_seconds" ["queue", "kind"] "How long attempts took.";
    RETRIES: Counter "retries_total" ["queue", "kind"] "Failed attempts that another one follows.";
    WEBHOOK_DELIVERIES: Counter "webhook_deliveries_total" ["outcome"] "Attempts to deliver a webhook.";
    MAIL_SENT: Counter "mail_sent_total" ["outcome"] "Attempts to send a mail.";
    PUSH_CONNECTIONS: Gauge "push_connections" ["transport"] "Connections over which jobs are watched.";
    MEMORY: Gauge "memory_bytes" ["of"] "Memory that is taken by what is held.";
    MEMORY_LIMIT: Gauge "memory_limit_bytes" ["of"] "The most that may be taken.";
    WORKER_RESTARTS: Counter "worker_restarts_total" ["queue"]
        "Parts of the worker pool that died and were replaced; without a queue where they serve all.";
    HANDLERS_ABANDONED: Counter "handlers_abandoned_total" ["kind"]
        "Attempts that were given up because they ignored their cancellation.";
    DRAINING: Gauge "draining" [] "1 from the beginning of the drain.";
    BUILD: Info "build_info" ["version"] "The version that runs.";
    HTTP_REQUEST_DURATION: Histogram "http_request_duration_seconds" ["method", "route", "status"]
        "From the head of a request to that of its answer.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_of_prometheus() {
        for family in ALL {
            let name = family.name;
            assert_eq!(name.ends_with("_total"), family.kind() == "counter", "{name}");
            assert!(family.help.ends_with('.'), "{name}");
            assert!(!name.starts_with(PREFIX), "{name}");
        }
    }
}
