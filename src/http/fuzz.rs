//! What reads bytes that anybody can send, for whoever wants to throw some at it. No part of the interface.

pub use super::host::Authority;
pub use super::origin::Origin;
