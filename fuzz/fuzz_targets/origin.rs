//! Any bytes as `Origin`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| backroom::http::fuzzing::origin(bytes));
