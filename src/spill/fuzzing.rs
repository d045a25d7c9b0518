//! What a fuzzer does to a spill file, and what must hold whatever it finds. Not part of the interface.

use std::path::Path;

use super::{Found, Line, lines_of};
use crate::job::{Change, Ending, Timestamp};

/// Reads any bytes as a spill file.
///
/// # Panics
///
/// When a line is lost, or a job that was read cannot be run or written.
pub fn file(bytes: &[u8]) {
    let Ok(found) = Found::of(bytes.to_vec(), Path::new("spill.jsonl")) else {
        return;
    };
    let lines = lines_of(bytes).count().saturating_sub(1);
    assert_eq!(found.jobs.len() + found.rejected.len(), lines, "every line is one or the other");
    for rejected in &found.rejected {
        assert!(!rejected.reason.is_empty() && rejected.line > 1);
    }
    for mut job in found.jobs {
        let line = Line::of(&job).expect("what was spilled can be spilled again");
        serde_json::to_vec(&line).expect("it has a JSON form");
        let now = Timestamp::from_millis(0);
        let _ = job.apply(Change::Enqueue { turn: 0 }, now);
        if job.apply(Change::Start, now).is_ok() && !job.state.is_terminal() {
            let run = job.runs;
            job.apply(Change::Settle { run, ending: Ending::Interrupted }, now).expect("it runs");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    /// What the fuzzer begins with.
    fn seeds() -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/spill_file");
        std::fs::read_dir(folder).unwrap().map(|seed| std::fs::read(seed.unwrap().path()).unwrap()).collect()
    }

    use super::*;

    #[test]
    fn every_seed_and_its_every_beginning_is_read() {
        let seeds = seeds();
        assert!(seeds.len() >= 4);
        for seed in seeds {
            (0..=seed.len()).for_each(|length| file(&seed[..length]));
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
            file(&seed);
        }
    }
}
