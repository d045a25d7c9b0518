//! What is wrong with a configuration that was built in code.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::bounds;
use super::kinds::{description, member, pointer, unknown_references};
use super::load::Config;
use super::mail::MailTransport;
use super::names;
use super::run::Run;
use super::schedules;
use super::server::check_public_url;
use super::tree::dotted;
use crate::job::{Backoff, NOTICES, RetryPolicy, format_duration};

impl Config {
    /// Says what in it would panic or misbehave, each as `key: reason`. Of what [`load`](super::load) returns: nothing.
    ///
    /// For a configuration that was built or changed in code, where nobody has looked at the ranges yet. Who makes a
    /// mailer of the section `mail` is told of its faults there.
    ///
    /// # Examples
    ///
    /// ```
    /// use backroom::config::Config;
    ///
    /// let mut config = Config::default();
    /// assert!(config.faults().is_empty());
    /// config.limits.batch = 0;
    /// assert_eq!(config.faults(), ["limits.batch: must be from 1 to 10000 (found 0)"]);
    /// ```
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Faults::default();
        self.server_faults(&mut faults);
        self.queue_faults(&mut faults);
        self.kind_faults(&mut faults);
        self.schedule_faults(&mut faults);
        for (name, policy) in &self.retry {
            faults.retry(&dotted(&["retry".to_owned(), name.clone()]), policy);
        }
        let (retention, limits) = (&self.retention, &self.limits);
        faults.duration("retention.completed", retention.completed, &bounds::KEPT);
        faults.duration("retention.dead_lettered", retention.dead_lettered, &bounds::KEPT);
        faults.number("retention.max_finished", retention.max_finished, &bounds::MAX_FINISHED);
        faults.number("limits.payload", limits.payload as u64, &bounds::PAYLOAD);
        faults.number("limits.result", limits.result as u64, &bounds::RESULT);
        faults.number("limits.memory", limits.memory, &bounds::MEMORY);
        faults.number("limits.jobs", limits.jobs, &bounds::JOBS);
        faults.number("limits.batch", limits.batch, &bounds::BATCH);
        faults.number("limits.idempotency_keys", limits.idempotency_keys, &bounds::IDEMPOTENCY_KEYS);
        let memory = limits.idempotency_memory as u64;
        faults.number("limits.idempotency_memory", memory, &bounds::IDEMPOTENCY_MEMORY);
        faults.duration("shutdown.grace", self.shutdown.grace, &bounds::GRACE);
        faults.duration("shutdown.ready_delay", self.shutdown.ready_delay, &bounds::READY_DELAY);
        // The mailer would capture, and nobody would notice that nothing leaves.
        if self.mail.transport == MailTransport::Smtp && self.mail.smtp_url.is_none() {
            faults.note("mail.smtp_url", "is required when mail.transport is \"smtp\"");
        }
        faults.0
    }

    fn server_faults(&self, faults: &mut Faults) {
        let server = &self.server;
        for (key, reason) in self.auth.faults(server) {
            faults.note(key, reason);
        }
        for (key, found, check) in [
            (
                "server.allowed_hosts",
                &server.allowed_hosts,
                names::host as fn(&str) -> Result<String, String>,
            ),
            ("server.cors_origins", &server.cors_origins, names::origin),
        ] {
            faults.number(key, found.len(), &bounds::NAMES);
            // What is written in another form would never match.
            for reason in found.iter().filter_map(|text| check(text).err()) {
                faults.note(key, reason);
            }
        }
        if let Some(reason) = names::origins(&server.cors_origins) {
            faults.note("server.cors_origins", reason);
        }
        match server.public_url.as_deref().map(check_public_url) {
            Some(Err(reason)) => faults.note("server.public_url", reason),
            Some(Ok(_)) if server.public_url.as_ref().is_some_and(|url| url.ends_with('/')) => {
                faults.note("server.public_url", "must not end with a slash");
            }
            // It is written into JSON and headers as it stands.
            Some(Ok(url)) if server.public_url.as_ref() != Some(&url) => {
                faults.note("server.public_url", format!("must be written as {url:?}"));
            }
            Some(Ok(_)) | None => {}
        }
        faults.number("server.http_workers", server.http_workers, &bounds::HTTP_WORKERS);
        faults.number("server.body_limit", server.body_limit as u64, &bounds::BODY_LIMIT);
        faults.duration("server.header_timeout", server.header_timeout, &bounds::HEADER_TIMEOUT);
        faults.duration("server.body_timeout", server.body_timeout, &bounds::BODY_TIMEOUT);
        faults.duration("server.write_timeout", server.write_timeout, &bounds::WRITE_TIMEOUT);
        faults.number("server.max_connections", server.max_connections, &bounds::MAX_CONNECTIONS);
        let hub = server.max_hub_connections;
        faults.number("server.max_hub_connections", hub, &bounds::MAX_HUB_CONNECTIONS);
        faults.duration("server.keep_alive", server.keep_alive, &bounds::KEEP_ALIVE);
    }

    fn queue_faults(&self, faults: &mut Faults) {
        if !self.queues.contains_key(NOTICES) {
            faults.note(
                &format!("queues.{NOTICES}"),
                "is required: webhooks and mails that tell of jobs wait there",
            );
        }
        for (name, queue) in &self.queues {
            let key = |member: &str| format!("queues.{name}.{member}");
            faults.number(&key("capacity"), queue.capacity, &bounds::CAPACITY);
            faults.number(&key("concurrency"), queue.concurrency, &bounds::CONCURRENCY);
            faults.duration(&key("enqueue_wait"), queue.enqueue_wait, &bounds::ENQUEUE_WAIT);
        }
    }

    /// What its kind says about its payload is asked when the kinds are known.
    fn schedule_faults(&self, faults: &mut Faults) {
        if let Some(reason) = schedules::too_many(self.schedules.len()) {
            faults.note("schedules", reason);
        }
        for (name, schedule) in &self.schedules {
            let key = |member: &str| format!("schedules.{name}.{member}");
            if *name != schedule.name {
                faults.note(&format!("schedules.{name}"), format!("is called {} in itself", schedule.name));
            }
            faults.number(&key("tags"), schedule.job.tags.len(), &bounds::SCHEDULE_TAGS);
            if let Some(attempts) = schedule.job.max_attempts {
                faults.number(&key("max_attempts"), attempts, &bounds::MAX_ATTEMPTS);
            }
            if let Some(timeout) = schedule.job.timeout {
                faults.duration(&key("timeout"), timeout, &bounds::TIMEOUT);
            }
            if let Some(expires_in) = schedule.job.expires_in {
                faults.duration(&key("expires_in"), expires_in, &bounds::EXPIRES_IN);
            }
        }
        for (key, reason) in schedules::unknown_references(&self.schedules, &self.queues, None) {
            faults.note(&key, reason);
        }
    }

    fn kind_faults(&self, faults: &mut Faults) {
        for (name, kind) in &self.kinds {
            let section = dotted(&["kinds".to_owned(), name.to_string()]);
            let key = |member: &str| format!("{section}.{member}");
            for (member, reason) in kind.run.iter().flat_map(Run::faults) {
                faults.note(&key(member), reason);
            }
            if let Some(Err(reason)) = kind.schema.as_deref().map(super::read_schema) {
                faults.note(&key("schema"), reason);
            }
            if let Some(Err(reason)) = kind.description.as_deref().map(description) {
                faults.note(&key("description"), reason);
            }
            if let Some(timeout) = kind.timeout {
                faults.duration(&key("timeout"), timeout, &bounds::TIMEOUT);
            }
            if let Some(cancel_grace) = kind.cancel_grace {
                faults.duration(&key("cancel_grace"), cancel_grace, &bounds::CANCEL_GRACE);
            }
            if let Some(max_attempts) = kind.max_attempts {
                faults.number(&key("max_attempts"), max_attempts, &bounds::MAX_ATTEMPTS);
            }
            for reason in kind.sensitive.iter().filter_map(|name| member(name).err()) {
                faults.note(&key("sensitive"), reason);
            }
            faults.number(&key("unique_by"), kind.unique_by.len(), &bounds::UNIQUE_BY);
            for reason in kind.unique_by.iter().filter_map(|text| pointer(text).err()) {
                faults.note(&key("unique_by"), reason);
            }
            if let Some(unique_for) = kind.unique_for {
                faults.duration(&key("unique_for"), unique_for, &bounds::UNIQUE_FOR);
            }
        }
        let defaults = &self.defaults;
        faults.duration("defaults.timeout", defaults.timeout, &bounds::TIMEOUT);
        faults.duration("defaults.cancel_grace", defaults.cancel_grace, &bounds::CANCEL_GRACE);
        let unknown = unknown_references(&self.queues, &self.retry, &self.kinds, Some(defaults));
        for (key, reason) in unknown {
            faults.note(&key, reason);
        }
    }
}

#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn note(&mut self, key: &str, reason: impl Display) {
        self.0.push(format!("{key}: {reason}"));
    }

    fn number<T: PartialOrd + Display + Copy>(&mut self, key: &str, found: T, range: &RangeInclusive<T>) {
        if !range.contains(&found) {
            let (least, most) = (range.start(), range.end());
            self.note(key, format!("must be from {least} to {most} (found {found})"));
        }
    }

    fn duration(&mut self, key: &str, found: Duration, range: &RangeInclusive<Duration>) {
        if !range.contains(&found) {
            let (least, most) = (format_duration(*range.start()), format_duration(*range.end()));
            let found = format_duration(found);
            self.note(key, format!("must be from {least} to {most} (found {found})"));
        }
    }

    fn retry(&mut self, section: &str, policy: &RetryPolicy) {
        let key = |member: &str| format!("{section}.{member}");
        self.number(&key("max_attempts"), policy.max_attempts, &bounds::MAX_ATTEMPTS);
        match &policy.backoff {
            Backoff::Exponential { initial, factor, max, .. } => {
                self.duration(&key("initial"), *initial, &bounds::DELAY);
                self.number(&key("factor"), *factor, &bounds::FACTOR);
                self.duration(&key("max"), *max, &bounds::DELAY);
            }
            Backoff::Delays(delays) => {
                // A single attempt rests after nothing.
                if !delays.is_empty() || policy.max_attempts > 1 {
                    self.number(&key("delays"), delays.len(), &bounds::DELAYS);
                }
                for delay in delays {
                    self.duration(&key("delays"), *delay, &bounds::DELAY);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Kind;
    use crate::config::testing::config;

    fn faults(change: impl FnOnce(&mut Config)) -> Vec<String> {
        let mut config = config(&["kinds.noop.timeout=1s"]);
        change(&mut config);
        config.faults()
    }

    #[test]
    fn what_is_shipped_has_none() {
        assert_eq!(Config::default().faults(), [""; 0]);
    }

    #[test]
    fn what_would_panic_or_stand_still_is_named() {
        let queue = |capacity, concurrency| {
            faults(|config| {
                let mail = config.queues.get_mut("mail").unwrap();
                (mail.capacity, mail.concurrency) = (capacity, concurrency);
            })
        };
        assert_eq!(queue(1_000_000, 1), [""; 0]);
        assert_eq!(queue(usize::MAX, 0).len(), 2);
        assert_eq!(queue(0, 1), ["queues.mail.capacity: must be from 1 to 1000000 (found 0)"]);
        assert_eq!(
            faults(|config| config.queues.retain(|name, _| name.as_str() != "mail")),
            ["kinds.email.queue: unknown queue \"mail\"; there are: default, notices"]
        );
        assert_eq!(
            faults(|config| config.defaults.retry = "standrd".into()),
            ["defaults.retry: unknown retry profile \"standrd\"; did you mean \"standard\"?"]
        );
        assert_eq!(faults(|config| config.server.bind = ([0, 0, 0, 0], 80).into()).len(), 1);
        assert_eq!(faults(|config| config.mail.transport = MailTransport::Smtp).len(), 1);
    }

    #[test]
    fn every_number_has_its_range() {
        let long = Duration::MAX;
        let found = faults(|config| {
            let queue = config.queues.get_mut("default").unwrap();
            (queue.capacity, queue.concurrency, queue.enqueue_wait) = (0, 10_001, long);
            let server = &mut config.server;
            (server.http_workers, server.body_limit) = (257, 0);
            (server.header_timeout, server.keep_alive) = (Duration::ZERO, long);
            (server.body_timeout, server.write_timeout, server.max_connections) = (long, long, 0);
            server.max_hub_connections = 0;
            server.public_url = Some("https://h/".into());
            let kind = config.kinds.get_mut("noop").unwrap();
            *kind = Kind {
                timeout: Some(Duration::ZERO),
                cancel_grace: Some(long),
                max_attempts: Some(0),
                sensitive: vec![String::new()],
                unique_by: vec!["document_id".to_owned()],
                unique_for: Some(long),
                ..Kind::default()
            };
            (config.defaults.timeout, config.defaults.cancel_grace) = (Duration::ZERO, long);
            (config.retention.completed, config.retention.dead_lettered) = (long, long);
            config.retention.max_finished = usize::MAX;
            (config.limits.payload, config.limits.result, config.limits.batch) = (0, 0, 0);
            (config.limits.idempotency_keys, config.limits.idempotency_memory) = (0, 0);
            (config.shutdown.grace, config.shutdown.ready_delay) = (long, long);
        });
        let keys: Vec<&str> = found.iter().map(|fault| fault.split(": ").next().unwrap()).collect();
        assert_eq!(
            keys,
            [
                "server.public_url",
                "server.http_workers",
                "server.body_limit",
                "server.header_timeout",
                "server.body_timeout",
                "server.write_timeout",
                "server.max_connections",
                "server.max_hub_connections",
                "server.keep_alive",
                "queues.default.capacity",
                "queues.default.concurrency",
                "queues.default.enqueue_wait",
                "kinds.noop.timeout",
                "kinds.noop.cancel_grace",
                "kinds.noop.max_attempts",
                "kinds.noop.sensitive",
                "kinds.noop.unique_by",
                "kinds.noop.unique_for",
                "defaults.timeout",
                "defaults.cancel_grace",
                "retention.completed",
                "retention.dead_lettered",
                "retention.max_finished",
                "limits.payload",
                "limits.result",
                "limits.batch",
                "limits.idempotency_keys",
                "limits.idempotency_memory",
                "shutdown.grace",
                "shutdown.ready_delay",
            ]
        );
    }

    #[test]
    fn a_public_url_is_written_as_it_is_sent() {
        let of = |url: &str| faults(|config| config.server.public_url = Some(url.to_owned()));
        assert_eq!(of("https://jobs.example.com/base"), [""; 0]);
        assert_eq!(of("https://h/base/"), ["server.public_url: must not end with a slash"]);
        assert_eq!(of("https://h/\"a"), ["server.public_url: must be written as \"https://h/%22a\""]);
    }

    #[test]
    fn a_retry_profile_can_be_followed() {
        let profile = |max_attempts, backoff| {
            let policy = RetryPolicy { max_attempts, backoff };
            faults(|config| config.retry.extend([("mine".to_owned(), policy)]))
        };
        let growing = |factor| Backoff::Exponential {
            initial: Duration::ZERO,
            factor,
            max: Duration::MAX,
            jitter: crate::job::Jitter::Full,
        };
        assert_eq!(profile(0, growing(f64::NAN)).len(), 3);
        assert_eq!(profile(1, growing(1.0)).len(), 1, "max");
        assert_eq!(profile(1, Backoff::Delays(Vec::new())), [""; 0]);
        assert_eq!(
            profile(2, Backoff::Delays(Vec::new())),
            ["retry.mine.delays: must be from 1 to 100 (found 0)"]
        );
        assert_eq!(profile(2, Backoff::Delays(vec![Duration::MAX; 2])).len(), 2);
    }
}
