//! Any bytes as a spill file.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| backroom::spill::fuzzing::file(bytes));
