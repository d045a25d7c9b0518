//! The SignalR hub at `/hubs/jobs` (contract, section 8).
//!
//! `protocol` is what is said, as bytes. A connection is a pair of mailboxes (`connection`) between its session, which
//! answers calls, tells of jobs and keeps the times, and one of three transports, which carry bytes and know nothing of
//! jobs. `roll` holds all connections.

mod calls;
mod connection;
mod door;
mod inbox;
mod long_polling;
mod outbox;
mod protocol;
mod pulse;
mod rights;
mod roll;
mod server_sent_events;
mod session;
mod watching;
mod websocket;

pub(super) use door::{PATHS, connect, end, negotiate, send};
pub use roll::{Hub, Transport};
