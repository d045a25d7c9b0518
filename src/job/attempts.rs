//! The attempts of a job that have ended.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use super::state::JobError;
use super::weight::ALLOCATION;
use super::{AttemptOutcome, Timestamp};

/// How many attempts are remembered: the first, and the last nine.
pub(crate) const ATTEMPTS_KEPT: usize = 10;

/// One run of the handler that has ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Attempt {
    /// Its number: 1 for the first after acceptance or a retry. An attempt that was not used up lends its number to the next.
    pub number: u32,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// Why it failed, if it did.
    pub error: Option<Arc<JobError>>,
}

/// The attempts that are remembered, oldest first: a slice of them, of which the first takes no memory of its own. Most
/// jobs have no second.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Attempts(Kept);

#[derive(Clone, PartialEq, Eq, Debug, Default)]
enum Kept {
    #[default]
    None,
    One(Attempt),
    Many(Vec<Attempt>),
}

impl Attempts {
    /// None yet.
    pub(super) const NONE: Self = Self(Kept::None);

    /// Remembers one more; the second of them is forgotten when there are ten already.
    pub fn push(&mut self, attempt: Attempt) {
        match &mut self.0 {
            Kept::None => self.0 = Kept::One(attempt),
            Kept::One(first) => self.0 = Kept::Many(vec![first.clone(), attempt]),
            Kept::Many(attempts) => {
                if attempts.len() >= ATTEMPTS_KEPT {
                    attempts.remove(1);
                }
                // Few jobs have many attempts, and a thousand of those that wait for one must not pay for them.
                attempts.reserve_exact(1);
                attempts.push(attempt);
            }
        }
    }

    /// Forgets all of them but the last.
    pub(super) fn keep_the_last(&mut self) {
        if let Kept::Many(attempts) = &mut self.0 {
            self.0 = attempts.pop().map_or(Kept::None, Kept::One);
        }
    }

    /// The bytes of memory beside its own size, without the errors.
    pub(super) fn bytes(&self) -> usize {
        match &self.0 {
            Kept::None | Kept::One(_) => 0,
            Kept::Many(attempts) => attempts.capacity() * size_of::<Attempt>() + ALLOCATION,
        }
    }
}

impl Deref for Attempts {
    type Target = [Attempt];

    fn deref(&self) -> &[Attempt] {
        match &self.0 {
            Kept::None => &[],
            Kept::One(attempt) => std::slice::from_ref(attempt),
            Kept::Many(attempts) => attempts,
        }
    }
}

impl DerefMut for Attempts {
    fn deref_mut(&mut self) -> &mut [Attempt] {
        match &mut self.0 {
            Kept::None => &mut [],
            Kept::One(attempt) => std::slice::from_mut(attempt),
            Kept::Many(attempts) => attempts,
        }
    }
}

impl<'a> IntoIterator for &'a Attempts {
    type Item = &'a Attempt;
    type IntoIter = std::slice::Iter<'a, Attempt>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Serialize for Attempts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

impl From<Vec<Attempt>> for Attempts {
    fn from(attempts: Vec<Attempt>) -> Self {
        let mut kept = Self::NONE;
        for attempt in attempts {
            kept.push(attempt);
        }
        kept
    }
}
