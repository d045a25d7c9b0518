//! The HTTP API as the world sees it: a real server on a port of its own for every test, asked over real connections.
//!
//! Nothing here sleeps. States are held by jobs that wait for the test, and awaited by events of the server.

mod act;
mod app;
mod raw;

mod batch;
mod cancel;
mod dead_letters;
mod drain;
mod job;
mod kinds;
mod list;
mod mail;
mod probes;
mod problems;
mod queues;
mod result;
mod retry;
mod submit;
mod submit_faults;
mod transport;
