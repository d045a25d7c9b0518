//! A kind of job of one's own: its payload, its handler, a server that runs it, and a job that goes through.
//!
//! ```sh
//! cargo run --example handler
//! ```

use std::time::Duration;

use backroom::config::Config;
use backroom::handler::{Context, Failure, FailureExt as _, Handler, Outcome, Payload};
use backroom::job::{Fault, JobState, LogLevel, NewJob, ResultSlot};
use backroom::server::{Backroom, Server};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

/// What a producer sends. `deny_unknown_fields` makes a misspelt member a 422 instead of a surprise.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CountWords {
    text: String,
}

impl Payload for CountWords {
    const KIND: &'static str = "count-words";
}

/// What runs it. Its dependencies (a pool of connections, a client, a folder) are its fields.
struct WordCounter {
    longest: usize,
}

impl Handler for WordCounter {
    type Input = CountWords;

    /// Looked at when the job is submitted, so that the caller learns of it at once.
    fn check(&self, input: &CountWords) -> Vec<Fault> {
        if input.text.len() > self.longest {
            return vec![Fault::new("/text", format!("must be at most {} bytes", self.longest))];
        }
        Vec::new()
    }

    async fn run(&self, input: CountWords, cx: &Context) -> Result<Outcome, Failure> {
        if input.text.is_empty() {
            return Ok(Outcome::skip("there is no text"));
        }
        if cx.attempt() == 1 {
            // An error that a repeat can mend: the job is tried again.
            return Err(
                Failure::transient("busy", "the counter is busy").retry_after(Duration::from_millis(50))
            );
        }
        cx.log(LogLevel::Info, "counting").await;
        cx.progress(50, "counting").await;
        // Work that takes long without an `.await` belongs on a thread of its own.
        let words =
            tokio::task::spawn_blocking(move || input.text.split_whitespace().count()).await.permanent()?;
        Ok(Outcome::json(&serde_json::json!({ "words": words }))?)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // As shipped, but on a free port, and without a file for what a drain cannot finish.
    let mut config = Config::default();
    config.server.bind.set_port(0);
    config.shutdown.spill_file = None;

    let builder = Backroom::builder(config).handler(WordCounter { longest: 10_000 });
    let server = Server::start(builder).await?;
    println!("listening on http://{}", server.address());

    // The same as `POST /api/jobs`, from inside the process.
    let jobs = server.backroom().jobs();
    let text = "Take slow work out of the request.".to_owned();
    let job = jobs.submit(NewJob::new(CountWords::KIND, &CountWords { text })?).await?;
    println!("accepted  {}", job.id());

    // The last argument says when to stop waiting early; here never.
    let ended = jobs.wait(job.id(), Duration::from_secs(10), std::future::pending()).await?;
    let job = ended.ok_or_else(|| anyhow::anyhow!("the job is gone"))?;
    for attempt in &job.attempts {
        println!("attempt {} {}", attempt.number, attempt.outcome.as_str());
    }
    let JobState::Completed { result: ResultSlot::Kept(result), .. } = &job.state else {
        anyhow::bail!("the job ended as {}", job.state.name());
    };
    println!("result    {}", String::from_utf8_lossy(result.bytes()));

    let report = server.stop(&CancellationToken::new()).await;
    anyhow::ensure!(report.lost.is_empty(), "jobs were lost: {:?}", report.lost);
    Ok(())
}
