//! Kinds that run in a user's own app: the worked example in another language against the real binary, and what only an
//! app of the test can see.

mod example;
#[expect(dead_code, reason = "other tests need the rest of it")]
#[path = "../drain/process.rs"]
mod process;
mod progress;
