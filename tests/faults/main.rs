//! What the path of a job survives. At every arrow of it something fails, hangs, panics or gets lost; and in the end, after
//! a drain, every job that was accepted has finished, is in the spill file, or is reported as lost, and no place in a
//! queue or among the running ones is gone.

mod account;
mod arrows;
mod chaos;
mod damage;
mod fakes;
mod handlers;
mod rig;
