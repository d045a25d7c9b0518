//! A connection whose client asks again and again, and speaks by `POST`.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;

use super::connection::Connection;

/// How long a poll waits. Clients give up after 100 seconds.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a poll is told when there is nothing to tell.
pub(super) fn nothing() -> HttpResponse {
    HttpResponse::Ok().insert_header(ContentType::octet_stream()).finish()
}

/// Answers a poll with what there is, once there is something; with nothing when it has waited for long; with 204 when
/// there will be nothing any more.
pub(super) async fn poll(connection: &Connection) -> HttpResponse {
    let poll = connection.begin_poll();
    let told = tokio::select! {
        biased;
        () = poll.superseded() => return nothing(),
        told = connection.take() => told,
        () = tokio::time::sleep(PATIENCE) => return nothing(),
    };
    match told {
        Some(told) => HttpResponse::Ok().insert_header(ContentType::octet_stream()).body(told),
        None => {
            connection.leave();
            HttpResponse::NoContent().finish()
        }
    }
}
