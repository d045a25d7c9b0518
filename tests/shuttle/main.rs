//! The memory backends and the service in every order in which threads can meet: no wake-up is lost, no run is settled
//! twice, no count is wrong, nothing is let in by a gate that was closed.
//!
//! The modules are those of the library, compiled here with other locks: see `sync`. Tokio's own channels and bells are
//! taken as they are; they have such tests of their own.

#![expect(dead_code, unused_imports, reason = "of the modules only a part is used here")]

#[path = "../../src/clock.rs"]
pub mod clock;
#[path = "../../src/event/mod.rs"]
pub mod event;
#[path = "../../src/handler/mod.rs"]
pub mod handler;
#[path = "../../src/job/mod.rs"]
pub mod job;
#[path = "../../src/jobs/mod.rs"]
pub mod jobs;
#[path = "../../src/metrics/mod.rs"]
pub mod metrics;
#[path = "../../src/queue/mod.rs"]
pub mod queue;
#[path = "../../src/redact/mod.rs"]
pub mod redact;
#[path = "../../src/store/mod.rs"]
pub mod store;
mod sync;

mod gate;
mod places;
mod slots;
mod table;
mod waiting;

use std::process::ExitCode;

/// How many orders of each test are tried: so many by chance, and so many that are bent on rare ones.
const RANDOM: usize = 1_500;
const PCT: usize = 1_500;

const TESTS: &[(&str, fn())] = &[
    ("slots::every_id_arrives_once_and_the_end_is_seen", slots::every_id_arrives_once_and_the_end_is_seen),
    (
        "slots::who_waits_and_who_only_looks_share_what_comes",
        slots::who_waits_and_who_only_looks_share_what_comes,
    ),
    ("slots::who_waits_for_room_is_woken", slots::who_waits_for_room_is_woken),
    ("slots::what_was_given_back_is_delivered_again", slots::what_was_given_back_is_delivered_again),
    ("table::a_run_is_settled_once_whoever_comes", table::a_run_is_settled_once_whoever_comes),
    ("table::waiting_jobs_leave_once", table::waiting_jobs_leave_once),
    ("table::retention_never_exceeds_its_bound", table::retention_never_exceeds_its_bound),
    ("table::dead_letters_leave_last", table::dead_letters_leave_last),
    ("waiting::no_end_is_missed", waiting::no_end_is_missed),
    ("gate::nothing_is_accepted_behind_a_closed_gate", gate::nothing_is_accepted_behind_a_closed_gate),
    ("places::no_more_are_taken_than_there_are", places::no_more_are_taken_than_there_are),
    ("places::everybody_gets_a_place_in_the_end", places::everybody_gets_a_place_in_the_end),
    ("places::what_comes_after_a_pause_does_not_begin", places::what_comes_after_a_pause_does_not_begin),
    (
        "places::what_comes_after_a_pause_is_not_taken_at_once",
        places::what_comes_after_a_pause_is_not_taken_at_once,
    ),
    ("gate::nothing_changes_behind_the_seal", gate::nothing_changes_behind_the_seal),
];

/// As much of the protocol of test binaries as `cargo test` and nextest speak.
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let fits = |name: &str| {
        wanted.is_empty()
            || wanted.iter().any(|want| if has("--exact") { name == *want } else { name.contains(*want) })
    };
    if has("--list") {
        if !has("--ignored") {
            for (name, _) in TESTS {
                println!("{name}: test");
            }
        }
        return ExitCode::SUCCESS;
    }
    let mut failed = false;
    for (name, test) in TESTS.iter().filter(|(name, _)| fits(name)) {
        let passed = std::panic::catch_unwind(test).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        failed |= !passed;
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Tries a test in many orders.
fn check(test: impl Fn() + Send + Sync + Copy + 'static) {
    shuttle::check_random(test, RANDOM);
    shuttle::check_pct(test, PCT, 3);
}
