//! Options: where they come from, what they may be, and everything that is wrong with them at once.
//!
//! `config/default.toml` is the reference. [`load`] lays the layers over each other and reads one typed [`Config`] from
//! them; a file here per section says what that section may hold.

mod bounds;
mod environment;
mod fault;
mod faults;
mod layers;
mod load;
mod reader;
mod schema;
mod secret;
mod set;
mod tree;
mod typed;
mod value;

mod auth;
mod command;
mod kinds;
mod limits;
mod mail;
mod metrics;
mod names;
mod outgoing;
mod queues;
mod retry;
mod run;
mod schedules;
mod server;
mod shutdown;
mod smtp_url;
mod tls;
mod warnings;

#[cfg(test)]
mod auth_tests;
#[cfg(test)]
mod ranges;
#[cfg(test)]
mod run_tests;
#[cfg(test)]
mod testing;

pub use auth::{Auth, AuthMode, Role, SINGLE_TOKEN, Token};
pub use command::{Command, Variable};
pub use fault::{ConfigFault, Origin, Place};
pub use kinds::{Defaults, Kind};
pub use layers::{FileSource, Sources};
pub use limits::{Limits, Retention};
pub use load::{Config, EffectiveValue, Loaded, Refused, examine, load};
pub use mail::{Mail, MailTransport};
pub use metrics::Metrics;
pub use outgoing::{Http, Webhooks, webhook_verifier};
pub use queues::Queue;
pub use run::{Push, Run};
pub(crate) use schema::read_schema;
pub use server::Server;
pub use shutdown::{Log, LogFormat, Shutdown};
pub use tls::Tls;
