//! The edge: slow clients, too many of them, HTTPS, garbage on the socket, and handlers that block every thread.
//!
//! Nothing here sleeps. Where a deadline is short the test waits for what the server does when it has passed; where it
//! must not pass, it is a minute.

#[path = "../api/act.rs"]
mod act;
#[expect(dead_code, unused_macros, unused_imports, reason = "the tests of the API need the rest of it")]
#[path = "../api/app.rs"]
mod app;
#[expect(dead_code, reason = "the tests of the description need the rest of it")]
#[path = "../api/conform.rs"]
mod conform;
#[expect(dead_code, reason = "the tests of the drain need the rest of it")]
#[path = "../drain/process.rs"]
mod process;
#[expect(dead_code, reason = "the tests of the API need the rest of it")]
#[path = "../api/raw.rs"]
mod raw;

mod blocked;
mod garbage;
mod slow;
mod tls;
