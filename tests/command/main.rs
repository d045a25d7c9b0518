//! Kinds that run a program: real programs, in a server with workers, and with the real binary.
//!
//! Nothing here sleeps. Whether everybody of a program is gone is told by a pipe that all of them hold: it ends with the
//! last one.

mod ending;
mod example;
mod leftovers;
mod outcomes;
mod output;
#[expect(dead_code, reason = "other tests need the rest of it")]
#[path = "../drain/process.rs"]
mod process;
mod rig;
mod surroundings;
