//! `/livez` and `/readyz`, as Kubernetes asks them.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::api::Api;

/// Alive as long as it answers: a full queue or a mail server that is down is no reason to be restarted.
pub(super) async fn live(request: HttpRequest) -> HttpResponse {
    answer(&request, "livez", &[("http", true)])
}

/// Ready between the start and the beginning of the drain; never not ready because a queue is full.
pub(super) async fn ready(request: HttpRequest, api: Data<Api>) -> HttpResponse {
    let checks = [
        ("started", api.phase.is_ready() || api.phase.is_stopping()),
        ("not-draining", !api.phase.is_stopping()),
    ];
    answer(&request, "readyz", &checks)
}

fn answer(request: &HttpRequest, name: &str, checks: &[(&str, bool)]) -> HttpResponse {
    let ok = checks.iter().all(|(_, ok)| *ok);
    let verbose =
        request.query_string().split('&').any(|pair| pair == "verbose" || pair.starts_with("verbose="));
    let body = if verbose {
        let line = |(check, ok): &(&str, bool)| {
            if *ok { format!("[+]{check} ok\n") } else { format!("[-]{check} failed\n") }
        };
        let lines: String = checks.iter().map(line).collect();
        format!("{lines}{name} check {}\n", if ok { "passed" } else { "failed" })
    } else {
        if ok { "ok\n" } else { "not ready\n" }.to_owned()
    };
    let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    HttpResponse::build(status)
        .content_type("text/plain; charset=utf-8")
        .insert_header(("cache-control", "no-store"))
        .body(body)
}
