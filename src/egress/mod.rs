//! Where requests of ours may go: one policy for everything that leaves, whoever named the target.
//!
//! A caller who names a URL must not thereby reach what only this machine can reach: services on loopback, in the private
//! network, the metadata of a cloud. So a target is checked three times by the same rules: when it is named
//! ([`Policy::check_url`], literal addresses), when its name is resolved ([`Client`] connects to addresses that were
//! checked, and to no other), and again for every redirect that is followed.

mod addresses;
mod allow;
mod client;
#[cfg(test)]
mod client_tests;
mod policy;

pub use addresses::Range;
pub use allow::{Allow, AllowError};
pub use client::{Client, Error, MAX_REDIRECTS, Received};
pub use policy::{Policy, Refused};
