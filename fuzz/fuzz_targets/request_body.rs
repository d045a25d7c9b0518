//! Any bytes as the body of a submission.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| backroom::http::fuzzing::body(bytes));
