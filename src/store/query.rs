//! Which jobs a list shows.

use std::sync::Arc;

use crate::job::{Done, Job, JobId, KindName, QueueName, StateName, Tag, Timestamp};

/// One page of a list, newest first.
#[derive(Clone, Debug)]
pub struct ListQuery {
    /// Which jobs.
    pub filter: Filter,
    /// Only jobs older than this one.
    pub before: Option<JobId>,
    /// How many at most: 1 or more.
    pub limit: usize,
}

/// Which jobs: those that meet every member. An empty list stands for "any".
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// In one of these states.
    pub states: Vec<StateName>,
    /// In one of these queues.
    pub queues: Vec<QueueName>,
    /// Of one of these kinds.
    pub kinds: Vec<KindName>,
    /// With one of these tags.
    pub tags: Vec<Tag>,
    /// Whose id begins with this text, or whose error, tags or kind contain it; case does not matter.
    pub text: Option<String>,
    /// Accepted at this time or later.
    pub created_after: Option<Timestamp>,
    /// Accepted before this time.
    pub created_before: Option<Timestamp>,
}

/// What a [`ListQuery`] found.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The jobs, newest first.
    pub jobs: Vec<Arc<Job>>,
    /// Where the next page begins, if there is one.
    pub next: Option<JobId>,
}

fn allows<T: PartialEq>(wanted: &[T], got: &T) -> bool {
    wanted.is_empty() || wanted.contains(got)
}

impl Filter {
    /// Whether the job is one of those.
    pub fn matches(&self, job: &Job) -> bool {
        let spec = &job.spec;
        self.allows(job.state.name(), &spec.queue, &spec.kind, spec.created_at)
            && (self.tags.is_empty() || spec.tags.iter().any(|tag| self.tags.contains(tag)))
            && self.text.as_deref().is_none_or(|text| mentions(job, text))
    }

    /// The same of a job that is done, of which there is nothing else to find it by; it need not be made for that.
    pub(super) fn matches_done(&self, id: JobId, done: &Done) -> bool {
        self.tags.is_empty()
            && self.allows(StateName::Completed, done.queue(), done.kind(), done.created_at())
            && self.text.as_deref().is_none_or(|text| names(id, done.kind(), &text.to_lowercase()))
    }

    fn allows(&self, state: StateName, queue: &QueueName, kind: &KindName, created_at: Timestamp) -> bool {
        allows(&self.states, &state)
            && allows(&self.queues, queue)
            && allows(&self.kinds, kind)
            && self.created_after.is_none_or(|time| created_at >= time)
            && self.created_before.is_none_or(|time| created_at < time)
    }
}

fn mentions(job: &Job, text: &str) -> bool {
    let text = text.to_lowercase();
    let contains = |haystack: &str| haystack.to_lowercase().contains(&text);
    names(job.id(), &job.spec.kind, &text)
        || job.spec.tags.iter().any(|tag| contains(tag.as_str()))
        || job.error.as_ref().is_some_and(|error| contains(&error.message) || contains(&error.code))
}

fn names(id: JobId, kind: &KindName, text: &str) -> bool {
    id.to_string().starts_with(text) || kind.as_str().to_lowercase().contains(text)
}
