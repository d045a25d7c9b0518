//! Pages in a real browser: what they may do with a server at another origin, and what they show.

mod browser;
#[expect(dead_code, reason = "other tests need the rest of it")]
#[path = "../drain/process.rs"]
mod process;
mod watch;
