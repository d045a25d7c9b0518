//! Streams as bytes, without a connection and on time that stands still.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use super::sse::{self, Render};
use crate::event::{Event, EventKind, Events};
use crate::job::{Job, JobId, JobLog, JobState, KindName, Progress, QueueName, Spec, StateName, Timestamp};

const AT: Timestamp = Timestamp::from_millis(0);
const PENDING: EventKind = EventKind::State(StateName::Pending);
const COMPLETED: EventKind = EventKind::State(StateName::Completed);
const LATER: &str = "retry: 5000\n\n";

fn job(sequence: u64) -> Arc<Job> {
    let spec = Spec {
        id: JobId::MIN,
        kind: KindName::new("noop").unwrap(),
        queue: QueueName::new("default").unwrap(),
        payload: RawValue::from_string("{}".into()).unwrap(),
        created_at: AT,
        max_attempts: 1,
        timeout: Duration::from_mins(1),
        tags: Box::default(),
        unique: None,
        trace: None,
        notices: None,
        log: JobLog::default(),
    };
    let mut job = Job::new(spec, JobState::Pending { turn: Some(1), since: AT }, None);
    job.sequence = sequence;
    job.progress = Progress::new(sequence as u8, None);
    Arc::new(job)
}

/// Events, and how often one was rendered.
struct World {
    events: Events,
    rendered: Arc<AtomicUsize>,
    closing: CancellationToken,
}

type Chunks = std::pin::Pin<Box<dyn Stream<Item = Result<Bytes, std::convert::Infallible>>>>;

impl World {
    fn new() -> Self {
        Self { events: Events::new(AT), rendered: Arc::default(), closing: CancellationToken::new() }
    }

    fn render(&self) -> Render {
        let rendered = Arc::clone(&self.rendered);
        Box::new(move |event: &Event| {
            rendered.fetch_add(1, Ordering::SeqCst);
            event.job.sequence.to_string().into_bytes()
        })
    }

    fn tell(&self, kind: EventKind, sequence: u64) {
        self.events.tell(kind, AT, &job(sequence));
    }

    /// Watches the job, of which everything up to 1 is known.
    fn one(&self) -> Chunks {
        let mut watcher = self.events.watch_job(JobId::MIN);
        watcher.begin_after(1);
        Box::pin(sse::of_job(b"first\n\n".to_vec(), false, watcher, self.closing.clone(), self.render()))
    }

    fn all(&self) -> Chunks {
        let watcher = self.events.watch();
        Box::pin(sse::of_all(b"first\n\n".to_vec(), watcher, |_| true, self.closing.clone(), self.render()))
    }
}

async fn next(chunks: &mut Chunks) -> Option<String> {
    chunks.next().await.map(|chunk| String::from_utf8(chunk.unwrap().to_vec()).unwrap())
}

/// Everything up to the end.
async fn rest(mut chunks: Chunks) -> String {
    let mut text = String::new();
    while let Some(chunk) = next(&mut chunks).await {
        text += &chunk;
    }
    text
}

fn ids(text: &str) -> Vec<u64> {
    text.lines().filter_map(|line| line.strip_prefix("id: ")).map(|id| id.parse().unwrap()).collect()
}

fn frame(kind: &str, sequence: u64) -> String {
    format!("id: {sequence}\nevent: {kind}\ndata: {sequence}\n\n")
}

#[tokio::test(start_paused = true)]
async fn a_comment_comes_every_15_seconds() {
    let world = World::new();
    for all in [false, true] {
        let mut chunks = if all { world.all() } else { world.one() };
        assert_eq!(next(&mut chunks).await.as_deref(), Some("first\n\n"));
        for _ in 0..3 {
            let began = tokio::time::Instant::now();
            assert_eq!(next(&mut chunks).await.as_deref(), Some(":\n\n"));
            let took = began.elapsed().as_millis();
            assert!((14_999..=15_002).contains(&took), "{took} ms");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_is_told_in_order_up_to_its_end() {
    let world = World::new();
    let chunks = world.one();
    // What the snapshot has shown, then two that overtook each other, then what comes after the end.
    for (kind, sequence) in
        [(PENDING, 1), (COMPLETED, 4), (EventKind::Progress, 3), (PENDING, 2), (PENDING, 5)]
    {
        world.tell(kind, sequence);
    }
    let told = frame("job.pending", 2) + &frame("job.progress", 3) + &frame("job.completed", 4);
    assert_eq!(rest(chunks).await, format!("first\n\n{told}"));
    assert_eq!(world.events.watchers(), 0, "nobody is left behind");
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_is_not_waited_for() {
    let world = World::new();
    let mut chunks = world.one();
    assert_eq!(next(&mut chunks).await.as_deref(), Some("first\n\n"));
    world.tell(PENDING, 3);
    let began = tokio::time::Instant::now();
    assert_eq!(next(&mut chunks).await, Some(frame("job.pending", 3)));
    assert!(began.elapsed() >= Duration::from_millis(50), "an event that comes late is waited for");
    assert!(began.elapsed() < Duration::from_millis(60));
}

#[tokio::test(start_paused = true)]
async fn a_slow_watcher_of_a_job_loses_progress_first_and_then_the_connection() {
    for (states, kept) in [(15, true), (16, true), (17, false)] {
        let world = World::new();
        let chunks = world.one();
        // Progress comes in between, and much more of it than there is room for.
        for n in 0..states {
            world.tell(PENDING, 2 + 2 * n);
            world.tell(EventKind::Progress, 3 + 2 * n);
        }
        world.closing.cancel();
        let text = rest(chunks).await;
        let seen: Vec<u64> = ids(&text).into_iter().filter(|id| id % 2 == 0).collect();
        if kept {
            assert_eq!(seen, (0..states).map(|n| 2 + 2 * n).collect::<Vec<_>>());
            assert!(text.contains(&frame("job.progress", 1 + 2 * states)), "the last is there: {text}");
            assert!(ids(&text).len() < 2 * states as usize, "some was lost: {text}");
            assert!(ids(&text).is_sorted() && text.ends_with(LATER), "{text}");
        } else {
            assert!(seen.is_empty() && text.contains("come again") && !text.contains(LATER), "{text}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_watcher_of_all_jobs_loses_progress_first_and_then_the_connection() {
    for (states, kept) in [(1_023, true), (1_024, true), (1_025, false)] {
        let world = World::new();
        let chunks = world.all();
        (0..states).for_each(|n| world.tell(PENDING, n));
        world.closing.cancel();
        let text = rest(chunks).await;
        assert_eq!(ids(&text).len() == states as usize, kept, "{states}");
        assert_eq!(text.contains("come again"), !kept, "{states}");
        assert!(ids(&text).windows(2).all(|two| two[0] + 1 == two[1]), "numbered without holes");
    }
    for (waiting, kept) in [(511, true), (512, true), (513, false)] {
        let world = World::new();
        let mut chunks = world.all();
        assert_eq!(next(&mut chunks).await.as_deref(), Some("first\n\n"));
        world.tell(EventKind::Progress, 0);
        (0..waiting).for_each(|n| world.tell(PENDING, n));
        assert_eq!(next(&mut chunks).await.unwrap().contains("progress"), kept, "{waiting}");
    }
}

#[tokio::test(start_paused = true)]
async fn much_is_sent_in_pieces() {
    let world = World::new();
    let mut chunks = world.all();
    assert_eq!(next(&mut chunks).await.as_deref(), Some("first\n\n"));
    (0..1_000).for_each(|n| world.tell(PENDING, n));
    let mut seen = 0;
    while seen < 1_000 {
        let chunk = next(&mut chunks).await.unwrap();
        assert!(chunk.len() <= (16 << 10) + 64, "{}", chunk.len());
        seen += ids(&chunk).len();
    }
    assert!(next(&mut chunks).now_or_never().is_none(), "there is no more");
}

#[tokio::test(start_paused = true)]
async fn what_has_happened_is_told_before_the_server_stops() {
    for (all, kind, end) in [(false, PENDING, LATER), (false, COMPLETED, ""), (true, PENDING, LATER)] {
        let world = World::new();
        let chunks = if all { world.all() } else { world.one() };
        world.tell(kind, 2);
        world.closing.cancel();
        let text = rest(chunks).await;
        assert_eq!(ids(&text).len(), 1, "{text}");
        assert!(text.ends_with(&format!("data: 2\n\n{end}")), "{text}");
    }
    // One that was overtaken will not come any more.
    let world = World::new();
    let chunks = world.one();
    world.tell(PENDING, 3);
    world.closing.cancel();
    assert_eq!(rest(chunks).await, format!("first\n\n{}{LATER}", frame("job.pending", 3)));
}

#[tokio::test(start_paused = true)]
async fn an_event_is_rendered_once_for_all() {
    let world = World::new();
    let watching: Vec<Chunks> = (0..10).flat_map(|_| [world.one(), world.one(), world.all()]).collect();
    assert_eq!(world.events.watchers(), 30);
    world.tell(PENDING, 2);
    world.tell(COMPLETED, 3);
    world.closing.cancel();
    for chunks in watching {
        assert!(rest(chunks).await.contains("data: 2\n\n"));
    }
    assert_eq!(world.rendered.load(Ordering::SeqCst), 2);
    assert_eq!(world.events.watchers(), 0);
}

#[tokio::test(start_paused = true)]
async fn numbers_grow_while_nobody_watches_and_over_restarts() {
    let before = World::new();
    (0..10).for_each(|n| before.tell(PENDING, n));
    let mut watch = before.events.watch();
    before.tell(PENDING, 10);
    assert_eq!(watch.recv().await.unwrap().number, 11);
    let after = Events::new(Timestamp::from_millis(1));
    let mut watch = after.watch();
    after.tell(PENDING, AT, &job(1));
    assert_eq!(watch.recv().await.unwrap().number, 1_025);
}
