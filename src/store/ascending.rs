//! An ordered set for what mostly comes in ascending order and mostly leaves from the front.
//!
//! A B-tree that is filled in ascending order leaves its nodes half empty behind it, and pays for its freedom to be filled
//! in any other. Here the entries stand in chunks, one behind the other: the last one is full before the next begins, so
//! that an entry takes little more than its own size. What comes late or leaves early moves the entries of one chunk.

use std::collections::VecDeque;

/// How many entries a chunk has at most.
const CHUNK: usize = 256;
/// Two neighbours that have no more than so many between them become one. Less than a chunk, so that a set that grows and
/// shrinks by turns does not split and join at every step.
const JOINED: usize = CHUNK / 2;
/// A chunk that has room for so few gives none of it back.
const SMALL: usize = 16;

/// See the module.
pub(super) struct Ascending<T> {
    /// None of them is empty.
    chunks: VecDeque<VecDeque<T>>,
    len: usize,
}

impl<T> Default for Ascending<T> {
    fn default() -> Self {
        Self { chunks: VecDeque::new(), len: 0 }
    }
}

impl<T: Ord> Ascending<T> {
    /// Adds an entry; says whether it was not there before.
    pub(super) fn insert(&mut self, entry: T) -> bool {
        let n = self.chunk_of(&entry);
        let Some(chunk) = self.chunks.get_mut(n) else {
            self.chunks.push_back(VecDeque::from([entry]));
            self.len += 1;
            return true;
        };
        let at = match chunk.back() {
            Some(last) if *last < entry => chunk.len(),
            _ => match chunk.binary_search(&entry) {
                Ok(_) => return false,
                Err(at) => at,
            },
        };
        if chunk.len() == CHUNK {
            self.insert_into_full(n, at, entry);
        } else {
            chunk.insert(at, entry);
        }
        self.len += 1;
        true
    }

    /// Takes an entry away; says whether it was there.
    pub(super) fn remove(&mut self, entry: &T) -> bool {
        let n = self.chunk_of(entry);
        let Some(chunk) = self.chunks.get_mut(n) else { return false };
        let at = if chunk.front() == Some(entry) { Ok(0) } else { chunk.binary_search(entry) };
        let Ok(at) = at else { return false };
        chunk.remove(at);
        self.len -= 1;
        self.tidy(n);
        true
    }

    /// Takes the least entry away.
    pub(super) fn pop_first(&mut self) -> Option<T> {
        let first = self.chunks.front_mut()?.pop_front();
        self.len -= 1;
        self.tidy(0);
        first
    }

    /// The least entry.
    pub(super) fn first(&self) -> Option<&T> {
        self.chunks.front()?.front()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// All of them, the least first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    /// Those below a bound, or all of them without one, the greatest first.
    pub(super) fn before(&self, bound: Option<T>) -> impl Iterator<Item = &T> {
        let end = bound.as_ref().map_or(self.chunks.len(), |bound| self.chunk_of(bound) + 1);
        let below = self.chunks.iter().take(end).rev().flat_map(|chunk| chunk.iter().rev());
        below.skip_while(move |entry| bound.as_ref().is_some_and(|bound| *entry >= bound))
    }

    /// In which chunk an entry is, or would be.
    fn chunk_of(&self, entry: &T) -> usize {
        let begins_by = |chunk: &VecDeque<T>| chunk.front() <= Some(entry);
        // Nearly always it is the last or the first one.
        if self.chunks.back().is_some_and(begins_by) {
            return self.chunks.len() - 1;
        }
        if self.chunks.get(1).is_none_or(|second| !begins_by(second)) {
            return 0;
        }
        self.chunks.partition_point(begins_by).saturating_sub(1)
    }

    /// Makes room in a full chunk: its last entry goes over to the next one, unless that is full as well. So what comes a
    /// little late, when the next chunk has just begun, leaves no half empty one behind.
    fn insert_into_full(&mut self, n: usize, at: usize, entry: T) {
        if n + 1 == self.chunks.len() {
            self.chunks.push_back(VecDeque::new());
        }
        if self.chunks[n + 1].len() == CHUNK {
            let upper = self.chunks[n].split_off(CHUNK / 2);
            self.chunks.insert(n + 1, upper);
            let (n, at) = if at > CHUNK / 2 { (n + 1, at - CHUNK / 2) } else { (n, at) };
            self.chunks[n].insert(at, entry);
            return;
        }
        let over = if at == CHUNK {
            Some(entry)
        } else {
            let last = self.chunks[n].pop_back();
            self.chunks[n].insert(at, entry);
            last
        };
        if let Some(over) = over {
            self.chunks[n + 1].push_front(over);
        }
    }

    /// An entry has left this chunk: an empty one goes, one that has become small joins a neighbour, and one that has far
    /// more room than entries gives some of it back. Otherwise whoever takes out nearly all of a million would leave nearly
    /// all of their memory behind.
    fn tidy(&mut self, n: usize) {
        if self.chunks[n].is_empty() {
            self.chunks.remove(n);
            return;
        }
        // The one before it, or itself, may take in its successor.
        let small = |n: &usize| {
            let pair = self.chunks.get(*n).zip(self.chunks.get(n + 1));
            pair.is_some_and(|(one, other)| one.len() + other.len() <= JOINED)
        };
        let joined = [n.checked_sub(1), Some(n)].into_iter().flatten().find(small);
        let n = joined.unwrap_or(n);
        let taken_in = joined.and_then(|n| self.chunks.remove(n + 1));
        let chunk = &mut self.chunks[n];
        chunk.extend(taken_in.into_iter().flatten());
        // The first one is on its way to become empty.
        if n > 0 && chunk.capacity() > SMALL && chunk.len() <= chunk.capacity() / 4 {
            chunk.shrink_to(chunk.capacity() / 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    impl<T: Ord> Ascending<T> {
        /// For how many entries there is room in memory.
        fn room(&self) -> usize {
            self.chunks.iter().map(VecDeque::capacity).sum()
        }

        /// What must hold of the chunks.
        fn check(&self) {
            assert_eq!(self.chunks.iter().map(VecDeque::len).sum::<usize>(), self.len);
            assert!(self.chunks.iter().all(|chunk| (1..=CHUNK).contains(&chunk.len())));
            let pairs = self.chunks.iter().zip(self.chunks.iter().skip(1));
            assert!(pairs.into_iter().all(|(one, other)| one.len() + other.len() > JOINED));
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        /// So many in ascending order, from the greatest one on.
        Append(u32),
        /// One a little behind the greatest.
        Late(u32),
        Insert(u32),
        Remove(u32),
        /// The one at this part of all of them, and so many behind it.
        Thin(u32, usize),
        Pop(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (1..700_u32).prop_map(Step::Append),
            3 => (0..300_u32).prop_map(Step::Late),
            2 => (0..9_000_u32).prop_map(Step::Insert),
            2 => (0..9_000_u32).prop_map(Step::Remove),
            2 => (0..100_u32, 1..600_usize).prop_map(|(part, count)| Step::Thin(part, count)),
            1 => (1..700_usize).prop_map(Step::Pop),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_is_an_ordered_set(steps in prop::collection::vec(step(), 1..60)) {
            let (mut ours, mut model) = (Ascending::default(), BTreeSet::new());
            for step in steps {
                let greatest = model.last().copied().unwrap_or(0);
                match step {
                    Step::Append(count) => {
                        // Every other one, so that there is room for those that come late.
                        for entry in (1..=count).map(|n| greatest + 2 * n) {
                            prop_assert_eq!(ours.insert(entry), model.insert(entry));
                        }
                    }
                    Step::Late(by) => {
                        let entry = greatest.saturating_sub(by);
                        prop_assert_eq!(ours.insert(entry), model.insert(entry));
                    }
                    Step::Insert(entry) => prop_assert_eq!(ours.insert(entry), model.insert(entry)),
                    Step::Remove(entry) => prop_assert_eq!(ours.remove(&entry), model.remove(&entry)),
                    Step::Thin(part, count) => {
                        let from = model.len() * part as usize / 100;
                        let entries: Vec<u32> = model.iter().skip(from).take(count).copied().collect();
                        for entry in entries {
                            prop_assert_eq!(ours.remove(&entry), model.remove(&entry));
                        }
                    }
                    Step::Pop(count) => {
                        for _ in 0..count {
                            prop_assert_eq!(ours.pop_first(), model.pop_first());
                        }
                    }
                }
                ours.check();
                prop_assert_eq!(ours.len(), model.len());
                prop_assert_eq!(ours.first(), model.first());
                prop_assert!(ours.iter().eq(model.iter()));
                prop_assert!(ours.before(None).eq(model.iter().rev()));
                for bound in [0, greatest / 2, greatest, greatest + 1] {
                    prop_assert!(ours.before(Some(bound)).eq(model.range(..bound).rev()));
                }
            }
        }
    }

    #[test]
    fn entries_in_order_fill_their_chunks() {
        let mut set = Ascending::default();
        for n in 0..100 * CHUNK {
            // By twos that have changed places: as two threads bring them.
            set.insert(n ^ 1);
        }
        set.check();
        assert_eq!((set.chunks.len(), set.room()), (100, 100 * CHUNK));
    }

    /// In an order of which it knows nothing.
    #[test]
    fn entries_in_any_order_take_at_most_twice_their_room() {
        let mut set = Ascending::default();
        let scattered = |n: u32| n.wrapping_mul(0x9e37_79b9);
        (0..50_000).for_each(|n| assert!(set.insert(scattered(n))));
        set.check();
        assert!(set.room() <= 2 * set.len(), "{} for {}", set.room(), set.len());
        (0..50_000).filter(|n| n % 64 != 0).for_each(|n| assert!(set.remove(&scattered(n))));
        set.check();
        assert!(set.room() <= 5 * set.len() + CHUNK, "{} for {}", set.room(), set.len());
        (0..50_000).filter(|n| n % 64 == 0).for_each(|n| assert!(set.remove(&scattered(n))));
        assert_eq!((set.len(), set.room()), (0, 0));
    }
}
