//! Public clients of others against the real binary: what they make of our streams and deliveries, not what we do.

mod events;
mod hub;
mod many;
mod peer;
#[expect(dead_code, reason = "other tests need the rest of it")]
#[path = "../drain/process.rs"]
mod process;
mod webhooks;
