//! Tests of every range: at its ends and beyond them.

use super::testing::{config, faults};

/// Key, the least, below it, the most, above it. `""` where nothing lies below that could be written.
const RANGES: &[(&str, &str, &str, &str, &str)] = &[
    ("server.http_workers", "0", "-1", "256", "257"),
    ("server.body_limit", "1KiB", "1023", "64MiB", "67108865"),
    ("server.header_timeout", "10ms", "9ms", "10m", "601s"),
    ("server.body_timeout", "10ms", "9ms", "10m", "601s"),
    ("server.write_timeout", "10ms", "9ms", "10m", "601s"),
    ("server.max_connections", "1", "0", "1000000", "1000001"),
    ("server.max_hub_connections", "1", "0", "1000000", "1000001"),
    ("server.keep_alive", "0s", "-1s", "1h", "3601s"),
    ("queues.default.capacity", "1", "0", "1000000", "1000001"),
    ("queues.default.concurrency", "1", "0", "10000", "10001"),
    ("queues.default.enqueue_wait", "0s", "-1s", "60s", "60001ms"),
    ("kinds.noop.timeout", "1ms", "0s", "24h", "86401s"),
    ("kinds.noop.max_attempts", "1", "0", "100", "101"),
    ("kinds.noop.cancel_grace", "0s", "-1s", "5m", "301s"),
    ("schedules.nightly.timeout", "1ms", "0s", "24h", "86401s"),
    ("schedules.nightly.max_attempts", "1", "0", "100", "101"),
    ("schedules.nightly.expires_in", "1ms", "0s", "366d", "31622401s"),
    ("retry.standard.initial", "0s", "-1s", "30d", "31d"),
    ("retry.standard.factor", "1", "0.99", "100", "100.01"),
    ("retry.standard.max", "0s", "-1s", "30d", "31d"),
    ("retry.standard.max_attempts", "1", "0", "100", "101"),
    ("retry.patient.max_attempts", "1", "0", "100", "101"),
    ("retry.patient.delays", "0s", "-1s", "30d", "31d"),
    ("retention.completed", "0s", "-1s", "365d", "366d"),
    ("retention.dead_lettered", "0s", "-1s", "365d", "366d"),
    ("retention.max_finished", "0", "-1", "10000000", "10000001"),
    ("limits.payload", "1B", "0B", "64MiB", "67108865"),
    ("limits.result", "1B", "0B", "256MiB", "268435457"),
    ("kinds.noop.unique_for", "0s", "-1s", "30d", "31d"),
    ("limits.idempotency_keys", "1", "0", "10000000", "10000001"),
    ("limits.idempotency_memory", "1MiB", "1048575", "64GiB", "68719476737"),
    ("limits.memory", "1MiB", "1048575", "1TiB", "1099511627777"),
    ("limits.jobs", "1", "0", "10000000", "10000001"),
    ("limits.batch", "1", "0", "10000", "10001"),
    ("mail.smtp_timeout", "100ms", "99ms", "10m", "601s"),
    ("mail.smtp_pool", "1", "0", "100", "101"),
    ("mail.capture_messages", "1", "0", "1000000", "1000001"),
    ("mail.capture_bytes", "1KiB", "1023", "4GiB", "4294967297"),
    ("defaults.timeout", "1ms", "0s", "24h", "86401s"),
    ("defaults.cancel_grace", "0s", "-1s", "5m", "301s"),
    ("shutdown.grace", "0s", "-1s", "24h", "86401s"),
    ("shutdown.ready_delay", "0s", "-1s", "5m", "301s"),
];

/// A schedule has none of its ranges until there is one.
const SCHEDULE: [&str; 2] = ["schedules.nightly.cron=@daily", "schedules.nightly.kind=noop"];

#[test]
fn both_ends_are_inside_and_their_neighbours_are_not() {
    for (key, least, below, most, above) in RANGES {
        for inside in [least, most] {
            config(&[SCHEDULE[0], SCHEDULE[1], &format!("{key}={inside}")]);
        }
        for outside in [below, above] {
            let found = faults(&[SCHEDULE[0], SCHEDULE[1], &format!("{key}={outside}")]);
            assert_eq!(found.len(), 1, "{key}={outside}: {found:?}");
            assert!(found[0].starts_with(&format!("--set: {key}: ")), "{found:?}");
            assert!(found[0].contains(outside), "the value is not in: {found:?}");
        }
    }
}

#[test]
fn every_number_with_a_unit_or_range_is_in_the_table() {
    let loaded = super::testing::loaded(&[
        SCHEDULE[0],
        SCHEDULE[1],
        "schedules.nightly.timeout=1s",
        "schedules.nightly.max_attempts=1",
        "schedules.nightly.expires_in=1s",
        "kinds.noop.timeout=1s",
        "kinds.noop.max_attempts=1",
        "kinds.noop.cancel_grace=1s",
        "kinds.noop.unique_for=1s",
    ]);
    for value in loaded.effective {
        let text = value.value.as_str().unwrap_or_default();
        let ranged = value.value.is_number()
            || crate::job::parse_duration(text).is_ok()
            || text.parse::<bytesize::ByteSize>().is_ok();
        // The other queues, profiles and kinds are read by the same code.
        let repeated =
            ["queues.mail.", "queues.notices.", "retry.interactive.", "kinds.email.", "kinds.webhook."]
                .iter()
                .any(|prefix| value.key.starts_with(prefix));
        if ranged && !repeated {
            assert!(
                RANGES.iter().any(|(key, ..)| *key == value.key),
                "{} has no test of its range",
                value.key
            );
        }
    }
}
