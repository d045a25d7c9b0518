//! The pool of workers: its bounds, every way in which an attempt can end, what is due, and what survives a fault.

mod bounds;
mod dead_letters;
mod due;
mod endings;
mod flow;
mod order;
mod progress;
mod recurring;
mod rig;
mod stopping;
mod stuck;
mod supervision;
