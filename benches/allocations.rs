//! How often memory is asked for, for each job: from `Jobs::submit` to completed, within one process.
//!
//! Everything runs on one thread, so that the numbers are the same in every run. Prints them, and writes them to
//! `target/bench/allocations.json`.
//!
//! ```sh
//! cargo bench --bench allocations
//! ```

use std::alloc::System;
use std::fs;
use std::path::Path;
use std::time::Duration;

use backroom::config::Config;
use backroom::handler::{Context, Failure, Handler, Outcome, Payload};
use backroom::job::NewJob;
use backroom::jobs::Jobs;
use backroom::server::Backroom;
use serde::{Deserialize, Serialize};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static COUNTING: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Enough to fill every list that keeps its room, and to have the oldest forgotten for each new one.
const WARM: usize = 3_000;
const KEPT: usize = 1_000;

#[derive(Serialize, Deserialize)]
struct Tick {
    to: String,
    name: String,
}

impl Payload for Tick {
    const KIND: &'static str = "tick";
}

struct TickHandler;

impl Handler for TickHandler {
    type Input = Tick;

    async fn run(&self, _: Tick, _: &Context) -> Result<Outcome, Failure> {
        Ok(Outcome::done())
    }
}

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick") || std::env::var_os("BENCH_QUICK").is_some();
    let jobs = if quick { 1_000 } else { 50_000 };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut config = Config::default();
    config.shutdown.spill_file = None;
    config.retention.max_finished = KEPT;
    let (made, whole) = runtime.block_on(async {
        let backroom = Backroom::builder(config).handler(TickHandler).start().await.expect("starts");
        run(backroom.jobs(), WARM).await;
        let region = Region::new(COUNTING);
        for _ in 0..jobs {
            drop(new());
        }
        let made = region.change();
        let region = Region::new(COUNTING);
        run(backroom.jobs(), jobs).await;
        let whole = region.change();
        backroom.stop().await;
        (made, whole)
    });
    let each = |count: usize| count as f64 / jobs as f64;
    let rows = [
        ("the job itself made by the caller", each(made.allocations), each(made.bytes_allocated)),
        ("submit to completed, that included", each(whole.allocations), each(whole.bytes_allocated)),
    ];
    println!("\n## allocations\n\n| each job | allocations | bytes |\n|---|---|---|");
    for (what, allocations, bytes) in rows {
        println!("| {what} | {allocations:.1} | {bytes:.0} |");
    }
    println!("\nGrown in place or moved: {:.1} for each job.", each(whole.reallocations));
    let figures: Vec<_> = rows
        .map(|(what, allocations, bytes)| {
            serde_json::json!({ "figure": what, "allocations_per_job": allocations, "bytes_per_job": bytes })
        })
        .into();
    let page = serde_json::json!({ "name": "allocations", "quick": quick, "figures": figures });
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
    let file = folder.join("allocations.json");
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(file, format!("{page:#}\n")))
        .expect("writes the JSON");
}

fn new() -> NewJob {
    let tick = Tick { to: "ada@example.com".to_owned(), name: "Ada".to_owned() };
    tick.job().expect("a job")
}

/// Submits so many jobs, and waits for the end of the last.
async fn run(jobs: &Jobs, count: usize) {
    let goal = jobs.finished() + count as u64;
    for _ in 0..count {
        jobs.submit(new()).await.expect("accepted");
    }
    while jobs.finished() < goal {
        tokio::time::sleep(Duration::from_micros(100)).await;
    }
}
