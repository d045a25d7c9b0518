//! What a job costs when many others are held, against when few are.

use backroom::config::Config;

use crate::support::Size;
use crate::support::inside::{self, Inside};
use crate::support::report::{Report, Series};

/// Who keeps few is the baseline.
const FEW: usize = 1_000;

pub(crate) fn run(size: Size) {
    let mut report = Report::new(
        "growth",
        size == Size::Quick,
        "From `Jobs::submit` to completed, while so many other jobs are held. Finished: each new one also makes the oldest \
         be forgotten. Baseline: the same with 1,000.",
    );
    let many: &[usize] = size.pick(&[10_000, 100_000, 1_000_000], &[2_000, 4_000]);
    for (what, start) in [("finished", finished as fn(usize) -> Inside), ("scheduled", scheduled)] {
        let jobs = size.pick(100_000, 4_000);
        let few = start(FEW);
        // Side by side: so that what they share, the caches, is shared in every round.
        let servers: Vec<(usize, Inside)> = many.iter().map(|held| (*held, start(*held))).collect();
        let mut costs: Vec<Series> = vec![Series::default(); servers.len()];
        let mut base = Series::default();
        for _ in 0..size.pick(9, 2) {
            base.push(few.run(jobs, 1) / jobs as f64 * 1e9);
            for ((_, server), costs) in servers.iter().zip(&mut costs) {
                costs.push(server.run(jobs, 1) / jobs as f64 * 1e9);
            }
        }
        for ((held, _), costs) in servers.iter().zip(costs) {
            report.row(format!("{held} {what} jobs held"), "ns/job", costs, base.clone()).ratio_at_most(1.3);
        }
    }
    report.finish();
}

fn config() -> Config {
    let mut config = inside::config();
    config.limits.memory = 16 << 30;
    config.limits.jobs = 2_000_000;
    config
}

/// A server that has so many finished jobs, and keeps no more.
fn finished(held: usize) -> Inside {
    let mut config = config();
    config.retention.max_finished = held;
    let server = Inside::start(config);
    server.run(held, 1);
    server
}

/// A server that has so many jobs for later, and keeps as few finished ones as every other.
fn scheduled(held: usize) -> Inside {
    let mut config = config();
    config.retention.max_finished = FEW;
    let server = Inside::start(config);
    server.hold(held);
    server
}
