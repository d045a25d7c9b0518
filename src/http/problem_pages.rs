//! A page for each problem type, so that its URI leads somewhere.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};

use super::problem::Problem;
use super::problem_type::ProblemType;

/// `GET /problems/{slug}`.
pub(super) async fn page(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let slug = request.match_info().query("slug");
    let kind = ProblemType::ALL
        .into_iter()
        .find(|kind| kind.slug() == slug)
        .ok_or_else(|| Problem::new(ProblemType::NotFound, "There is no problem type of this name."))?;
    let (title, status, advice) = (kind.title(), kind.status(), advice(kind));
    let body = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n<style>\
         :root{{color-scheme:light dark}}body{{font:16px/1.6 system-ui,sans-serif;max-width:38rem;margin:4rem auto;\
         padding:0 1rem}}code{{font-family:ui-monospace,monospace}}</style>\n</head>\n<body>\n<h1>{title}</h1>\n\
         <p><code>{slug}</code>, sent with status <code>{status}</code>.</p>\n<p>{advice}</p>\n</body>\n</html>\n"
    );
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "public, max-age=3600"))
        .insert_header((header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"))
        .body(body))
}

#[expect(clippy::too_many_lines, reason = "a sentence or two for each type")]
const fn advice(kind: ProblemType) -> &'static str {
    use ProblemType as T;
    match kind {
        T::MalformedRequest => {
            "The body is not JSON in UTF-8, or a part of the URL cannot be read. The detail says where. Sending the same \
             again will not help."
        }
        T::IdempotencyKeyInvalid => {
            "<code>Idempotency-Key</code> is one value of 1 to 255 visible ASCII characters, bare or in double quotes. Nothing was \
             accepted."
        }
        T::InvalidCursor => {
            "Take the cursor from <code>next_cursor</code> of the page before, unchanged, or begin again without one."
        }
        T::Unauthorized => "Send <code>Authorization: Bearer</code> and a token of <code>auth.tokens</code>.",
        T::Forbidden => {
            "The token is known but has not the role that this needs; <code>role</code> names it. Roles are given in \
             <code>auth.tokens</code>."
        }
        T::OriginForbidden => {
            "A server that asks nobody for a token takes no changes from pages of other origins, unless \
             <code>auth.mode</code> is <code>none</code>. If the page is yours, name its origin in \
             <code>server.cors_origins</code>."
        }
        T::JobNotFound => {
            "The id is wrong, or the job finished so long ago that it was forgotten (<code>retention</code>), or the \
             server was restarted after it had finished: what is known lives in memory."
        }
        T::QueueNotFound => {
            "<code>GET /api/queues</code> lists the queues. They are made in the configuration."
        }
        T::ScheduleNotFound => {
            "<code>GET /api/schedules</code> lists the schedules. They are made in the configuration."
        }
        T::MailNotFound => {
            "Only captured mail is kept (<code>mail.transport = \"capture\"</code>), and only the latest."
        }
        T::ResultNotReady => {
            "The job has not come to its end. Ask again after <code>Retry-After</code>, or ask its status with \
             <code>Prefer: wait=30</code>."
        }
        T::JobDeadLettered => {
            "Its attempts are used up, or it met an error that no repeat would mend. <code>GET /api/jobs/{id}</code> says \
             which; <code>POST /api/jobs/{id}/retry</code> sends it round again."
        }
        T::JobSkipped => {
            "Its handler found that there was nothing to do, or it expired before it could run. \
             <code>skip_reason</code> of the job says which."
        }
        T::JobCanceled => {
            "Somebody canceled it. <code>POST /api/jobs/{id}/retry</code> sends it round again."
        }
        T::MethodNotAllowed => {
            "The path exists; the <code>Allow</code> header lists the methods that it knows."
        }
        T::RequestTimeout => {
            "The body did not arrive within <code>server.body_timeout</code>. Nothing was accepted: send it again."
        }
        T::IdempotencyInProgress => {
            "A request with the same <code>Idempotency-Key</code> has not been answered yet. Try again after \
             <code>Retry-After</code> to get its answer."
        }
        T::JobNotCancelable => "It has come to its end already; <code>state</code> says how.",
        T::JobNotRetryable => {
            "A completed job is done, and a pending or processing one is under way; <code>state</code> says which. Or another \
             job has its <code>unique</code> key by now: <code>job</code> names it."
        }
        T::ResultExpired => {
            "The job completed, and its result was let go to make room for other jobs: <code>limits.memory</code> was \
             reached, and the oldest results go first. The job itself is as it was."
        }
        T::PayloadTooLarge => {
            "The body is larger than <code>server.body_limit</code>, or a payload larger than \
             <code>limits.payload</code>. Store large data elsewhere and pass a reference."
        }
        T::UnsupportedMediaType => "Send <code>Content-Type: application/json</code>.",
        T::HostNotAllowed => {
            "<code>Host</code> is none of the names of this server: local ones, that of <code>server.public_url</code>, and those in \
             <code>server.allowed_hosts</code>; add it there if it is yours. So no web page can reach the server under a name \
             of its own. With tokens, or with <code>auth.mode = \"none\"</code>, it holds once a name is written there."
        }
        T::ValidationFailed => {
            "The JSON could be read but is not valid. <code>errors</code> names every fault with a JSON pointer \
             (RFC 6901). Nothing was accepted."
        }
        T::UnknownKind => {
            "No handler of this name is registered. <code>errors</code> names the nearest one. Nothing was accepted."
        }
        T::CallbackUrlForbidden => {
            "<code>callback_url</code> leads to this machine, to a private network, or to another address that requests must              not go to. If it is meant, list it in <code>webhooks.allow</code>. Nothing was accepted."
        }
        T::IdempotencyKeyReused => {
            "Another request has used this <code>Idempotency-Key</code> within the last 24 hours, with another body. Take a new \
             key for new work."
        }
        T::Internal => {
            "The log of the server has the causes under the <code>request_id</code>. A job that was answered with 202 is \
             not affected."
        }
        T::QueueFull => {
            "Jobs come in faster than they are done. Nothing was accepted: try again after <code>Retry-After</code>. If it \
             happens often, raise <code>concurrency</code> or <code>capacity</code> of the queue."
        }
        T::MemoryFull => {
            "The jobs that are held take up <code>limits.memory</code>, and no finished one is left to make room; or as many jobs \
             as <code>limits.jobs</code> allows are not finished; or webhooks and mails that are not \
             delivered take their part of the memory; or there is no room for another \
             <code>Idempotency-Key</code>. <code>option</code> or the detail says which. Nothing was accepted: try again after \
             <code>Retry-After</code>."
        }
        T::Draining => {
            "The server is finishing what it has accepted and will stop. Try again after <code>Retry-After</code>, when it \
             has been restarted."
        }
        T::NotFound | T::Conflict | T::Unavailable => "",
    }
}
