//! The methods of the hub.

use std::panic::AssertUnwindSafe;

use actix_web::web::Data;
use futures_util::FutureExt as _;
use serde_json::value::RawValue;

use super::super::api::Api;
use super::super::auth::{NOTHING, Needs, READ, SUBMIT, SUBMIT_OR_READ};
use super::super::problem::Problem;
use super::super::problem_type::ProblemType;
use super::super::{body, events, queues, request};
use super::protocol::{self, Call};
use super::session::Session;
use super::watching;
use crate::job::JobId;

/// How many submissions of one connection may wait for room at the same time.
const AT_ONCE: usize = 16;

/// The answer of a method that returns nothing.
const NULL: &[u8] = b"null";

/// How much of a name that is not known is given back.
const SHOWN: usize = 64;

/// What can be called. Each takes one argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Method {
    Subscribe,
    Unsubscribe,
    SubscribeQueue,
    UnsubscribeQueue,
    GetJob,
    StreamJob,
    Enqueue,
}

use Method as M;

impl Method {
    const ALL: [Self; 7] = [
        M::Subscribe,
        M::Unsubscribe,
        M::SubscribeQueue,
        M::UnsubscribeQueue,
        M::GetJob,
        M::StreamJob,
        M::Enqueue,
    ];

    /// Finds it whatever the case: clients of different languages write it differently.
    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name().eq_ignore_ascii_case(name))
    }

    const fn name(self) -> &'static str {
        match self {
            M::Subscribe => "Subscribe",
            M::Unsubscribe => "Unsubscribe",
            M::SubscribeQueue => "SubscribeQueue",
            M::UnsubscribeQueue => "UnsubscribeQueue",
            M::GetJob => "GetJob",
            M::StreamJob => "StreamJob",
            M::Enqueue => "Enqueue",
        }
    }

    /// As the HTTP API asks it for the same.
    const fn needs(self) -> Needs {
        match self {
            M::Subscribe | M::GetJob | M::StreamJob => SUBMIT_OR_READ,
            M::SubscribeQueue => READ,
            M::Enqueue => SUBMIT,
            M::Unsubscribe | M::UnsubscribeQueue => NOTHING,
        }
    }

    const fn argument(self) -> &'static str {
        match self {
            M::Subscribe | M::Unsubscribe | M::GetJob | M::StreamJob => "the id of a job",
            M::SubscribeQueue | M::UnsubscribeQueue => "the name of a queue",
            M::Enqueue => "a job, as POST /api/jobs takes it",
        }
    }
}

/// What a call comes to. Errors are sentences for whoever wrote the client, with a word for programs in front.
type Answer = Result<Reply, String>;

enum Reply {
    /// This, at once.
    Result(Vec<u8>),
    /// Something, later or never: whoever says it has what it takes.
    Later,
}

impl Session {
    /// Answers a call, if an answer is wanted.
    pub(super) async fn call(&mut self, call: Call<'_>) {
        let answer = self.answer(&call).await;
        let Some(id) = &call.id else { return };
        match answer {
            Ok(Reply::Result(result)) => self.tell(protocol::completed(id, &result)),
            Ok(Reply::Later) => {}
            Err(error) => self.tell(protocol::failed(id, &error)),
        }
    }

    async fn answer(&mut self, call: &Call<'_>) -> Answer {
        let Some(method) = Method::named(&call.target) else {
            let shown: String = call.target.chars().take(SHOWN).collect();
            let known = Method::ALL.map(Method::name).join(", ");
            return Err(format!("unknown-method: there is no method {shown:?}; there are: {known}"));
        };
        self.connection().rights().check(method.needs()).map_err(|problem| problem.sentence())?;
        match (method == M::StreamJob, call.streams) {
            (true, false) => {
                return Err("StreamJob returns a stream: call it with stream(), not with invoke()".to_owned());
            }
            (false, true) => {
                return Err(format!("{} returns no stream: call it with invoke()", method.name()));
            }
            _ => {}
        }
        let [argument] = call.arguments[..] else {
            let (name, what, number) = (method.name(), method.argument(), call.arguments.len());
            return Err(format!("{name} takes one argument, {what}; there are {number}"));
        };
        match method {
            M::Enqueue => self.enqueue(call.id.clone(), argument),
            M::SubscribeQueue | M::UnsubscribeQueue => self.queue(method, &text(method, argument)?),
            M::Unsubscribe => {
                if let Ok(id) = text(method, argument)?.parse() {
                    self.watching.leave_job(id);
                }
                Ok(Reply::Result(NULL.to_vec()))
            }
            M::GetJob => {
                let id = job_id(&text(method, argument)?)?;
                let job = found(&self.api, id).await?;
                Ok(Reply::Result(self.api.job_json(&job, self.api.jobs.clock().now())))
            }
            M::Subscribe => self.subscribe(job_id(&text(method, argument)?)?).await,
            M::StreamJob => self.stream(call.id.clone(), job_id(&text(method, argument)?)?).await,
        }
    }

    /// The job as it stands; of what happens to it afterwards nothing is missed.
    async fn subscribe(&mut self, id: JobId) -> Answer {
        // Watch first, then look: nothing that happens in between is missed.
        let mut watcher = self.api.jobs.events().watch_job(id);
        let job = found(&self.api, id).await?;
        if !job.state.is_terminal() {
            if !self.watching.watches(id) {
                self.has_room()?;
            }
            watcher.begin_after(job.sequence);
            self.watching.job(id, watcher);
        }
        Ok(Reply::Result(self.api.job_json(&job, self.api.jobs.clock().now())))
    }

    /// A snapshot and everything up to the end, as `GET /api/jobs/{id}/events` has it.
    async fn stream(&mut self, invocation: Option<String>, id: JobId) -> Answer {
        // A stream without a name is refused where messages are read.
        let Some(invocation) = invocation else { return Ok(Reply::Later) };
        if self.watching.streams(&invocation) {
            return Err("the invocationId is that of a stream that has not ended".to_owned());
        }
        let mut watcher = self.api.jobs.events().watch_job(id);
        let job = found(&self.api, id).await?;
        if !job.state.is_terminal() {
            self.has_room()?;
        }
        let snapshot = self.api.envelope(events::SNAPSHOT, self.api.jobs.clock().now(), &job);
        self.tell(protocol::item(&invocation, &snapshot));
        if job.state.is_terminal() {
            self.tell(protocol::settled(&invocation));
        } else {
            watcher.begin_after(job.sequence);
            self.watching.stream(invocation, watcher);
        }
        Ok(Reply::Later)
    }

    fn queue(&mut self, method: Method, name: &str) -> Answer {
        if method == M::UnsubscribeQueue {
            self.watching.leave_queue(name);
        } else {
            let jobs = &self.api.jobs;
            let known = jobs.queue_names().into_iter().find(|known| known.as_str() == name).cloned();
            let queue = known.ok_or_else(|| queues::not_found(jobs).sentence())?;
            self.watching.queue(queue, jobs.events());
        }
        Ok(Reply::Result(NULL.to_vec()))
    }

    /// Hands a submission in, at once where there is room. Else it waits, and everything else goes on meanwhile.
    fn enqueue(&mut self, invocation: Option<String>, request: &RawValue) -> Answer {
        let (api, request) = (Data::clone(&self.api), request.get().to_owned());
        let submission = async move {
            // The check of a kind is code of somebody else.
            let accepted = AssertUnwindSafe(accept(&api, &request)).catch_unwind().await;
            let accepted = accepted.unwrap_or_else(|_| {
                Err(told(&api, &Problem::internal(&std::io::Error::other("a handler panicked"))))
            });
            match (invocation, accepted) {
                (Some(id), Ok(job)) => protocol::completed(&id, &job),
                (Some(id), Err(error)) => protocol::failed(&id, &error),
                (None, _) => Vec::new(),
            }
        };
        // Without a budget: it is to wait for room, and for nothing else.
        let mut submission = tokio::task::unconstrained(submission).boxed();
        match submission.as_mut().now_or_never() {
            Some(answer) => self.tell(answer),
            None if self.submissions.len() < AT_ONCE => self.submissions.push(submission),
            None => {
                return Err(format!(
                    "too-many: {AT_ONCE} submissions of this connection wait for room already"
                ));
            }
        }
        Ok(Reply::Later)
    }

    fn has_room(&self) -> Result<(), String> {
        if self.watching.has_room() {
            return Ok(());
        }
        let most = watching::MOST;
        Err(format!(
            "too-many: a connection may watch {most} jobs at a time; unsubscribe from one, or watch their queue"
        ))
    }
}

/// Whether this hands a job in.
pub(super) fn submits(call: &Call<'_>) -> bool {
    Method::named(&call.target) == Some(M::Enqueue)
}

/// Accepts a job as `POST /api/jobs` does.
async fn accept(api: &Api, request: &str) -> Result<Vec<u8>, String> {
    let accepted = async {
        body::refuse_when_draining(api)?;
        let new = request::whole(request.as_bytes(), &api.jobs)?;
        Ok(api.jobs.accept(new).await?)
    };
    let accepted = accepted.await.inspect_err(|problem| body::count_refused(problem, api));
    let accepted = accepted.map_err(|problem: Problem| told(api, &problem))?;
    let waiting = api.jobs.waiting(accepted.job(), api.jobs.clock().now());
    Ok(api.accepted_json(&accepted, waiting))
}

async fn found(api: &Api, id: JobId) -> Result<std::sync::Arc<crate::job::Job>, String> {
    let found =
        api.jobs.get(id).await.map_err(Problem::from).and_then(|job| job.ok_or_else(Problem::job_not_found));
    found.map_err(|problem| told(api, &problem))
}

fn job_id(text: &str) -> Result<JobId, String> {
    text.parse().map_err(|_| Problem::job_not_found().sentence())
}

fn text(method: Method, argument: &RawValue) -> Result<String, String> {
    serde_json::from_str(argument.get())
        .map_err(|_| format!("{} takes one argument, {}, as a string", method.name(), method.argument()))
}

/// What the caller is told of a problem, and the log if it is ours.
fn told(api: &Api, problem: &Problem) -> String {
    if problem.kind() != ProblemType::Internal {
        return problem.sentence();
    }
    let id = format!("{:016x}", api.jobs.clock().dice());
    if let Some(causes) = problem.causes() {
        tracing::error!(request_id = id, causes = api.jobs.redactor().line(causes), "request failed");
    }
    format!("internal: something went wrong on our side; the log of the server has the causes under {id}")
}
