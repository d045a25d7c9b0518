//! The real binary under real signals: what it accepted is finished, spilled or named, and nothing runs twice.

mod account;
mod dead_letters;
mod killed;
mod process;
mod queues;
mod schedules;
#[expect(dead_code, reason = "other tests need the rest of it")]
#[path = "../support/smtp.rs"]
mod smtp;
mod spilled;
mod start;
mod stop;
