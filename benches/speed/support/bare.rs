//! The baseline over HTTP: bare actix-web, with the same parse and an answer, and nothing behind it.

use std::convert::Infallible;
use std::io::Write as _;
use std::net::TcpListener;
use std::time::Duration;

use actix_web::http::header;
use actix_web::web::{self, Bytes, Data, ServiceConfig};
use actix_web::{App, HttpResponse, HttpServer};
use futures_util::stream;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::broadcast;

/// The role in which this program is the bare server.
pub(crate) const ROLE: &str = "serve-bare";

/// Serves at the address that it is given, and prints the one that it really listens on.
pub(crate) fn serve(args: &[String]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind(&args[0]).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let events = Data::new(broadcast::Sender::<()>::new(16));
        let app = move || App::new().app_data(events.clone()).configure(routes);
        let server = HttpServer::new(app).backlog(2_048).listen(listener).expect("listens").run();
        println!("{address}");
        std::io::stdout().flush().expect("somebody reads");
        server.await.expect("serves");
    });
}

fn routes(app: &mut ServiceConfig) {
    app.route("/api/jobs", web::post().to(accept))
        .route("/api/jobs/{id}/status", web::get().to(status))
        .route("/api/events", web::get().to(watch))
        .route("/api/events", web::delete().to(tell))
        .route("/readyz", web::get().to(|| async { "ready" }));
}

#[derive(Deserialize)]
struct Request<'a> {
    kind: &'a str,
    #[serde(borrow)]
    payload: &'a RawValue,
}

/// Reads the body, parses it in the same way, answers 202 with a body of its own.
pub(crate) async fn accept(body: Bytes) -> HttpResponse {
    match parse(&body) {
        Some(answer) => HttpResponse::Accepted().insert_header(header::ContentType::json()).body(answer),
        None => HttpResponse::BadRequest().finish(),
    }
}

fn parse(body: &[u8]) -> Option<String> {
    let request = serde_json::from_slice::<Request<'_>>(body).ok()?;
    Some(format!("{{\"kind\":\"{}\",\"bytes\":{}}}", request.kind, request.payload.get().len()))
}

async fn status(id: web::Path<String>) -> HttpResponse {
    let answer = format!("{{\"id\":\"{id}\",\"state\":\"scheduled\"}}");
    HttpResponse::Ok().insert_header(header::ContentType::json()).body(answer)
}

/// A stream that says hello, and then `told` once it is told, and ends; a comment every 15 s.
async fn watch(events: Data<broadcast::Sender<()>>) -> HttpResponse {
    let receiver = events.subscribe();
    let chunks = stream::unfold((receiver, 0), |(mut receiver, turn)| async move {
        let chunk = match turn {
            0 => "retry: 3000\n\n",
            1 => tokio::select! {
                _ = receiver.recv() => "event: told\ndata: {}\n\n",
                () = tokio::time::sleep(Duration::from_secs(15)) => return Some((Ok(Bytes::from(":\n\n")), (receiver, 1))),
            },
            _ => return None,
        };
        Some((Ok::<_, Infallible>(Bytes::from(chunk)), (receiver, turn + 1)))
    });
    HttpResponse::Ok().insert_header((header::CONTENT_TYPE, "text/event-stream")).streaming(chunks)
}

async fn tell(events: Data<broadcast::Sender<()>>) -> HttpResponse {
    let _ = events.send(());
    HttpResponse::Ok().finish()
}
