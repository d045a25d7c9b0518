//! The HTTP API as the world sees it: a real server on a port of its own for every test, asked over real connections.
//!
//! Nothing here sleeps. States are held by jobs that wait for the test, and awaited by events of the server.

mod act;
mod app;
mod conform;
mod hub_client;
mod raw;
mod receiver;

mod batch;
mod bounds;
mod cancel;
mod dead_letters;
mod drain;
mod events;
mod guard;
mod guard_names;
mod guard_pages;
mod hub;
mod hub_bursts;
mod hub_sockets;
mod hub_times;
mod idempotency;
mod job;
mod kinds;
mod list;
mod mail;
mod metrics;
mod notices;
mod openapi;
mod probes;
mod problems;
mod queue_patch;
mod queues;
mod redact;
mod result;
mod retry;
mod schedules;
mod submit;
mod submit_faults;
mod transport;
mod unique;
