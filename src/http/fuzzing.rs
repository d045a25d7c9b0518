//! What a fuzzer does to a request, and what must hold whatever it finds. Not part of the interface.

use std::sync::Arc;

use crate::handler::Registry;

/// How many jobs a batch of a fuzzer may hold.
const BATCH: usize = 8;

/// Reads any bytes as the body of `POST /api/jobs`, and of `POST /api/jobs/batch`.
///
/// # Panics
///
/// When a body is both whole and faulty, or neither.
pub fn body(bytes: &[u8]) {
    let registry = Arc::new(Registry::new());
    if let Ok(draft) = super::request::one(bytes, &registry) {
        let whole = draft.is_whole();
        assert_eq!(draft.into_job().is_some(), whole, "a job if and only if there is no fault");
    }
    if let Ok(drafts) = super::request::many(bytes, &registry, BATCH) {
        assert!((1..=BATCH).contains(&drafts.len()), "as many as are allowed");
        for draft in drafts {
            let whole = draft.is_whole();
            assert_eq!(draft.into_job().is_some(), whole);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    /// What the fuzzer begins with.
    fn seeds() -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/request_body");
        std::fs::read_dir(folder).unwrap().map(|seed| std::fs::read(seed.unwrap().path()).unwrap()).collect()
    }

    #[test]
    fn every_seed_and_its_every_beginning_is_read() {
        let seeds = seeds();
        assert!(seeds.len() >= 4);
        for seed in seeds {
            (0..=seed.len()).for_each(|length| body(&seed[..length]));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn seeds_can_be_changed_anywhere(
            seed in prop::sample::select(seeds()),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        ) {
            let mut seed = seed;
            for (at, byte) in changes {
                let at = at.index(seed.len());
                seed[at] = byte;
            }
            body(&seed);
        }
    }
}
