//! Numbered things in the order of their numbers, although some come too early.

use std::collections::BTreeMap;

/// How many may wait for one that is missing; with one more, it is no longer waited for.
const EARLY: usize = 16;

/// Puts numbered things into their order. What is behind the last one that was given out is left out.
#[derive(Debug)]
pub(super) struct Order<T> {
    last: u64,
    early: BTreeMap<u64, T>,
}

impl<T> Default for Order<T> {
    fn default() -> Self {
        Self { last: 0, early: BTreeMap::new() }
    }
}

impl<T> Order<T> {
    /// Everything up to this number is known.
    pub(super) fn begin_after(&mut self, last: u64) {
        self.last = last;
        self.early = self.early.split_off(&(last + 1));
    }

    pub(super) fn put(&mut self, number: u64, thing: T) {
        if number > self.last {
            self.early.insert(number, thing);
            if self.early.len() > EARLY {
                self.go_on();
            }
        }
    }

    /// The next one, if it is there.
    pub(super) fn next(&mut self) -> Option<T> {
        let entry = self.early.first_entry().filter(|entry| *entry.key() == self.last + 1)?;
        self.last += 1;
        Some(entry.remove())
    }

    /// Whether something is there that waits for one before it.
    pub(super) fn waits(&self) -> bool {
        !self.early.is_empty()
    }

    /// No longer waits for what is missing.
    pub(super) fn go_on(&mut self) {
        if let Some((first, _)) = self.early.first_key_value() {
            self.last = first - 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(order: &mut Order<u64>) -> Vec<u64> {
        std::iter::from_fn(|| order.next()).collect()
    }

    #[test]
    fn what_comes_early_waits_and_what_comes_late_is_left_out() {
        let mut order = Order::default();
        order.put(1, 1);
        order.put(2, 2);
        order.begin_after(1);
        assert_eq!(all(&mut order), [2]);
        for number in [5, 4, 2, 1] {
            order.put(number, number);
        }
        assert_eq!(all(&mut order), [0; 0]);
        assert!(order.waits());
        order.put(3, 3);
        assert_eq!(all(&mut order), [3, 4, 5]);
        assert!(!order.waits());
    }

    #[test]
    fn what_is_lost_is_not_waited_for_without_end() {
        let mut order = Order::default();
        order.put(3, 3);
        order.put(5, 5);
        order.go_on();
        assert_eq!(all(&mut order), [3]);
        order.go_on();
        assert_eq!(all(&mut order), [5]);
        order.go_on();
        order.put(6, 6);
        assert_eq!(all(&mut order), [6]);
    }

    #[test]
    fn few_are_kept() {
        for (early, kept) in [(EARLY - 1, true), (EARLY, true), (EARLY + 1, false)] {
            let mut order = Order::default();
            (0..early as u64).for_each(|n| order.put(2 + n, n));
            assert_eq!(order.next().is_none(), kept, "{early}");
        }
    }
}
