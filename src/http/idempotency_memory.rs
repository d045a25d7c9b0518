//! Which requests were accepted under which idempotency keys, and what they were answered.
//!
//! A key is kept for 24 hours from its acceptance and never forgotten before, because a repeat would then do its work a
//! second time. So when there is no room for another one, it is the new request that is refused.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::MessageBody as _;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::Bytes;
use foldhash::fast::RandomState;

use crate::job::JobId;

/// How long a key is kept (contract, section 6).
const KEPT: Duration = Duration::from_hours(24);
/// How many keys whose time is up are forgotten with one request, so that none has to wait for all of them. More than the
/// one that it may add, so that they do not pile up.
const FORGOTTEN_AT_ONCE: usize = 64;
/// What a key takes beside its answer: its entries in the map and in the order, and the head of the answer.
const ENTRY_BYTES: usize = 256;
const LONGEST_FULL_PAUSE: u64 = 300;

/// SHA-256 of something.
pub(super) type Digest = [u8; 32];

/// What was accepted under idempotency keys. Cheap to clone.
#[derive(Clone)]
pub struct Idempotency(Arc<Shared>);

struct Shared {
    /// How many keys, under way or remembered.
    keys: usize,
    /// Beyond how many bytes of answers no further key is taken. Those that are under way then are remembered all the same.
    bytes: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By the digest of caller, path and key. No key itself is kept, and each takes the same room.
    entries: HashMap<Digest, Entry, RandomState>,
    /// The remembered ones in the order in which they were accepted, which is that in which their time is up.
    order: VecDeque<(Duration, Digest)>,
    bytes: usize,
    /// Whether the log has been told that there is no room.
    told: bool,
}

enum Entry {
    UnderWay { body: Digest },
    Remembered { body: Digest, until: Duration, answer: Arc<Answer> },
}

/// The answer to an acceptance, without what belongs to each response.
pub(super) struct Answer {
    /// The job, if it was one and no batch.
    pub(super) job: Option<JobId>,
    status: StatusCode,
    headers: Box<[(HeaderName, HeaderValue)]>,
    body: Bytes,
}

/// What a key says about a request.
pub(super) enum Known {
    /// It is new: go on, and remember the answer.
    No(UnderWay),
    /// It was answered before.
    Answered(Arc<Answer>),
    /// The first request has not been answered yet.
    UnderWay,
    /// It belongs to a request with another body.
    OtherBody,
    /// There is no room for another key; when to come again, in whole seconds, and by which option.
    Full(u64, &'static str),
}

/// A key whose request is under way. Dropping it frees the key: nothing was accepted.
#[must_use = "dropping it frees the key"]
pub(super) struct UnderWay {
    memory: Idempotency,
    id: Digest,
    body: Digest,
}

impl Idempotency {
    /// Remembers nothing yet, and never more than this.
    pub fn new(keys: usize, bytes: usize) -> Self {
        Self(Arc::new(Shared { keys, bytes, state: Mutex::default() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that is done under this lock can leave half a change behind.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks a key up, and takes it if it is new. `now` is of the steady clock, which nobody can set.
    pub(super) fn look_up(&self, id: Digest, body: Digest, now: Duration) -> Known {
        let mut state = self.state();
        state.forget_past(now);
        match state.entries.get(&id) {
            Some(Entry::Remembered { until, .. }) if *until <= now => {
                state.forget(&id);
            }
            Some(Entry::UnderWay { body: first } | Entry::Remembered { body: first, .. })
                if *first != body =>
            {
                return Known::OtherBody;
            }
            Some(Entry::UnderWay { .. }) => return Known::UnderWay,
            Some(Entry::Remembered { answer, .. }) => return Known::Answered(Arc::clone(answer)),
            None => {}
        }
        if state.entries.len() >= self.0.keys || state.bytes >= self.0.bytes {
            let pause = state.order.front().map_or(Duration::ZERO, |(until, _)| until.saturating_sub(now));
            let (keys, bytes) = (state.entries.len(), state.bytes);
            let option =
                if keys >= self.0.keys { "limits.idempotency_keys" } else { "limits.idempotency_memory" };
            let told = std::mem::replace(&mut state.told, true);
            drop(state);
            if !told {
                tracing::warn!(
                    keys,
                    bytes,
                    option,
                    "no room for idempotency keys: requests with a new one are refused"
                );
            }
            let pause = pause.as_secs_f64().ceil().clamp(1.0, LONGEST_FULL_PAUSE as f64) as u64;
            return Known::Full(pause, option);
        }
        state.told = false;
        state.entries.insert(id, Entry::UnderWay { body });
        Known::No(UnderWay { memory: self.clone(), id, body })
    }

    /// How many bytes are taken, and beyond how many no further key is.
    pub(super) fn memory(&self) -> (usize, usize) {
        (self.state().bytes, self.0.bytes)
    }

    #[cfg(test)]
    fn holds(&self) -> (usize, usize, usize) {
        let state = self.state();
        (state.entries.len(), state.order.len(), state.bytes)
    }
}

impl State {
    fn forget_past(&mut self, now: Duration) {
        for _ in 0..FORGOTTEN_AT_ONCE {
            let Some((until, id)) = self.order.pop_front_if(|(until, _)| *until <= now) else { return };
            // The key may have been used for something new since.
            if matches!(self.entries.get(&id), Some(Entry::Remembered { until: its, .. }) if *its == until) {
                self.forget(&id);
            }
        }
    }

    fn forget(&mut self, id: &Digest) {
        if let Some(Entry::Remembered { answer, .. }) = self.entries.remove(id) {
            self.bytes -= answer.bytes();
        }
    }
}

impl UnderWay {
    /// Remembers the answer to what has just been accepted, and gives it back. Without an await between the acceptance
    /// and this, nothing can come in between, whatever becomes of the connection.
    pub(super) fn remember(self, job: Option<JobId>, response: HttpResponse, now: Duration) -> HttpResponse {
        let (head, body) = response.into_parts();
        let bytes = match body.try_into_bytes() {
            Ok(bytes) => bytes,
            // Every answer here is written as a whole. One that were a stream could not be repeated; its key is freed.
            Err(body) => return head.set_body(body),
        };
        let headers = head.headers().iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        // A copy of its very length: what it was written into has room to spare.
        let answer = Answer { job, status: head.status(), headers, body: Bytes::copy_from_slice(&bytes) };
        let until = now + KEPT;
        let mut state = self.memory.state();
        state.bytes += answer.bytes();
        state.order.push_back((until, self.id));
        let entry = Entry::Remembered { body: self.body, until, answer: Arc::new(answer) };
        state.entries.insert(self.id, entry);
        drop(state);
        head.set_body(bytes).map_into_boxed_body()
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.memory.state();
        if matches!(state.entries.get(&self.id), Some(Entry::UnderWay { .. })) {
            state.entries.remove(&self.id);
        }
    }
}

impl Answer {
    /// The same again, byte for byte.
    pub(super) fn response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status).body(self.body.clone());
        for (name, value) in &self.headers {
            response.headers_mut().append(name.clone(), value.clone());
        }
        response
    }

    /// What it takes, with its key.
    fn bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        ENTRY_BYTES + headers + self.body.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Digest = [1; 32];
    const OTHER: Digest = [2; 32];
    const HOUR: Duration = Duration::from_hours(1);

    fn id(n: usize) -> Digest {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&n.to_be_bytes());
        id
    }

    fn accept(memory: &Idempotency, n: usize, now: Duration) {
        let Known::No(under_way) = memory.look_up(id(n), ONE, now) else { panic!("{n} is known") };
        let response = HttpResponse::Accepted().insert_header(("location", "/x")).body(n.to_string());
        assert_eq!(under_way.remember(None, response, now).status(), 202);
    }

    fn body(known: Known) -> String {
        let Known::Answered(answer) = known else { panic!("it is not known") };
        let response = answer.response();
        assert_eq!(
            (response.status().as_u16(), response.headers().get("location").unwrap()),
            (202, &"/x".parse().unwrap())
        );
        String::from_utf8(response.into_body().try_into_bytes().unwrap().to_vec()).unwrap()
    }

    #[test]
    fn a_key_goes_from_new_to_under_way_to_answered() {
        let memory = Idempotency::new(10, 1 << 20);
        let first = memory.look_up(id(7), ONE, HOUR);
        assert!(matches!(first, Known::No(_)));
        assert!(matches!(memory.look_up(id(7), ONE, HOUR), Known::UnderWay));
        assert!(matches!(memory.look_up(id(7), OTHER, HOUR), Known::OtherBody));
        drop(first);
        assert_eq!(memory.holds(), (0, 0, 0), "what was not accepted is not remembered");
        accept(&memory, 7, HOUR);
        assert_eq!(body(memory.look_up(id(7), ONE, HOUR)), "7");
        assert!(matches!(memory.look_up(id(7), OTHER, HOUR), Known::OtherBody));
        assert!(matches!(memory.look_up(id(8), OTHER, HOUR), Known::No(_)));
    }

    #[test]
    fn a_key_is_kept_for_a_day_and_no_longer() {
        let memory = Idempotency::new(10, 1 << 20);
        accept(&memory, 1, HOUR);
        accept(&memory, 2, 2 * HOUR);
        let instant = Duration::from_nanos(1);
        assert_eq!(body(memory.look_up(id(1), ONE, (25 * HOUR).saturating_sub(instant))), "1");
        assert!(matches!(memory.look_up(id(1), OTHER, 25 * HOUR), Known::No(_)));
        assert_eq!(memory.holds().0, 1);
        // Under way or used again, it is none of the business of its first time.
        accept(&memory, 1, 25 * HOUR);
        assert_eq!(body(memory.look_up(id(1), ONE, 26 * HOUR)), "1");
        assert_eq!(memory.holds().0, 1, "the other one is forgotten");
        memory.look_up(id(3), ONE, 49 * HOUR);
        assert_eq!(memory.holds(), (0, 0, 0), "nothing is left behind");
    }

    #[test]
    fn one_whose_time_is_up_is_forgotten_even_behind_many() {
        let memory = Idempotency::new(10_000, 1 << 30);
        for n in 0..1_000 {
            accept(&memory, n, Duration::ZERO);
        }
        assert!(matches!(memory.look_up(id(999), OTHER, 24 * HOUR), Known::No(_)));
        assert_eq!(memory.holds().0, 1_000 - FORGOTTEN_AT_ONCE - 1, "not all of them at once");
        accept(&memory, 999, 24 * HOUR);
        for _ in 0..1_000 / FORGOTTEN_AT_ONCE {
            memory.look_up(id(5_000), ONE, 24 * HOUR);
        }
        assert_eq!(body(memory.look_up(id(999), ONE, 24 * HOUR)), "999");
        let bytes = memory.holds().2;
        assert_eq!(memory.holds(), (1, 1, bytes));
        assert!((ENTRY_BYTES..ENTRY_BYTES + 100).contains(&bytes), "{bytes}");
    }

    #[test]
    fn without_room_the_new_key_is_refused_and_no_old_one_forgotten() {
        let memory = Idempotency::new(3, 1 << 20);
        accept(&memory, 1, Duration::ZERO);
        accept(&memory, 2, HOUR);
        let under_way = memory.look_up(id(3), ONE, HOUR);
        assert!(matches!(under_way, Known::No(_)));
        assert!(matches!(memory.look_up(id(4), ONE, HOUR), Known::Full(300, "limits.idempotency_keys")));
        let almost = (24 * HOUR).saturating_sub(Duration::from_millis(1_500));
        assert!(matches!(memory.look_up(id(4), ONE, almost), Known::Full(2, _)));
        assert_eq!(body(memory.look_up(id(1), ONE, almost)), "1");
        assert!(matches!(memory.look_up(id(3), ONE, almost), Known::UnderWay));
        drop(under_way);
        assert!(matches!(memory.look_up(id(4), ONE, HOUR), Known::No(_)), "a freed key makes room");
        accept(&memory, 3, HOUR);
        assert!(
            matches!(memory.look_up(id(4), ONE, 24 * HOUR), Known::No(_)),
            "so does one whose time is up"
        );
    }

    #[test]
    fn of_many_at_once_one_is_the_first() {
        let memory = Idempotency::new(10, 1 << 20);
        let barrier = std::sync::Barrier::new(8);
        let firsts = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        // Kept until all have asked: a key that is dropped is free again.
                        (0..125).map(|_| memory.look_up(id(1), ONE, HOUR)).collect::<Vec<_>>()
                    })
                })
                .collect();
            let known: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
            known.iter().filter(|known| matches!(known, Known::No(_))).count()
        });
        assert_eq!(firsts, 1);
    }

    #[test]
    fn answers_are_bounded_by_their_size_too() {
        let memory = Idempotency::new(100, 2 * (ENTRY_BYTES + 11));
        accept(&memory, 1, Duration::ZERO);
        assert_eq!(memory.holds().2, ENTRY_BYTES + 11, "a name, a value and a body");
        let late = memory.look_up(id(3), ONE, Duration::ZERO);
        accept(&memory, 2, Duration::ZERO);
        assert!(matches!(
            memory.look_up(id(4), ONE, Duration::ZERO),
            Known::Full(300, "limits.idempotency_memory")
        ));
        // What was under way is remembered all the same: its work is done.
        let Known::No(late) = late else { panic!("it is new") };
        let _ =
            late.remember(None, HttpResponse::Accepted().insert_header(("location", "/x")).body("3"), HOUR);
        assert_eq!(body(memory.look_up(id(3), ONE, HOUR)), "3");
    }
}
