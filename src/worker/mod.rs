//! Who runs the jobs: one dispatcher for each queue, as many attempts at once as the queue allows, and a supervisor
//! that replaces a dispatcher that dies.

mod attempt;
mod dispatcher;
mod due;
mod pool;
mod pulse;

pub use pool::{Pool, Stop};
