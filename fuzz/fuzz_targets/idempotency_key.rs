//! Any bytes as `Idempotency-Key`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| backroom::http::fuzzing::idempotency_key(bytes));
