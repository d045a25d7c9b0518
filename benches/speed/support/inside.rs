//! Backroom within this process, through its public API.

use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use backroom::config::Config;
use backroom::handler::{Context, Failure, Handler, Outcome, Payload};
use backroom::job::NewJob;
use backroom::server::{Backroom, Builder};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use super::now;

/// How long all jobs of a round may take.
const PATIENCE: Duration = Duration::from_mins(10);

/// The payload of a job that does nothing.
#[derive(Serialize, Deserialize)]
pub(crate) struct Tick {
    to: String,
    name: String,
}

impl Payload for Tick {
    const KIND: &'static str = "tick";
}

impl Tick {
    pub(crate) fn new() -> Self {
        Self { to: "ada@example.com".to_owned(), name: "Ada".to_owned() }
    }
}

/// Runs it, and tells when it began to, if somebody wants to know.
pub(crate) struct TickHandler(pub(crate) Option<Sender<Instant>>);

impl Handler for TickHandler {
    type Input = Tick;

    async fn run(&self, _: Tick, _: &Context) -> Result<Outcome, Failure> {
        if let Some(started) = &self.0 {
            let _ = started.send(now());
        }
        Ok(Outcome::done())
    }
}

/// As shipped, but without a file, and on a free port.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.shutdown.spill_file = None;
    config.server.bind.set_port(0);
    config
}

/// With the handler above.
pub(crate) fn builder(config: Config, started: Option<Sender<Instant>>) -> Builder {
    Backroom::builder(config).handler(TickHandler(started))
}

/// A runtime as `#[tokio::main]` makes it.
pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime")
}

/// A server without HTTP that runs jobs as fast as it can.
pub(crate) struct Inside {
    runtime: Runtime,
    backroom: Option<Backroom>,
}

impl Inside {
    pub(crate) fn start(config: Config) -> Self {
        let runtime = runtime();
        let backroom = runtime.block_on(builder(config, None).start()).expect("starts");
        Self { runtime, backroom: Some(backroom) }
    }

    pub(crate) fn backroom(&self) -> &Backroom {
        self.backroom.as_ref().expect("not stopped before it is dropped")
    }

    /// Submits this many jobs from this many producers, and waits for the end of the last; says how many seconds that
    /// took.
    pub(crate) fn run(&self, jobs: usize, producers: usize) -> f64 {
        let service = self.backroom().jobs();
        let goal = service.finished() + jobs as u64;
        let began = now();
        let producers: Vec<_> = (0..producers)
            .map(|_| {
                let service = service.clone();
                self.runtime.spawn(async move {
                    for _ in 0..jobs / producers {
                        let new = NewJob::new(Tick::KIND, &Tick::new()).expect("a job");
                        service.submit(new).await.expect("accepted");
                    }
                })
            })
            .collect();
        self.runtime.block_on(async {
            for producer in producers {
                producer.await.expect("it submits");
            }
        });
        while service.finished() < goal {
            assert!(began.elapsed() < PATIENCE, "jobs do not finish");
            std::thread::sleep(Duration::from_micros(50));
        }
        began.elapsed().as_secs_f64()
    }

    /// Keeps this many jobs that are due in an hour.
    pub(crate) fn hold(&self, jobs: usize) {
        use backroom::job::Delay;
        let service = self.backroom().jobs();
        self.runtime.block_on(async {
            for _ in 0..jobs {
                let new = NewJob::new(Tick::KIND, &Tick::new()).expect("a job");
                let later = new.delay(Delay::For(Duration::from_hours(1)));
                service.submit(later).await.expect("accepted");
            }
        });
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if let Some(backroom) = self.backroom.take() {
            // The jobs that it holds are not to be spilled, so that this says that they are lost: it is what was wanted.
            drop(self.runtime.block_on(backroom.stop()));
        }
    }
}
