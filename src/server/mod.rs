//! The composition root: from a configuration to a server that runs, and to its end.

mod backroom;
mod bounds;
mod builder;
mod herald;
mod kinds;
mod listening;
mod outgoing;
mod parts;
mod receiver;
mod reload;
mod schedules;

pub use crate::http::openapi;
pub use backroom::Backroom;
pub use bounds::MemoryBounds;
pub use builder::{Builder, StartError};
pub use kinds::BUILT_IN_KINDS;
pub use listening::Server;
pub use receiver::{Delivery, Receiver};
pub use reload::{Changed, Reload};
/// Tells a drain to hurry; the type that [`Backroom::drain`] takes.
pub use tokio_util::sync::CancellationToken;
