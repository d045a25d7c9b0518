//! Who wants to be told of a job, and what became of telling them.
//!
//! A notice is a job of its own. It says which job it is about, and that job remembers its notices and how its callback
//! stands; both in the row, so that neither is lost before the other.

use serde::{Deserialize, Serialize};
use url::Url;

use super::{Fault, Job, JobId, JobState, ResultSlot, StateName};

/// The queue in which notices wait, and nothing else.
pub const NOTICES: &str = "notices";
/// The code of the error with which a receiver says that it wants no more webhooks of this job.
pub(crate) const CALLBACK_DISABLED: &str = "callback-disabled";
/// The end of the result of a webhook that was taken by a receiver that wants no more of them.
pub(crate) const DISABLES: &str = "\"disabled\":true}";

/// How long the URL of a callback may be, in bytes.
pub(crate) const LONGEST_URL: usize = 2_048;
/// How many notices a job remembers: the last ones. The others are jobs like any other, only that it knows them no more.
pub(crate) const REMEMBERED: usize = 50;
/// After so many notices a job tells of its end only: one that comes back for ever must not fill the memory.
const CHATTY: u32 = 300;

/// What a job has to do with notices.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notices {
    /// Somebody wants to be told of it.
    Wanted(Wanted),
    /// It is itself a notice, of which nobody is told.
    Of(Notice),
}

/// Who wants to be told of a job; at least one of them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Wanted {
    /// An app, by webhooks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback: Option<Callback>,
    /// Somebody, by a mail when the job has come to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Box<str>>,
}

/// Where webhooks go, and of what they tell.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Callback {
    /// The URL, with whatever is secret in it: never to be shown. See [`Self::shown`].
    pub url: Box<str>,
    /// The states that are told when the job enters them.
    pub events: States,
}

/// Which job a notice tells of, and how.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Notice {
    /// The job.
    pub of: JobId,
    /// The state that it had entered.
    pub event: StateName,
    /// How it is told.
    pub channel: Channel,
    /// Who is told, as it may be shown.
    pub target: Box<str>,
}

/// How somebody is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// By a signed request to a URL.
    Webhook,
    /// By mail.
    Email,
}

/// Some of the states, in one byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct States(u8);

/// How a notice stands, or the callback of a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Nothing was tried yet.
    Pending,
    /// An attempt failed, and another will follow.
    Retrying,
    /// The far side took it.
    Delivered,
    /// It was given up.
    Exhausted,
    /// The far side wants no more webhooks of this job.
    Disabled,
}

/// What a job knows of its notices.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Told {
    /// The last notices, oldest first; some may be forgotten already.
    pub notices: Vec<JobId>,
    /// How many there were.
    made: u32,
    /// How the callback stands.
    pub callback: Delivery,
    /// The webhook by which that is known, and how often it had changed by then.
    newest: Option<(JobId, u64)>,
}

impl Wanted {
    /// Nobody yet.
    pub(crate) const NOBODY: Self = Self { callback: None, email: None };

    /// The bytes of memory beside its own size.
    pub(crate) fn bytes(&self) -> usize {
        self.callback.as_ref().map_or(0, |callback| callback.url.len())
            + self.email.as_ref().map_or(0, |email| email.len())
    }
}

impl Callback {
    /// A callback that is told of the end of the job, however it ends.
    pub fn new(url: impl Into<Box<str>>) -> Self {
        Self { url: url.into(), events: States::TERMINAL }
    }

    /// The same, told of these states instead.
    #[must_use]
    pub fn events(self, events: impl IntoIterator<Item = StateName>) -> Self {
        Self { events: events.into_iter().collect(), ..self }
    }

    /// The URL without what may be secret in it: user, password, query and fragment.
    pub fn shown(&self) -> String {
        let Ok(mut url) = Url::parse(&self.url) else { return String::new() };
        url.set_query(None);
        url.set_fragment(None);
        // These fail for URLs that can have neither, and then there is nothing to hide.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.into()
    }
}

impl States {
    /// The four that a job leaves by a retry only.
    pub const TERMINAL: Self = {
        let mut bits = 0;
        let mut n = 0;
        while n < StateName::ALL.len() {
            if StateName::ALL[n].is_terminal() {
                bits |= 1 << StateName::ALL[n] as u8;
            }
            n += 1;
        }
        Self(bits)
    };

    /// Whether this state is one of them.
    pub const fn has(self, state: StateName) -> bool {
        self.0 & (1 << state as u8) != 0
    }

    /// Whether one of the four ends is one of them.
    pub(crate) const fn has_terminal(self) -> bool {
        self.0 & Self::TERMINAL.0 != 0
    }

    /// The states, in the order of [`StateName::ALL`].
    pub fn iter(self) -> impl Iterator<Item = StateName> {
        StateName::ALL.into_iter().filter(move |state| self.has(*state))
    }

    /// The state of which an event tells: `job.completed` tells of `completed`.
    ///
    /// # Errors
    ///
    /// Which events there are.
    pub(crate) fn event(text: &str) -> Result<StateName, String> {
        let named = |name: &&StateName| text.strip_prefix("job.") == Some(name.as_str());
        StateName::ALL.iter().find(named).copied().ok_or_else(|| {
            let names: Vec<String> = StateName::ALL.iter().map(|name| format!("job.{name}")).collect();
            format!("must be one of {}", names.join(", "))
        })
    }
}

impl FromIterator<StateName> for States {
    fn from_iter<I: IntoIterator<Item = StateName>>(states: I) -> Self {
        Self(states.into_iter().fold(0, |bits, state| bits | 1 << state as u8))
    }
}

impl Serialize for States {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for States {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<StateName>::deserialize(deserializer)?.into_iter().collect())
    }
}

impl Channel {
    /// The channel as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Email => "email",
        }
    }
}

impl Delivery {
    /// How a notice stands.
    pub fn of(notice: &Job) -> Self {
        match &notice.state {
            JobState::Failed { .. } => Self::Retrying,
            JobState::Scheduled { .. } | JobState::Pending { .. } if notice.attempt > 0 => Self::Retrying,
            JobState::Processing { .. } if notice.attempt > 1 => Self::Retrying,
            JobState::Scheduled { .. } | JobState::Pending { .. } | JobState::Processing { .. } => {
                Self::Pending
            }
            JobState::Completed { .. } => Self::Delivered,
            // The only reason why a notice is skipped.
            JobState::Skipped { .. } => Self::Disabled,
            JobState::DeadLettered { .. } if disables(notice) => Self::Disabled,
            JobState::DeadLettered { .. } | JobState::Canceled { .. } => Self::Exhausted,
        }
    }
}

/// Whether the receiver of a webhook has said that it wants no more of them.
fn disables(notice: &Job) -> bool {
    match &notice.state {
        JobState::DeadLettered { .. } => {
            notice.error.as_ref().is_some_and(|error| error.code == CALLBACK_DISABLED)
        }
        JobState::Completed { result: ResultSlot::Kept(result), .. } => {
            result.bytes().ends_with(DISABLES.as_bytes())
        }
        _ => false,
    }
}

impl Told {
    pub(super) const NOTHING: Self =
        Self { notices: Vec::new(), made: 0, callback: Delivery::Pending, newest: None };

    /// The bytes of memory beside its own size.
    pub(super) fn bytes(&self) -> usize {
        self.notices.capacity() * size_of::<JobId>()
    }

    /// With no more notices than are remembered, whatever stood in a file.
    pub(crate) fn bounded(mut self) -> Self {
        self.notices.drain(..self.notices.len().saturating_sub(REMEMBERED));
        self.notices.shrink_to_fit();
        self
    }

    fn remember(&mut self, notice: &Job) {
        if self.notices.len() >= REMEMBERED {
            self.notices.remove(0);
        }
        self.notices.reserve_exact(1);
        self.notices.push(notice.id());
        self.made = self.made.saturating_add(1);
    }

    /// How it is after this notice has changed; `again` says that somebody sent it round again.
    fn heard(&self, notice: &Job, again: bool) -> (Delivery, Option<(JobId, u64)>) {
        let seen = Some((notice.id(), notice.sequence));
        if disables(notice) {
            (Delivery::Disabled, self.newest.max(seen))
        } else if self.callback == Delivery::Disabled && !again {
            (self.callback, self.newest)
        } else if self.newest < seen {
            (Delivery::of(notice), seen)
        } else if again && self.callback == Delivery::Disabled {
            (Delivery::of(notice), self.newest)
        } else {
            (self.callback, self.newest)
        }
    }
}

impl Job {
    /// Who wants to be told of it.
    pub fn wanted(&self) -> Option<&Wanted> {
        match self.spec.notices.as_deref() {
            Some(Notices::Wanted(wanted)) => Some(wanted),
            _ => None,
        }
    }

    /// What it is a notice of, if it is one.
    pub fn notice(&self) -> Option<&Notice> {
        match self.spec.notices.as_deref() {
            Some(Notices::Of(notice)) => Some(notice),
            _ => None,
        }
    }

    /// How its callback stands, if it has one.
    pub fn callback_state(&self) -> Delivery {
        self.told.as_ref().map_or(Delivery::Pending, |told| told.callback)
    }

    /// Whether webhooks are to tell of the state that it is in.
    pub(crate) fn wants_webhook(&self) -> bool {
        let state = self.state.name();
        let callback = self.wanted().and_then(|wanted| wanted.callback.as_ref());
        let made = self.told.as_ref().map_or(0, |told| told.made);
        callback.is_some_and(|callback| callback.events.has(state))
            && self.callback_state() != Delivery::Disabled
            && (made < CHATTY || state.is_terminal())
    }

    /// Takes note of its new notices.
    pub(crate) fn remember<'a>(&mut self, notices: impl IntoIterator<Item = &'a Job>) {
        for notice in notices {
            let told = self.told.get_or_insert_with(|| Box::new(Told::NOTHING));
            told.remember(notice);
            self.hear(notice, false);
        }
    }

    /// Takes note of how one of its notices stands. What comes late, or is of an older notice, changes nothing; nor does
    /// anything but a repeat, asked for by hand (`again`), enable a callback that the far side has disabled. Says whether
    /// there was anything to note.
    pub(crate) fn hear(&mut self, notice: &Job, again: bool) -> bool {
        if !self.would_hear(notice, again) {
            return false;
        }
        if let Some(told) = &mut self.told {
            (told.callback, told.newest) = told.heard(notice, again);
        }
        true
    }

    /// Whether there would be anything to note: a row need not be copied for nothing.
    pub(crate) fn would_hear(&self, notice: &Job, again: bool) -> bool {
        let is_webhook = notice.notice().is_some_and(|notice| notice.channel == Channel::Webhook);
        let Some(told) = self.told.as_ref().filter(|_| is_webhook) else { return false };
        told.heard(notice, again) != (told.callback, told.newest)
    }
}

/// What is wrong with the length of a URL.
pub(crate) fn check_length(url: &str) -> Option<Fault> {
    let detail = || format!("must be at most {LONGEST_URL} bytes");
    (url.len() > LONGEST_URL).then(|| Fault::new("/callback_url", detail()))
}

#[cfg(test)]
#[path = "notice_tests.rs"]
mod tests;
