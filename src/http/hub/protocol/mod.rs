//! What a SignalR client and server say to each other, as bytes: the JSON hub protocol and the answer of `negotiate`. It
//! knows neither connections nor jobs.

mod handshake;
mod message;
mod negotiation;
mod records;
mod write;

pub(super) use handshake::{accepted, refused, request};
pub(super) use message::{Call, Message, parse};
pub(super) use negotiation::{Negotiated, Version, refusal};
pub(super) use records::{Records, TooLong, part};
pub(super) use write::{Close, completed, failed, invocation, item, ping, settled};
