//! The commands that speak to a server, and what a supervisor is told: the real program on both sides.

mod dead_letters;
mod deploy;
mod enqueue;
mod jobs;
mod notify;
#[expect(dead_code, reason = "other tests need the rest of it")]
#[path = "../drain/process.rs"]
mod process;
mod rig;
mod scripted;
mod status;
mod steer;
mod terminal;
mod webhook;
