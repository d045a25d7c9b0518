//! What log lines and spans are made of. Like the names of metrics (`metrics::names`) they are there to be relied on.

/// The target of every span.
pub const SPANS: &str = "backroom::span";

/// A request, from its head to that of its answer; exported as `{method} {route}`.
pub const REQUEST_SPAN: &str = "request";

/// One attempt of a job; exported as `process {queue}`.
pub const ATTEMPT_SPAN: &str = "attempt";

/// What the members of log lines are called, and what they hold.
pub const FIELDS: &[(&str, &str)] = &[
    ("abandoned", "attempts that were given up at the end of a drain"),
    ("abandoned_running", "how many abandoned handlers of this kind have not returned yet"),
    ("abandoned_total", "how many handlers of this kind were abandoned since the start"),
    ("address", "what the server listens on"),
    ("attempt", "the number of the attempt, from 1"),
    ("bytes", "how many bytes are taken"),
    ("cancel_grace_ms", "how long the handler had to stop, in milliseconds"),
    ("captured_mail", "of the memory bounds: captured mail, in bytes"),
    ("caller", "the name of the token that a request came with; empty without one"),
    ("cause", "an error with its causes"),
    ("causes", "why a request failed with 500"),
    ("code", "the code of the error of an attempt"),
    ("dead_letters_kept", "dead letters that the drain wrote to the spill file"),
    ("deleted", "dead letters that were thrown away"),
    ("durability", "what a crash would cost"),
    ("duration_ms", "how long it took, in milliseconds"),
    ("each_connection", "of the memory bounds: what one busy connection takes besides, in bytes"),
    ("error", "an error with its causes"),
    ("file", "a file, as the configuration names it"),
    ("finished", "jobs that came to their end during the drain"),
    ("grace_ms", "how long a drain waits, in milliseconds"),
    ("hint", "what can be done about it"),
    ("idempotency", "of the memory bounds: idempotency keys, in bytes"),
    ("interrupted", "attempts that the drain stopped"),
    ("job", "the id of the job"),
    ("jobs", "how many jobs; of the memory bounds: all jobs, in bytes"),
    ("keys", "how many idempotency keys are kept"),
    ("kind", "the kind of the job"),
    ("left", "dead letters that were left where they are"),
    ("line", "the number of a line of the spill file"),
    ("location", "where in the source it panicked"),
    ("lost", "the ids of the jobs that were lost"),
    ("machine", "the memory of the machine, in bytes"),
    ("mail", "how mail leaves"),
    ("matched", "dead letters that fit the filters"),
    ("max_attempts", "how many attempts the job has"),
    ("method", "the method of a request"),
    ("missing", "what a line of the spill file lacks"),
    ("of", "the queue that a part of the pool belongs to"),
    ("option", "the option that sets a limit"),
    ("outcome", "how an attempt ended"),
    ("part", "a part of the server"),
    ("path", "the path of a request, without its query"),
    ("program", "of the memory bounds: the program itself, in bytes"),
    ("queue", "the queue of the job"),
    ("reason", "why"),
    ("redriven", "dead letters that were sent round again"),
    ("rejected", "the file that keeps what could not be read"),
    ("request_id", "the id of a request, as in `X-Request-Id`"),
    ("rest_ms", "how long until it is replaced, in milliseconds"),
    ("route", "the route of a request, with `{id}` and the like; `unmatched` without one"),
    ("running", "attempts under way; of the memory bounds: what they hold, in bytes"),
    ("scheme", "`http` or `https`"),
    ("spilled", "jobs that the drain wrote to the spill file"),
    ("state", "the state that a job has come to"),
    ("status", "the status of an answer"),
    ("total", "of the memory bounds: the sum, in bytes"),
    ("variable", "a variable of the environment"),
    ("version", "the version that runs"),
];
