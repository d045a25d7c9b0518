//! What stands in the place of `src/sync.rs`: every lock and every atomic is a moment at which another thread may come.
//!
//! Shuttle knows one order of memory only, the sequentially consistent one: it finds what goes wrong between two steps, not
//! what goes wrong because a machine reorders them.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher, Hash};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

pub(crate) use shuttle::sync::{Mutex, MutexGuard};
pub(crate) use std::sync::PoisonError;

pub(crate) mod atomic {
    pub(crate) use shuttle::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering, fence};
}

/// Few, so that different keys meet in one; more than one, so that they do not always.
const SHARDS: usize = 3;

type Shard<K, V> = Mutex<BTreeMap<K, V>>;

/// As much of a `DashMap` as is used: locked in parts, a part as long as a guard of it lives.
pub(crate) struct DashMap<K, V, S> {
    shards: [Shard<K, V>; SHARDS],
    hasher: PhantomData<S>,
}

/// One entry, held. `V` may or may not be changed through it.
pub(crate) struct Held<'a, K: Ord, V> {
    shard: MutexGuard<'a, BTreeMap<K, V>>,
    key: K,
}

pub(crate) enum Entry<'a, K: Ord, V> {
    Occupied(Held<'a, K, V>),
    Vacant(Vacant<'a, K, V>),
}

pub(crate) struct Vacant<'a, K: Ord, V>(Held<'a, K, V>);

/// An entry of a walk through the map.
pub(crate) struct Seen<K, V>(K, V);

impl<K, V, S> Default for DashMap<K, V, S> {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::new(BTreeMap::new())), hasher: PhantomData }
    }
}

impl<K: Ord + Hash + Clone, V, S> DashMap<K, V, S> {
    fn shard(&self, key: &K) -> MutexGuard<'_, BTreeMap<K, V>> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
        self.shards[hash as usize % SHARDS].lock().unwrap()
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap().len()).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn get(&self, key: &K) -> Option<Held<'_, K, V>> {
        self.get_mut(key)
    }

    pub(crate) fn get_mut(&self, key: &K) -> Option<Held<'_, K, V>> {
        let shard = self.shard(key);
        shard.contains_key(key).then_some(()).map(|()| Held { shard, key: key.clone() })
    }

    pub(crate) fn entry(&self, key: K) -> Entry<'_, K, V> {
        let held = Held { shard: self.shard(&key), key };
        if held.shard.contains_key(&held.key) { Entry::Occupied(held) } else { Entry::Vacant(Vacant(held)) }
    }

    pub(crate) fn insert(&self, key: K, value: V) -> Option<V> {
        self.shard(&key).insert(key, value)
    }

    pub(crate) fn remove_if(&self, key: &K, really: impl FnOnce(&K, &V) -> bool) -> Option<(K, V)> {
        let mut shard = self.shard(key);
        if shard.get(key).is_some_and(|value| really(key, value)) { shard.remove_entry(key) } else { None }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Seen<K, V>>
    where
        V: Clone,
    {
        let entries = |shard: &Shard<K, V>| -> Vec<_> {
            shard.lock().unwrap().iter().map(|(key, value)| Seen(key.clone(), value.clone())).collect()
        };
        self.shards.iter().flat_map(entries)
    }
}

impl<K: Ord, V> Deref for Held<'_, K, V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.shard[&self.key]
    }
}

impl<K: Ord, V> DerefMut for Held<'_, K, V> {
    fn deref_mut(&mut self) -> &mut V {
        self.shard.get_mut(&self.key).unwrap()
    }
}

impl<K: Ord, V> Held<'_, K, V> {
    pub(crate) fn get(&self) -> &V {
        self
    }

    pub(crate) fn get_mut(&mut self) -> &mut V {
        self
    }

    pub(crate) fn remove(mut self) -> V {
        self.shard.remove(&self.key).unwrap()
    }
}

impl<'a, K: Ord + Clone, V> Vacant<'a, K, V> {
    pub(crate) fn insert(mut self, value: V) -> Held<'a, K, V> {
        self.0.shard.insert(self.0.key.clone(), value);
        self.0
    }
}

impl<'a, K: Ord + Clone, V> Entry<'a, K, V> {
    pub(crate) fn or_insert_with(self, make: impl FnOnce() -> V) -> Held<'a, K, V> {
        match self {
            Self::Occupied(held) => held,
            Self::Vacant(vacant) => vacant.insert(make()),
        }
    }
}

impl<K, V> Seen<K, V> {
    pub(crate) fn key(&self) -> &K {
        &self.0
    }
}

impl<K, V> Deref for Seen<K, V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.1
    }
}
