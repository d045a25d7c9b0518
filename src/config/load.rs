//! The whole configuration, and the one way to it.

use std::collections::BTreeMap;

use super::auth::Auth;
use super::fault::{ConfigFault, Origin};
use super::kinds::{Defaults, Kind, unknown_references};
use super::layers::{self, Sources};
use super::limits::{Limits, Retention};
use super::mail::Mail;
use super::metrics::Metrics;
use super::outgoing::{Http, Webhooks};
use super::queues::Queue;
use super::reader::Reader;
use super::retry;
use super::schedules;
use super::server::Server;
use super::shutdown::{Log, Shutdown};
use crate::job::{KindName, QueueName, RetryPolicy, ScheduleName};
use crate::schedule::Schedule;

/// Holds every option. `config/default.toml` says what each of them does.
///
/// [`Config::default`] is what is shipped; [`load`] is what the user made of it. Who changes it in code is told by
/// [`Config::faults`] what is out of its range.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen.
    pub server: Server,
    /// Who may call.
    pub auth: Auth,
    /// Waiting lines by name.
    pub queues: BTreeMap<QueueName, Queue>,
    /// What is special about some kinds.
    pub kinds: BTreeMap<KindName, Kind>,
    /// Recurring jobs by name.
    pub schedules: BTreeMap<ScheduleName, Schedule>,
    /// Retry profiles by name.
    pub retry: BTreeMap<String, RetryPolicy>,
    /// How long finished jobs are kept.
    pub retention: Retention,
    /// How large things may be.
    pub limits: Limits,
    /// Where mail goes.
    pub mail: Mail,
    /// Where jobs of the kind `http` may go.
    pub http: Http,
    /// How requests to a user's app are signed, and where webhooks may go.
    pub webhooks: Webhooks,
    /// What holds for kinds that say nothing else.
    pub defaults: Defaults,
    /// How to stop.
    pub shutdown: Shutdown,
    /// What is logged.
    pub log: Log,
    /// What is counted.
    pub metrics: Metrics,
}

/// Holds a configuration without fault, and how it came about.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The options.
    pub config: Config,
    /// Every value and where it came from, in the order of the keys. Secrets are redacted.
    pub effective: Vec<EffectiveValue>,
    /// What is no fault, but probably not what was meant; for the log.
    pub warnings: Vec<String>,
}

/// Holds what is wrong with a configuration, and what of it is sound.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Everything that is wrong, sorted by origin and key; never empty.
    pub faults: Vec<ConfigFault>,
    /// The section `mail`, if none of the faults is in it: its templates can be looked at all the same.
    pub mail: Option<Mail>,
    /// As in [`Loaded`], but for the values with faults.
    pub effective: Vec<EffectiveValue>,
}

/// Says what holds for one key, and why.
#[derive(Clone, PartialEq, Debug)]
pub struct EffectiveValue {
    /// The key with its sections.
    pub key: String,
    /// The value as it was written, or `"[redacted]"`.
    pub value: serde_json::Value,
    /// Where it was written.
    pub origin: Origin,
}

/// Lays all layers over each other and reads the configuration from them.
///
/// `known_kinds` are the kinds that this program can run: settings of others are a fault.
///
/// # Errors
///
/// Everything that is wrong, sorted by origin and key; never empty.
///
/// # Examples
///
/// ```
/// use backroom::config::{Sources, load};
///
/// let set = |text: &str| Sources { set: vec![text.to_owned()], ..Sources::default() };
/// let loaded = load(set("queues.default.capacity=50"), &["email"]).map_err(|faults| faults[0].clone())?;
/// assert_eq!(loaded.config.queues["default"].capacity, 50);
///
/// let faults = load(set("queues.default.capacty=50"), &["email"]).unwrap_err();
/// let wanted = r#"--set: queues.default.capacty: unknown key; did you mean "capacity"?"#;
/// assert_eq!(faults[0].to_string(), wanted);
/// # Ok::<(), backroom::config::ConfigFault>(())
/// ```
pub fn load(sources: Sources, known_kinds: &[&str]) -> Result<Loaded, Vec<ConfigFault>> {
    examine(sources, known_kinds).map_err(|refused| refused.faults)
}

/// Does what [`load`] does, and keeps of a configuration with faults what else can be looked at.
///
/// # Errors
///
/// As [`load`], with the sections that are sound.
pub fn examine(sources: Sources, known_kinds: &[&str]) -> Result<Loaded, Box<Refused>> {
    let merged = layers::merge(sources);
    let mut warnings = merged.warnings;
    let mut reader = Reader::new(&merged.tree, merged.faults, merged.incomplete);
    let (config, mail) = read(&mut reader, known_kinds);
    let mut found = reader.finish();
    found.effective.sort_by(|a, b| a.key.cmp(&b.key));
    match config {
        Some(config) if found.faults.is_empty() => {
            warnings.extend(config.warnings());
            Ok(Loaded { config, effective: found.effective, warnings })
        }
        _ => {
            found.faults.sort();
            found.faults.dedup();
            let mail_is_sound = !found.incomplete && !found.faults.iter().any(is_of_mail);
            Err(Box::new(Refused {
                faults: found.faults,
                mail: mail.filter(|_| mail_is_sound),
                effective: found.effective,
            }))
        }
    }
}

fn is_of_mail(fault: &ConfigFault) -> bool {
    fault.key == "mail" || fault.key.starts_with("mail.")
}

/// Reads every section before it gives up. `None` only together with a fault.
fn read(reader: &mut Reader<'_>, known_kinds: &[&str]) -> (Option<Config>, Option<Mail>) {
    let server = Server::read(reader);
    let auth = Auth::read(reader, &server);
    let queues = Queue::read_all(reader);
    let kinds = Kind::read_all(reader, known_kinds);
    let schedules = schedules::read_all(reader);
    let retry = retry::read_all(reader);
    let retention = Retention::read(reader);
    let limits = Limits::read(reader);
    let mail = Mail::read(reader);
    let http = Http::read(reader);
    let webhooks = Webhooks::read(reader);
    let defaults = Defaults::read(reader);
    let shutdown = Shutdown::read(reader);
    let log = Log::read(reader);
    let metrics = Metrics::read(reader);
    if !reader.found.incomplete {
        let of_schedules = schedules::unknown_references(&schedules, &queues, Some((&kinds, known_kinds)));
        let of_kinds = unknown_references(&queues, &retry, &kinds, defaults.as_ref());
        for (key, reason) in of_kinds.into_iter().chain(of_schedules) {
            reader.found.fault(&key, reason);
        }
    }
    let config = mail.clone().zip(defaults).map(|(mail, defaults)| Config {
        server,
        auth,
        queues,
        kinds,
        schedules,
        retry,
        retention,
        limits,
        mail,
        http,
        webhooks,
        defaults,
        shutdown,
        log,
        metrics,
    });
    (config, mail)
}

impl Default for Config {
    /// What `config/default.toml` says.
    fn default() -> Self {
        match load(Sources::default(), &[]) {
            Ok(loaded) => loaded.config,
            // A test loads it, so a build with such a fault is never released.
            Err(faults) => unreachable!("the shipped defaults have faults: {faults:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{KINDS, config, faults, loaded, with_file};

    #[test]
    fn the_shipped_defaults_have_no_fault() {
        let shipped = Config::default();
        assert_eq!(format!("{shipped:?}"), format!("{:?}", config(&[])));
    }

    #[test]
    fn every_value_is_listed_with_its_origin() {
        let loaded = loaded(&["limits.batch=5", "kinds.noop.timeout=5s"]);
        let listed = |key: &str| {
            let value = loaded.effective.iter().find(|v| v.key == key).unwrap();
            (value.value.clone(), value.origin.to_string())
        };
        assert_eq!(listed("limits.batch"), (5.into(), "--set".into()));
        assert_eq!(listed("kinds.noop.timeout"), ("5s".into(), "--set".into()));
        assert_eq!(listed("limits.payload"), ("256KiB".into(), "default".into()));
        assert_eq!(listed("queues.mail.capacity"), (1000.into(), "default".into()));
        assert_eq!(listed("retry.interactive.factor"), (4.0.into(), "default".into()));
        assert!(loaded.effective.is_sorted_by(|a, b| a.key < b.key), "sorted, each key once");
    }

    #[test]
    fn the_environment_gives_values_of_every_form() {
        let environment = |variables: &[(&str, &str)]| {
            let environment = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
            load(Sources { environment, ..Sources::default() }, &KINDS)
        };
        let loaded = environment(&[
            ("BACKROOM_SERVER__BIND", "[::1]:0"),
            ("BACKROOM_LIMITS__BATCH", " 7 "),
            ("BACKROOM_RETRY__STANDARD__FACTOR", "1.5"),
            ("BACKROOM_RETRY__PATIENT__DELAYS", "1s,2s"),
            ("BACKROOM_KINDS__NOOP__SENSITIVE", "[\"iban\"]"),
            ("BACKROOM_QUEUES__BULK__ENQUEUE_WAIT", "\"2s\""),
            ("BACKROOM_SERVER_BIND", "ignored"),
        ])
        .unwrap();
        let config = &loaded.config;
        assert_eq!(config.server.bind.to_string(), "[::1]:0");
        assert_eq!(config.limits.batch, 7);
        assert_eq!(config.retry["patient"].max_attempts, 3);
        assert_eq!(config.kinds["noop"].sensitive, ["iban"]);
        assert_eq!(config.queues["bulk"].enqueue_wait.as_secs(), 2);
        assert_eq!(loaded.warnings.len(), 1);
        let factor = loaded.effective.iter().find(|v| v.key == "retry.standard.factor").unwrap();
        assert_eq!(factor.value, 1.5);
        assert_eq!(factor.origin.to_string(), "BACKROOM_RETRY__STANDARD__FACTOR");

        let faults =
            environment(&[("BACKROOM_LIMITS__BATCH", "x"), ("BACKROOM__LIMITS__BATCH", "1")]).unwrap_err();
        let shown: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "BACKROOM_LIMITS__BATCH: limits.batch: must be a whole number from 1 to 10000 (found \"x\")",
                "BACKROOM__LIMITS__BATCH: _limits: unknown section; did you mean \"limits\"?",
            ]
        );
    }

    #[test]
    fn faults_are_sorted_by_origin_then_key() {
        assert_eq!(faults(&["log.level=x", "auth.mode=y", "limits.batch=z"]).len(), 3);
        let found = with_file("[log]\nlevel = 'x'\n[auth]\nmode = 'y'\n", &["limits.batch=z", "auth.x=1"]);
        let keys: Vec<String> = found.unwrap_err().into_iter().map(|fault| fault.key).collect();
        assert_eq!(keys, ["log.level", "auth.mode", "auth.x", "limits.batch"]);
    }

    #[test]
    fn other_layers_are_checked_beside_a_file_that_does_not_parse() {
        // What depends on the file is not: it might say auth.mode = "none", have the queue and the URL.
        let depends = ["server.bind=0.0.0.0:80", "defaults.queue=bulk", "mail.transport=smtp"];
        for set in [["limits.batch=z"].as_slice(), &[["limits.batch=z"].as_slice(), &depends].concat()] {
            let found = with_file("[log\n", set).unwrap_err();
            assert_eq!(found.len(), 2, "{found:?}");
            assert_eq!(found[1].key, "limits.batch");
        }
        assert_eq!(faults(&depends).len(), 4);
    }

    #[test]
    fn a_sound_mail_section_is_kept_beside_the_faults_of_others() {
        let refused = |set: &[&str]| {
            let set = set.iter().map(|text| (*text).to_owned()).collect();
            examine(Sources { set, ..Sources::default() }, &KINDS).unwrap_err()
        };
        let found = refused(&["limits.batch=0", "mail.app_name=Shop"]);
        assert_eq!(found.faults.len(), 1);
        assert_eq!(found.mail.unwrap().app_name, "Shop");
        assert!(found.effective.iter().any(|v| v.key == "mail.app_name"));
        for of_mail in ["mail.folder=", "mail.x=1", "mail=1", "mail.from=x"] {
            assert!(refused(&["limits.batch=0", of_mail]).mail.is_none(), "{of_mail}");
        }
    }

    #[test]
    fn unknown_sections_have_a_nearest_name() {
        assert_eq!(
            faults(&["queus.mail.capacity=1"]),
            ["--set: queus: unknown section; did you mean \"queues\"?"]
        );
        // Those of later releases are unknown in this one.
        for later in ["webhooks.secret=x", "schedule.a.cron=x", "auth.tokns=x", "queues.mail.rate_limit=1"] {
            assert_eq!(faults(&[later]).len(), 1, "{later}");
        }
    }

    #[test]
    fn every_option_is_explained() {
        let mut explained = false;
        for (number, line) in layers::DEFAULTS.lines().enumerate() {
            let is_option = line.contains(" = ") && !line.starts_with('#');
            assert!(!is_option || explained, "line {} of default.toml has no comment above it", number + 1);
            explained = line.starts_with('#');
        }
        for member in [
            "cron",
            "time_zone",
            "kind",
            "payload",
            "overlap",
            "catch_up",
            "paused",
            "tags",
            "expires_in",
            "queue",
            "timeout",
            "max_attempts",
            "retry",
            "cancel_grace",
            "sensitive",
            "description",
            "run",
            "command",
            "folder",
            "env",
            "result_type",
            "retry_on_exit",
            "url",
            "unique_by",
            "unique_for",
        ] {
            assert!(
                layers::DEFAULTS.contains(&format!("#   {member} ")),
                "{member} of a kind or of a schedule is not explained"
            );
        }
    }

    #[test]
    fn the_production_example_has_no_fault() {
        let folder = tempfile::tempdir().unwrap();
        let spill = format!("shutdown.spill_file={}/x.jsonl", folder.path().display());
        let text = include_str!("../../config/production.toml")
            .replace("/run/secrets", folder.path().to_str().unwrap());
        let gone = with_file(&text, &[&spill]).unwrap_err();
        assert_eq!(gone.len(), 4, "only the secrets are missing: {gone:?}");
        for name in ["smtp-password", "app-token", "dashboard-token", "operator-token"] {
            std::fs::write(folder.path().join(format!("backroom-{name}")), format!("s3cret-s3cret-{name}\n"))
                .unwrap();
        }
        let loaded = with_file(&text, &[&spill]).unwrap();
        assert_eq!(loaded.warnings, Vec::<String>::new());
        assert!(loaded.config.mail.smtp_password.is_some());
        let Config { queues, limits, retention, auth, .. } = loaded.config;
        let held: usize = queues.values().map(|q| q.capacity + q.concurrency).sum();
        let finished = retention.max_finished * (limits.payload + limits.result + 2048);
        let worst = held * (limits.payload + 2048) + finished;
        assert_eq!(worst >> 20, 1021, "the sum in production.toml");
        assert!(worst as u64 <= limits.memory, "nothing makes way before its time");
        assert_eq!(auth.tokens.len(), 3);
    }
}
