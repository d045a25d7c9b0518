//! What a fuzzer does to a request, and what must hold whatever it finds. Not part of the interface.

use std::sync::Arc;

use super::host::Authority;
use super::idempotency_key::IdempotencyKey;
use super::origin::Origin;
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

/// Reads any bytes as `Host`, or as the authority of an absolute target.
///
/// # Panics
///
/// When a name is the same as itself no longer, or is local under one port and not under another.
pub fn host(bytes: &[u8]) {
    if let Some(host) = Authority::parse(bytes) {
        assert!(host.is_same(&host, 80) && host.has_host_of(&host));
        let with_port = [bytes, b":1"].concat();
        if let Some(other) = Authority::parse(&with_port) {
            assert_eq!(host.is_local(), other.is_local());
        }
    }
}

/// Reads any bytes as `Origin`.
///
/// # Panics
///
/// When it is at a host that has no name.
pub fn origin(bytes: &[u8]) {
    if let Some(origin) = Origin::parse(bytes) {
        for host in [&b"localhost"[..], b"127.0.0.1:8080", b"[::1]"] {
            let at = Authority::parse(host).is_some_and(|host| origin.is_at(&host));
            assert!(!at || bytes.len() > b"http://".len(), "no origin without a host");
        }
    }
}

/// Reads any bytes as `Idempotency-Key`.
///
/// # Panics
///
/// When a key is not one by itself, bare or quoted.
pub fn idempotency_key(bytes: &[u8]) {
    if let Ok(key) = IdempotencyKey::parse(bytes) {
        assert!((1..=255).contains(&key.as_bytes().len()) && key.as_bytes().iter().all(u8::is_ascii_graphic));
        let escaped = key.as_bytes().iter().flat_map(|byte| match byte {
            b'"' | b'\\' => vec![b'\\', *byte],
            byte => vec![*byte],
        });
        let quoted: Vec<u8> = [b'"'].into_iter().chain(escaped).chain([b'"']).collect();
        let again = IdempotencyKey::parse(&quoted).expect("a key can be quoted");
        assert_eq!(again.as_bytes(), key.as_bytes(), "and stays the same");
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    type Target = fn(&[u8]);

    /// What the fuzzers begin with.
    fn seeds() -> Vec<(Target, Vec<u8>)> {
        let targets: [(&str, Target); 4] = [
            ("request_body", body),
            ("host", host),
            ("origin", origin),
            ("idempotency_key", idempotency_key),
        ];
        let of = |(name, target): (&str, Target)| {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
            let files =
                std::fs::read_dir(folder).unwrap().map(|seed| std::fs::read(seed.unwrap().path()).unwrap());
            let seeds: Vec<_> = files.map(|seed| (target, seed)).collect();
            assert!(seeds.len() >= 4, "{name}");
            seeds
        };
        targets.into_iter().flat_map(of).collect()
    }

    #[test]
    fn every_seed_and_its_every_beginning_is_read() {
        for (target, seed) in seeds() {
            (0..=seed.len()).for_each(|length| target(&seed[..length]));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn seeds_can_be_changed_anywhere(
            seed in prop::sample::select(seeds()),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        ) {
            let (target, mut seed) = seed;
            for (at, byte) in changes {
                let at = at.index(seed.len());
                seed[at] = byte;
            }
            target(&seed);
        }
    }
}
