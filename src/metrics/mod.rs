//! What is counted, and how it is told to Prometheus.
//!
//! Whoever counts holds a handle that was found once (a [`QueueMeter`] for each queue, a [`RouteMeter`] for each route) and
//! adds to plain atomics: no lock, no text and no allocation on the way of a job. What can be looked up instead of being
//! counted (how many jobs are in which state, how old the oldest is, how much memory is taken) is looked up when somebody
//! asks: see [`Gauges`]. There is no registry of the process, so that two servers in one do not mix their numbers.

mod format;
mod instruments;
mod labels;
mod meter;
pub mod names;
mod route;
mod scrape;

pub use format::Format;
pub use instruments::{Counter, Histogram};
pub use labels::{Delivery, MailOutcome, Rejection, Transport};
pub use meter::{Connected, Metrics, QueueMeter};
pub use names::Family;
pub use route::{RouteMeter, UNMATCHED};
pub use scrape::{Gauges, Held, QueueGauges, render};
