//! Who runs the jobs: one dispatcher for each queue, as many attempts at once as the queue allows, and a supervisor
//! that replaces what dies.

mod abandoned;
mod attempt;
mod dispatcher;
mod due;
mod pool;
mod pulse;
mod recurring;
mod stint;
mod supervisor;
mod turnstile;

pub use abandoned::Abandoned;
pub use pool::{Pool, Stop};
