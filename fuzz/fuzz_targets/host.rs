//! Any bytes as `Host`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| backroom::http::fuzzing::host(bytes));
