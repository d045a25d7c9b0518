//! The locks, atomics and maps at which threads meet, by one name each: `tests/shuttle` compiles the modules that use them
//! with others in their place, which try every order in which threads can meet.

pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) use dashmap::DashMap;
pub(crate) use dashmap::mapref::entry::Entry;

pub(crate) mod atomic {
    pub(crate) use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering, fence};
}
