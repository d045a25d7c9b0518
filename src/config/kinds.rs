//! `[kinds.<name>]` and `[defaults]`: what holds for the jobs of a kind.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::bounds::{CANCEL_GRACE, MAX_ATTEMPTS, TIMEOUT, UNIQUE_BY, UNIQUE_FOR};
use super::fault::instead_of;
use super::load::Config;
use super::queues::Queue;
use super::reader::{Reader, Section};
use super::retry::single_attempt;
use super::run::Run;
use super::schema::read_schema;
use super::tree::dotted;
use crate::handler::{KindSettings, UniqueBy};
use crate::job::{KindName, NOTICES, QueueName, RetryPolicy, Unique};

/// Says what is special about one kind. `None`: what [`Defaults`] say.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Kind {
    /// What runs it. `None`: a handler in the program. A kind that has one cannot have this.
    pub run: Option<Run>,
    /// What it is for, to be shown: 1 to 200 characters.
    pub description: Option<String>,
    /// A file with the JSON Schema of its payloads, for a kind with [`Self::run`]: at most 1 MiB.
    pub schema: Option<PathBuf>,
    /// Where its jobs wait, unless a job names another queue: one of [`Config::queues`].
    pub queue: Option<QueueName>,
    /// How long one attempt may take: 1 ms to 24 h. Then it is told to stop, and tried again.
    pub timeout: Option<Duration>,
    /// Attempts in all, the first run included, instead of what the retry profile says: 1 to 100.
    pub max_attempts: Option<u32>,
    /// The name of the retry profile: one of [`Config::retry`].
    pub retry: Option<String>,
    /// How long an attempt that was told to stop may take to do so: nothing to 5 min. Then it is abandoned.
    pub cancel_grace: Option<Duration>,
    /// Members of the payload that are never shown, beside those that never are: their names, at every depth, each 1 to
    /// 64 letters, digits, `_`, `-` or `.`.
    pub sensitive: Vec<String>,
    /// By what in their payloads its jobs are known as the same work: at most 20 RFC 6901 pointers. A job that says
    /// `unique` itself is known by that.
    pub unique_by: Vec<String>,
    /// How long after its end such a job still keeps others away: nothing to 30 days.
    pub unique_for: Option<Duration>,
}

/// Says what holds for a kind that says nothing else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Defaults {
    /// Where its jobs wait: one of [`Config::queues`].
    pub queue: QueueName,
    /// How long one attempt may take: 1 ms to 24 h. Then it is told to stop, and tried again.
    pub timeout: Duration,
    /// How long an attempt that was told to stop may take to do so: nothing to 5 min. Then it is abandoned.
    pub cancel_grace: Duration,
    /// The name of the retry profile: one of [`Config::retry`].
    pub retry: String,
}

impl Kind {
    pub(super) fn read_all(reader: &mut Reader<'_>, known: &[&str]) -> BTreeMap<KindName, Self> {
        let mut kinds = BTreeMap::new();
        reader.each("kinds", |name, s| {
            let has_handler = known.contains(&name);
            let kind = Self::read(s, has_handler);
            // What is shipped for a kind that this program does not have is of no effect and no fault of the user.
            // A section that speaks of running means a kind of the user's own, and has faults of its own if it is none.
            if !has_handler && !Run::is_in(s) && !s.is_shipped() {
                s.fault_here(format!("unknown kind; {}", instead_of(name, known.iter().copied())));
            }
            // Kept in any case, so that what it refers to is checked too.
            match KindName::new(name) {
                Ok(name) => {
                    kinds.insert(name, kind);
                }
                // A kind of the user's own that nobody could ever submit a job of.
                Err(error) if Run::is_in(s) => s.fault_here(error.to_string()),
                Err(_) => {}
            }
        });
        kinds
    }

    fn read(s: &mut Section<'_>, has_handler: bool) -> Self {
        Self {
            run: Run::read(s, has_handler),
            description: s.optional("description", |s, key| s.text(key, String::new(), description)),
            schema: schema(s, has_handler),
            queue: s.optional("queue", |s, key| s.text(key, None, queue_name)).flatten(),
            timeout: s.optional("timeout", |s, key| s.duration(key, TIMEOUT)),
            max_attempts: s.optional("max_attempts", |s, key| s.integer(key, MAX_ATTEMPTS)),
            retry: s.optional("retry", |s, key| s.text(key, String::new(), |name| Ok(name.to_owned()))),
            cancel_grace: s.optional("cancel_grace", |s, key| s.duration(key, CANCEL_GRACE)),
            sensitive: s.optional("sensitive", |s, key| s.list(key, 0..=100, member)).unwrap_or_default(),
            unique_by: s.optional("unique_by", |s, key| s.list(key, UNIQUE_BY, pointer)).unwrap_or_default(),
            unique_for: s.optional("unique_for", |s, key| s.duration(key, UNIQUE_FOR)),
        }
    }
}

impl Defaults {
    /// `None` only together with a fault.
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.section("defaults", |s| {
            let queue = s.text("queue", None, queue_name);
            let timeout = s.duration("timeout", TIMEOUT);
            let cancel_grace = s.duration("cancel_grace", CANCEL_GRACE);
            let retry = s.text("retry", String::new(), |name| Ok(name.to_owned()));
            Some(Self { queue: queue?, timeout, cancel_grace, retry })
        })
    }
}

impl Config {
    /// Says what holds for a kind: its own settings, and the defaults for what it leaves out.
    ///
    /// A retry profile that does not exist ([`load`](super::load) refuses that) means one attempt.
    pub fn kind_settings(&self, kind: &str) -> KindSettings {
        let none = Kind::default();
        let kind = self.kinds.get(kind).unwrap_or(&none);
        let profile = kind.retry.as_ref().unwrap_or(&self.defaults.retry);
        let mut retry = self.retry.get(profile).cloned().unwrap_or_else(single_attempt);
        if let Some(max_attempts) = kind.max_attempts {
            retry.max_attempts = max_attempts;
        }
        KindSettings {
            queue: kind.queue.clone().unwrap_or_else(|| self.defaults.queue.clone()),
            timeout: kind.timeout.unwrap_or(self.defaults.timeout),
            retry,
            cancel_grace: kind.cancel_grace.unwrap_or(self.defaults.cancel_grace),
            sensitive: kind.sensitive.clone(),
            retry_profile: profile.clone(),
            unique_by: UniqueBy {
                pointers: kind.unique_by.clone(),
                window: kind.unique_for.unwrap_or(Unique::WINDOW),
            },
        }
    }
}

/// Finds names of queues and profiles that do not exist: the keys that refer to them, each with the reason.
pub(super) fn unknown_references(
    queues: &BTreeMap<QueueName, Queue>,
    profiles: &BTreeMap<String, RetryPolicy>,
    kinds: &BTreeMap<KindName, Kind>,
    defaults: Option<&Defaults>,
) -> Vec<(String, String)> {
    let mut unknown = Vec::new();
    let mut check = |key: &str, queue: Option<&QueueName>, profile: Option<&String>| {
        if let Some(queue) = queue.filter(|queue| !queues.contains_key(*queue)) {
            let instead = instead_of(queue.as_str(), queues.keys().map(QueueName::as_str));
            unknown.push((format!("{key}.queue"), format!("unknown queue \"{queue}\"; {instead}")));
        }
        if let Some(profile) = profile.filter(|profile| !profiles.contains_key(*profile)) {
            let instead = instead_of(profile, profiles.keys().map(String::as_str));
            unknown.push((format!("{key}.retry"), format!("unknown retry profile {profile:?}; {instead}")));
        }
    };
    let mut misplaced = Vec::new();
    let mut place = |key: &str, kind: &str, queue: Option<&QueueName>| {
        let is_of_notices = queue.is_some_and(|queue| queue.as_str() == NOTICES);
        if kind == "webhook" && queue.is_some() && !is_of_notices {
            misplaced
                .push((format!("{key}.queue"), format!("must be {NOTICES:?}: webhooks wait there only")));
        } else if kind != "webhook" && is_of_notices {
            let reason = format!("must not be {NOTICES:?}: that is for the notices of the server itself");
            misplaced.push((format!("{key}.queue"), reason));
        }
    };
    if let Some(defaults) = defaults {
        place("defaults", "", Some(&defaults.queue));
        check("defaults", Some(&defaults.queue), Some(&defaults.retry));
    }
    for (name, kind) in kinds {
        let key = dotted(&["kinds".to_owned(), name.to_string()]);
        place(&key, name.as_str(), kind.queue.as_ref());
        check(&key, kind.queue.as_ref(), kind.retry.as_ref());
    }
    unknown.extend(misplaced);
    unknown
}

/// A file that can be used as it is now; it is read again when the kind is made.
fn schema(s: &mut Section<'_>, has_handler: bool) -> Option<PathBuf> {
    let read = |text: &str| read_schema(Path::new(text)).map(|_| Some(PathBuf::from(text)));
    s.optional("schema", |s, key| {
        if has_handler {
            s.fault(key, "is for kinds of your own: the program checks the payloads of this one itself");
            return None;
        }
        s.text(key, None, read)
    })
    .flatten()
}

fn queue_name(text: &str) -> Result<Option<QueueName>, String> {
    QueueName::new(text).map(Some).map_err(|error| error.to_string())
}

/// The name of a member of a payload. Names that hold other characters exist, but here they are slips: they would hide
/// nothing, and nobody would notice.
pub(super) fn member(text: &str) -> Result<String, String> {
    let may = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    if text.starts_with(['/', '$']) {
        Err("must be the name of a member, not a pointer: \"iban\" hides every member of this name"
            .to_owned())
    } else if text.is_empty() || text.chars().count() > 64 || !text.chars().all(may) {
        Err("must be the name of a member: 1 to 64 letters, digits, '_', '-' or '.'".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

/// One line that says what a kind is for.
pub(super) fn description(text: &str) -> Result<String, String> {
    if text.trim().is_empty() || text.chars().count() > 200 || text.chars().any(char::is_control) {
        return Err("must be one line of 1 to 200 characters".to_owned());
    }
    Ok(text.to_owned())
}

/// An RFC 6901 pointer into a payload; `""` is the whole of it.
pub(super) fn pointer(text: &str) -> Result<String, String> {
    let escapes_are_right =
        text.split('~').skip(1).all(|after| after.starts_with('0') || after.starts_with('1'));
    if !(text.is_empty() || text.starts_with('/')) {
        Err("must be a pointer into the payload, which begins with a slash: \"/document_id\"".to_owned())
    } else if text.len() > 256 || !escapes_are_right {
        Err("must be an RFC 6901 pointer of at most 256 bytes, in which '~' is written \"~0\"".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{config, faults};
    use crate::job::Backoff;

    #[test]
    fn mail_has_its_own_queue_and_hurries() {
        let config = config(&[]);
        let email = config.kind_settings("email");
        assert_eq!(email.queue.as_str(), "mail");
        assert_eq!(email.retry, config.retry["interactive"]);
        assert_eq!(email.timeout, Duration::from_mins(6));
        let other = config.kind_settings("resize");
        assert_eq!(other.timeout, Duration::from_mins(1));
        assert_eq!(other.queue.as_str(), "default");
        assert_eq!(other.retry, config.retry["standard"]);
        assert_eq!(other.cancel_grace, Duration::from_secs(5));
        assert_eq!(other.sensitive, Vec::<String>::new());
    }

    #[test]
    fn a_kind_wins_over_the_defaults() {
        let config = config(&[
            "defaults.timeout=10s",
            "defaults.cancel_grace=1s",
            "defaults.retry=patient",
            "defaults.queue=mail",
            "kinds.noop.timeout=20s",
            "kinds.noop.cancel_grace=2s",
            "kinds.noop.max_attempts=3",
            "kinds.noop.queue=default",
            "kinds.noop.sensitive=[\"iban\", \"phone\"]",
        ]);
        let noop = config.kind_settings("noop");
        assert_eq!(noop.timeout, Duration::from_secs(20));
        assert_eq!(noop.cancel_grace, Duration::from_secs(2));
        assert_eq!(noop.queue.as_str(), "default");
        assert_eq!(noop.sensitive, ["iban", "phone"]);
        let patient = config.retry["patient"].clone();
        assert_eq!(noop.retry, RetryPolicy { max_attempts: 3, ..patient.clone() });
        let email = config.kind_settings("email");
        assert_eq!((email.timeout, email.cancel_grace), (Duration::from_mins(6), Duration::from_secs(1)));
        let other = config.kind_settings("other");
        assert_eq!((other.queue.as_str(), other.retry), ("mail", patient));
    }

    #[test]
    fn names_that_do_not_exist_are_refused_with_the_nearest() {
        assert_eq!(
            faults(&["kinds.emial.queue=mail"]),
            ["--set: kinds.emial: unknown kind; did you mean \"email\"?"]
        );
        assert_eq!(
            faults(&["kinds.\"invoice.render\".queue=mial"]),
            ["--set: kinds.\"invoice.render\".queue: unknown queue \"mial\"; did you mean \"mail\"?"]
        );
        assert_eq!(
            faults(&["kinds.email.retry=patent", "defaults.queue=x", "defaults.retry=Standard"]),
            [
                "--set: defaults.queue: unknown queue \"x\"; there are: default, mail, notices",
                "--set: defaults.retry: unknown retry profile \"Standard\"; did you mean \"standard\"?",
                "--set: kinds.email.retry: unknown retry profile \"patent\"; did you mean \"patient\"?",
            ]
        );
        // One fault does not hide another.
        assert_eq!(
            faults(&["kinds.emial.queue=x", "mail.from=x", "defaults.queue=X", "kinds.noop.retry=x"]).len(),
            5
        );
        assert_eq!(faults(&["kinds.Email.queue=mail"]).len(), 1);
        assert_eq!(faults(&["kinds.email.run=push"]).len(), 1);
        for name in ["no kind!", "Invoice", &"x".repeat(65)] {
            let set = |member: &str| format!("kinds.\"{name}\".{member}");
            let found = faults(&[&set("run=push"), &set("url=http://app/")]);
            assert!(found.len() == 1 && found[0].contains("a kind is 1 to 64 characters"), "{found:?}");
        }
        assert_eq!(faults(&["kinds.email.sensitive=a,,b"]).len(), 1);
    }

    #[test]
    fn sensitive_members_are_names() {
        let sensitive = |text: &str| config(&[&format!("kinds.noop.sensitive={text}")]).kinds["noop"].clone();
        let long = "a".repeat(64);
        for good in ["iban", "tax-id_2", "straße", "card.number", &long] {
            assert_eq!(sensitive(good).sensitive, [good]);
        }
        for bad in ["[iban,phone]", "[\"iban\"", "a b", "a[0]", "a$", &"a".repeat(65)] {
            let found = faults(&[&format!("kinds.noop.sensitive={bad}")]);
            assert_eq!(found.len(), 1, "{bad:?}: {found:?}");
        }
        let found = faults(&["kinds.noop.sensitive=[iban,phone]"]);
        let want = "--set: kinds.noop.sensitive: must be a list of texts, as in [\"a\", \"b\"] (found \"[iban,phone]\")";
        assert_eq!(found, [want]);
        let found = faults(&["kinds.noop.sensitive=/card/number"]);
        assert!(found[0].contains("item 1: must be the name of a member, not a pointer"), "{found:?}");
    }

    #[test]
    fn what_is_shipped_for_a_kind_that_is_not_there_is_no_fault() {
        let load = |set: &[&str]| {
            let set = set.iter().map(|s| (*s).to_owned()).collect();
            crate::config::load(crate::config::Sources { set, ..Default::default() }, &["noop"])
        };
        assert!(load(&[]).unwrap().config.kinds.contains_key("email"));
        let faults = load(&["kinds.email.timeout=5s"]).unwrap_err();
        assert_eq!(faults.len(), 1);
        assert_eq!(faults[0].to_string(), "--set: kinds.email: unknown kind; there are: noop");
    }

    #[test]
    fn a_profile_that_was_taken_away_means_one_attempt() {
        let mut config = config(&[]);
        config.retry.clear();
        let one = RetryPolicy { max_attempts: 1, backoff: Backoff::Delays(Vec::new()) };
        assert_eq!(config.kind_settings("email").retry, one);
    }
}
