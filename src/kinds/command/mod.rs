//! Runs a program for each attempt: a kind in any language.
//!
//! `config/default.toml` says what such a program can rely on.

mod group;
mod handler;
mod lines;
mod listener;
mod output;
mod verdict;

pub use handler::{CommandHandler, CommandSettings};
