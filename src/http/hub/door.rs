//! The paths of the hub: how a connection is negotiated, opened by each transport, spoken over and ended.

use std::sync::Arc;

use actix_web::http::Method;
use actix_web::http::header;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::super::api::Api;
use super::super::body;
use super::super::caller::Caller;
use super::super::problem::Problem;
use super::super::problem_type::ProblemType;
use super::connection::{Connection, Opening};
use super::protocol::{Negotiated, Version, refusal};
use super::rights::Rights;
use super::roll::Transport;
use super::{long_polling, server_sent_events, websocket};
use crate::jobs::SubmitError;

/// Where tokens may stand in the URL, and pages may send the cookies of a browser: its SignalR client cannot do without.
pub(in super::super) const PATHS: [&str; 2] = ["/hubs/jobs", "/hubs/jobs/negotiate"];

/// What a client is told that finds no place.
const FULL: &str =
    "the server has as many connections as it may have (server.max_hub_connections); try again later";

/// `POST /hubs/jobs/negotiate`: makes a connection, and says by which name and how it is opened.
pub(in super::super) async fn negotiate(
    request: HttpRequest,
    payload: Payload,
    api: Data<Api>,
) -> Result<HttpResponse, Problem> {
    body::discard(&request, payload, &api).await?;
    refuse_when_closing(&api)?;
    let answer = match Version::of(parameter(&request, "negotiateVersion").as_deref()) {
        None => refusal("negotiateVersion must be a whole number: 0 or 1"),
        Some(version) => match api.hub.admit(&api, Rights::of(&request, &api.guard), version) {
            None => refusal(FULL),
            Some(connection) => Negotiated { version, id: connection.id(), token: connection.token() }.body(),
        },
    };
    Ok(HttpResponse::Ok().json(answer))
}

/// `GET /hubs/jobs`: opens a connection, or polls it.
pub(in super::super) async fn connect(
    request: HttpRequest,
    payload: Payload,
    api: Data<Api>,
) -> Result<HttpResponse, Problem> {
    if body::is_endless(&request) {
        let greeting = websocket::greeting(&request)?;
        let connection = if parameter(&request, "id").is_some() {
            find(&request, &api)?
        } else {
            // Without negotiation: a client that knows what it wants.
            refuse_when_closing(&api)?;
            let admitted = api.hub.admit(&api, Rights::of(&request, &api.guard), Version::One);
            admitted.ok_or_else(|| Problem::new(ProblemType::Unavailable, FULL).retry_after(5))?
        };
        return match connection.open(Transport::WebSockets, &api.hub) {
            Opening::First => websocket::answer(greeting, payload, api.body_limit, connection),
            Opening::Again | Opening::Other => Err(taken()),
        };
    }
    let connection = find(&request, &api)?;
    if *request.method() == Method::HEAD {
        return Ok(HttpResponse::Ok().finish());
    }
    if accepts_events(&request) {
        return match connection.open(Transport::ServerSentEvents, &api.hub) {
            Opening::First => Ok(server_sent_events::answer(&request, connection)),
            Opening::Again | Opening::Other => Err(taken()),
        };
    }
    match connection.open(Transport::LongPolling, &api.hub) {
        // The client waits for this before it says anything.
        Opening::First => Ok(long_polling::nothing()),
        Opening::Again => Ok(long_polling::poll(&connection).await),
        Opening::Other => Err(taken()),
    }
}

/// `POST /hubs/jobs`: what a client says that only listens to the other direction.
pub(in super::super) async fn send(
    request: HttpRequest,
    payload: Payload,
    api: Data<Api>,
) -> Result<HttpResponse, Problem> {
    let said = body::read(&request, payload, &api).await?;
    let connection = find(&request, &api)?;
    if connection.transport() == Some(Transport::WebSockets) {
        let detail = "This connection is a WebSocket: say it there.";
        return Err(Problem::new(ProblemType::MalformedRequest, detail));
    }
    if connection.say(said).await { Ok(HttpResponse::Ok().finish()) } else { Err(unknown()) }
}

/// `DELETE /hubs/jobs`: ends a connection that polls.
pub(in super::super) async fn end(
    request: HttpRequest,
    payload: Payload,
    api: Data<Api>,
) -> Result<HttpResponse, Problem> {
    body::discard(&request, payload, &api).await?;
    let connection = find(&request, &api)?;
    if connection.transport() != Some(Transport::LongPolling) {
        let detail = "Only a connection that polls is ended in this way; others are closed.";
        return Err(Problem::new(ProblemType::MalformedRequest, detail));
    }
    connection.leave();
    Ok(HttpResponse::Accepted().finish())
}

fn find(request: &HttpRequest, api: &Api) -> Result<Arc<Connection>, Problem> {
    let Some(name) = parameter(request, "id") else {
        let detail = "There is no id. Negotiate a connection, and ask for it by its connectionToken: ?id=…";
        return Err(Problem::new(ProblemType::MalformedRequest, detail));
    };
    let found = api.hub.find(&name).filter(|connection| connection.belongs_to(&Caller::of(request)));
    found.ok_or_else(unknown)
}

fn parameter(request: &HttpRequest, wanted: &str) -> Option<String> {
    url::form_urlencoded::parse(request.query_string().as_bytes())
        .find(|(name, _)| name == wanted)
        .map(|(_, value)| value.into_owned())
}

fn accepts_events(request: &HttpRequest) -> bool {
    let mut accepted = request.headers().get_all(header::ACCEPT).filter_map(|accept| accept.to_str().ok());
    accepted.any(|accept| accept.to_ascii_lowercase().contains("text/event-stream"))
}

/// To the last moment whoever comes is let in. Then there would be nothing but a farewell, after which a client comes
/// again at once; from this it waits a little longer.
fn refuse_when_closing(api: &Api) -> Result<(), Problem> {
    if api.closing.is_cancelled() { Err(SubmitError::Draining.into()) } else { Ok(()) }
}

fn unknown() -> Problem {
    Problem::new(
        ProblemType::NotFound,
        "No connection has this id: it has ended, or never was. Negotiate a new one.",
    )
}

fn taken() -> Problem {
    Problem::new(ProblemType::Conflict, "The connection is open already. Negotiate a new one.")
}
