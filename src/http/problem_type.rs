//! The types of problems: what each is called and the status that it is sent with.

use actix_web::http::StatusCode;

/// What went wrong, as far as the caller can do something about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the pages under /problems are the documentation")]
pub enum ProblemType {
    MalformedRequest,
    IdempotencyKeyInvalid,
    InvalidCursor,
    Unauthorized,
    Forbidden,
    OriginForbidden,
    JobNotFound,
    QueueNotFound,
    ScheduleNotFound,
    MailNotFound,
    ResultNotReady,
    JobDeadLettered,
    JobSkipped,
    JobCanceled,
    MethodNotAllowed,
    RequestTimeout,
    IdempotencyInProgress,
    JobNotCancelable,
    JobNotRetryable,
    ResultExpired,
    PayloadTooLarge,
    UnsupportedMediaType,
    HostNotAllowed,
    ValidationFailed,
    UnknownKind,
    IdempotencyKeyReused,
    CallbackUrlForbidden,
    Internal,
    QueueFull,
    MemoryFull,
    Draining,
    /// A path that does not exist: `about:blank`, whose meaning is that of its status.
    NotFound,
    /// What cannot be as things stand: `about:blank` too.
    Conflict,
    /// Something besides jobs is full: `about:blank` too.
    Unavailable,
}

use ProblemType as T;

impl ProblemType {
    /// Every type that has a page.
    pub const ALL: [Self; 31] = [
        T::MalformedRequest,
        T::IdempotencyKeyInvalid,
        T::InvalidCursor,
        T::Unauthorized,
        T::Forbidden,
        T::OriginForbidden,
        T::JobNotFound,
        T::QueueNotFound,
        T::ScheduleNotFound,
        T::MailNotFound,
        T::ResultNotReady,
        T::JobDeadLettered,
        T::JobSkipped,
        T::JobCanceled,
        T::MethodNotAllowed,
        T::RequestTimeout,
        T::IdempotencyInProgress,
        T::JobNotCancelable,
        T::JobNotRetryable,
        T::ResultExpired,
        T::PayloadTooLarge,
        T::UnsupportedMediaType,
        T::HostNotAllowed,
        T::ValidationFailed,
        T::UnknownKind,
        T::IdempotencyKeyReused,
        T::CallbackUrlForbidden,
        T::Internal,
        T::QueueFull,
        T::MemoryFull,
        T::Draining,
    ];

    /// The last segment of its URI.
    pub const fn slug(self) -> &'static str {
        self.facts().0
    }

    /// The status that it is sent with.
    pub const fn status(self) -> StatusCode {
        self.facts().1
    }

    /// What it is called.
    pub const fn title(self) -> &'static str {
        self.facts().2
    }

    const fn facts(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            T::IdempotencyKeyInvalid => {
                ("idempotency-key-invalid", StatusCode::BAD_REQUEST, "The idempotency key is not valid")
            }
            T::MalformedRequest => {
                ("malformed-request", StatusCode::BAD_REQUEST, "The request cannot be read")
            }
            T::OriginForbidden => {
                ("origin-forbidden", StatusCode::FORBIDDEN, "This web page must not do that")
            }
            T::Forbidden => ("forbidden", StatusCode::FORBIDDEN, "The token does not allow this"),
            T::Unauthorized => ("unauthorized", StatusCode::UNAUTHORIZED, "A token is needed"),
            T::InvalidCursor => ("invalid-cursor", StatusCode::BAD_REQUEST, "The cursor is not one of ours"),
            T::JobNotFound => ("job-not-found", StatusCode::NOT_FOUND, "There is no such job"),
            T::QueueNotFound => ("queue-not-found", StatusCode::NOT_FOUND, "There is no such queue"),
            T::ScheduleNotFound => ("schedule-not-found", StatusCode::NOT_FOUND, "There is no such schedule"),
            T::MailNotFound => ("mail-not-found", StatusCode::NOT_FOUND, "There is no such mail"),
            T::ResultNotReady => ("result-not-ready", StatusCode::NOT_FOUND, "The job has no result yet"),
            T::JobDeadLettered => ("job-dead-lettered", StatusCode::NOT_FOUND, "The job was given up"),
            T::JobSkipped => ("job-skipped", StatusCode::NOT_FOUND, "The job was skipped"),
            T::JobCanceled => ("job-canceled", StatusCode::NOT_FOUND, "The job was canceled"),
            T::IdempotencyInProgress => (
                "idempotency-in-progress",
                StatusCode::CONFLICT,
                "The first request with this key is still under way",
            ),
            T::RequestTimeout => {
                ("request-timeout", StatusCode::REQUEST_TIMEOUT, "The request took too long to arrive")
            }
            T::MethodNotAllowed => {
                ("method-not-allowed", StatusCode::METHOD_NOT_ALLOWED, "The method is not allowed here")
            }
            T::JobNotCancelable => {
                ("job-not-cancelable", StatusCode::CONFLICT, "The job cannot be canceled any more")
            }
            T::JobNotRetryable => {
                ("job-not-retryable", StatusCode::CONFLICT, "The job cannot be retried now")
            }
            T::ResultExpired => ("result-expired", StatusCode::GONE, "The result is not kept any more"),
            T::PayloadTooLarge => {
                ("payload-too-large", StatusCode::PAYLOAD_TOO_LARGE, "The payload is too large")
            }
            T::HostNotAllowed => (
                "host-not-allowed",
                StatusCode::MISDIRECTED_REQUEST,
                "This server does not answer to that name",
            ),
            T::UnsupportedMediaType => {
                ("unsupported-media-type", StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body must be JSON")
            }
            T::ValidationFailed => {
                ("validation-failed", StatusCode::UNPROCESSABLE_ENTITY, "The request is not valid")
            }
            T::IdempotencyKeyReused => (
                "idempotency-key-reused",
                StatusCode::UNPROCESSABLE_ENTITY,
                "The idempotency key belongs to another request",
            ),
            T::CallbackUrlForbidden => (
                "callback-url-forbidden",
                StatusCode::UNPROCESSABLE_ENTITY,
                "Webhooks must not go to this address",
            ),
            T::UnknownKind => {
                ("unknown-kind", StatusCode::UNPROCESSABLE_ENTITY, "There is no such kind of job")
            }
            T::Internal => {
                ("internal", StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong on our side")
            }
            T::MemoryFull => ("memory-full", StatusCode::SERVICE_UNAVAILABLE, "The memory for jobs is full"),
            T::QueueFull => ("queue-full", StatusCode::SERVICE_UNAVAILABLE, "The queue is full"),
            T::Draining => ("draining", StatusCode::SERVICE_UNAVAILABLE, "The server is shutting down"),
            T::NotFound => ("", StatusCode::NOT_FOUND, "Not Found"),
            T::Conflict => ("", StatusCode::CONFLICT, "Conflict"),
            T::Unavailable => ("", StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
        }
    }
}
