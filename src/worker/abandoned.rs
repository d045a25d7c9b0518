//! Which handlers ignored their cancellation, counted by kind.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::RandomState;

use crate::handler::Registry;
use crate::job::KindName;
use crate::jobs::{Abandoning, Leash};

/// How many handlers of one kind were abandoned: they had not stopped `cancel_grace` after they were told to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Abandoned {
    /// The kind.
    pub kind: KindName,
    /// Since the start.
    pub total: u64,
    /// Those that have not returned yet: each of them blocks a thread. One that does not block was dropped when it was
    /// abandoned.
    pub running: u64,
}

/// The counts of every kind that is registered.
pub(super) struct Counts(HashMap<KindName, Count, RandomState>);

/// Both only grow, so that whoever reads them in between two writes is never far off.
#[derive(Default)]
struct Count {
    total: AtomicU64,
    returned: AtomicU64,
}

impl Counts {
    pub(super) fn new(registry: &Registry) -> Self {
        Self(registry.iter().map(|registered| (registered.kind.clone(), Count::default())).collect())
    }

    /// Counts an attempt that is given up; nothing if it was before.
    pub(super) fn note(&self, kind: &KindName, leash: &Leash) -> Option<Abandoned> {
        let abandoning = leash.abandon();
        // A kind without a handler ends its attempts at once, so that there is none to abandon.
        let count = self.0.get(kind)?;
        match abandoning {
            Abandoning::Again => return None,
            Abandoning::Running => {}
            Abandoning::Returned => {
                count.returned.fetch_add(1, Ordering::Relaxed);
            }
        }
        count.total.fetch_add(1, Ordering::Relaxed);
        Some(count.view(kind))
    }

    /// An attempt is over; if it was abandoned before, it runs no more.
    pub(super) fn over(&self, kind: &KindName, leash: &Leash) {
        if leash.over()
            && let Some(count) = self.0.get(kind)
        {
            count.returned.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many were abandoned in all.
    pub(super) fn total(&self) -> u64 {
        self.0.values().map(|count| count.total.load(Ordering::Relaxed)).sum()
    }

    /// Every kind, sorted by name.
    pub(super) fn view(&self) -> Vec<Abandoned> {
        let mut all: Vec<_> = self.0.iter().map(|(kind, count)| count.view(kind)).collect();
        all.sort_by(|a, b| a.kind.cmp(&b.kind));
        all
    }
}

impl Count {
    fn view(&self, kind: &KindName) -> Abandoned {
        let total = self.total.load(Ordering::Relaxed);
        let running = total.saturating_sub(self.returned.load(Ordering::Relaxed));
        Abandoned { kind: kind.clone(), total, running }
    }
}
