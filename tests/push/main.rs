//! Kinds that run in a user's own app: the worked example in another language against the real binary, and what only an
//! app of the test can see.

#[expect(dead_code, reason = "tests/api needs the rest of it")]
#[path = "../api/conform.rs"]
mod conform;
mod example;
#[expect(dead_code, reason = "other tests need the rest of it")]
#[path = "../drain/process.rs"]
mod process;
mod progress;
