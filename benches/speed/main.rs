//! How fast Backroom is. Each figure stands beside that of a baseline, which was measured in turns with it.
//!
//! ```sh
//! scripts/bench                        everything
//! scripts/bench submit latency         some of it
//! scripts/bench --quick                everything in small: to see that it runs, not to learn anything
//! ```
//!
//! Prints a table for each bench and writes the same as JSON to `target/bench/<name>.json`. What the figures mean stands
//! in `benches/RESULTS.md`. It reads `/proc`, so it wants Linux; loads over HTTP come from `wrk`.

mod drain;
mod growth;
mod latency;
mod memory;
mod submit;
mod support;
mod throughput;
mod watchers;

use std::process::ExitCode;

use support::{Size, bare};

/// That of the program, so that a baseline does not lose for the sake of another allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Bench = fn(Size);
type Role = fn(&[String]);

/// What can be asked for, in the order in which it is measured.
const BENCHES: [(&str, Bench); 7] = [
    ("submit", submit::run),
    ("throughput", throughput::run),
    ("latency", latency::run),
    ("memory", memory::run),
    ("drain", drain::run),
    ("watchers", watchers::run),
    ("growth", growth::run),
];

/// What this program is when it calls itself: a baseline in a process of its own.
const ROLES: [(&str, Role); 2] = [(bare::ROLE, bare::serve), (memory::ROLE, memory::hold)];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some((_, role)) = ROLES.iter().find(|(name, _)| args.first().is_some_and(|arg| arg == name)) {
        role(&args[1..]);
        return ExitCode::SUCCESS;
    }
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    // `cargo bench` adds `--bench` by itself; without it this was not built to be fast.
    let quick = has("--quick") || !has("--bench") || std::env::var_os("BENCH_QUICK").is_some();
    let size = if quick { Size::Quick } else { Size::Full };
    let wanted: Vec<&String> = args.iter().filter(|arg| !arg.starts_with("--")).collect();
    let known = |name: &str| BENCHES.iter().any(|(known, _)| *known == name);
    if let Some(unknown) = wanted.iter().find(|name| !known(name)) {
        let names: Vec<&str> = BENCHES.iter().map(|(name, _)| *name).collect();
        eprintln!("there is no bench {unknown:?}; there are: {}", names.join(", "));
        return ExitCode::from(2);
    }
    support::many_files();
    for (name, run) in BENCHES {
        if wanted.is_empty() || wanted.iter().any(|wanted| *wanted == name) {
            run(size);
        }
    }
    ExitCode::SUCCESS
}
