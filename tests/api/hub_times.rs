//! The times of the hub, on time that stands still: the routes without a socket.

use std::time::Duration;

use actix_web::body::to_bytes;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::Method;
use actix_web::test::{TestRequest, init_service};
use actix_web::{App, Error};
use backroom::clock::Clock;
use backroom::config::Config;
use backroom::job::Timestamp;
use backroom::server::Backroom;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::hub_client::{call, handshake, record, records};

const SECOND: Duration = Duration::from_secs(1);

async fn start() -> Backroom {
    let mut config = Config::default();
    config.shutdown.spill_file = None;
    let clock = Clock::following_tokio(Timestamp::from_millis(1_700_000_000_000));
    Backroom::builder(config).clock(clock).start().await.unwrap()
}

async fn ask<S>(
    service: &S,
    method: Method,
    path: &str,
    accept: &str,
    body: String,
) -> ServiceResponse<BoxBody>
where
    S: Service<actix_http::Request, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    let request = TestRequest::with_uri(path)
        .method(method)
        .insert_header(("host", "localhost"))
        .insert_header(("accept", accept))
        .set_payload(body);
    service.call(request.to_request()).await.unwrap()
}

async fn text(response: ServiceResponse<BoxBody>) -> (u16, String) {
    let status = response.status().as_u16();
    let Ok(body) = to_bytes(response.into_body()).await else { panic!("no body") };
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn place<S>(service: &S) -> String
where
    S: Service<actix_http::Request, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    let (_, body) =
        text(ask(service, Method::POST, "/hubs/jobs/negotiate", "*/*", String::new()).await).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    format!("/hubs/jobs?id={}", body["connectionId"].as_str().unwrap())
}

/// The next chunk of a stream, and how long it took to come.
async fn chunk(body: &mut std::pin::Pin<Box<BoxBody>>) -> (Option<String>, Duration) {
    let began = Instant::now();
    let chunk = std::future::poll_fn(|cx| body.as_mut().poll_next(cx)).await;
    let chunk = chunk.map(|chunk| String::from_utf8(chunk.unwrap().to_vec()).unwrap());
    (chunk, began.elapsed())
}

/// As long as is said, or a moment longer.
#[track_caller]
fn after(what: Duration, took: Duration) {
    assert!((what..what + SECOND / 10).contains(&took), "{took:?} instead of {what:?}");
}

#[tokio::test(start_paused = true)]
async fn a_quiet_client_is_pinged_and_a_silent_one_dropped() {
    let backroom = start().await;
    let service = init_service(App::new().configure(backroom.routes())).await;
    let path = place(&service).await;
    let response = ask(&service, Method::GET, &path, "text/event-stream", String::new()).await;
    let mut body = Box::pin(response.into_body());
    assert_eq!(chunk(&mut body).await.0.unwrap(), ":\n\n");
    ask(&service, Method::POST, &path, "*/*", record(&handshake())).await;
    assert_eq!(chunk(&mut body).await.0.unwrap(), format!("data: {}\n\n", record(&json!({}))));
    // A message of the client, whatever it is, gives it another 30 seconds.
    let ping = record(&json!({"type": 6}));
    let (told, took) = chunk(&mut body).await;
    assert_eq!(told.unwrap(), format!("data: {ping}\n\n"));
    after(15 * SECOND, took);
    ask(&service, Method::POST, &path, "*/*", ping.clone()).await;
    let (told, took) = chunk(&mut body).await;
    assert_eq!(told.unwrap(), format!("data: {ping}\n\n"));
    after(15 * SECOND, took);
    let (told, took) = chunk(&mut body).await;
    after(15 * SECOND, took);
    let last = told.unwrap();
    let mut told = records(last.strip_prefix("data: ").unwrap().trim_end());
    if told == [json!({"type": 6})] {
        // The ping and the end are due in the same moment.
        told = records(chunk(&mut body).await.0.unwrap().strip_prefix("data: ").unwrap().trim_end());
    }
    assert_eq!((&told[0]["type"], &told[0]["allowReconnect"]), (&json!(7), &json!(true)));
    assert!(told[0]["error"].as_str().unwrap().contains("for 30 seconds"), "{told:?}");
    assert_eq!(chunk(&mut body).await.0, None);
    drop(body);
    while backroom.hub().connections() > 0 {
        tokio::task::yield_now().await;
    }
    backroom.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_does_not_begin_is_forgotten_after_fifteen_seconds() {
    let backroom = start().await;
    let service = init_service(App::new().configure(backroom.routes())).await;
    let (opened, path) = (place(&service).await, place(&service).await);
    tokio::time::advance(14 * SECOND).await;
    // One is opened in time and has as long again for its handshake; the other is not.
    assert_eq!(text(ask(&service, Method::GET, &opened, "*/*", String::new()).await).await.0, 200);
    let began = Instant::now();
    let (status, told) = text(ask(&service, Method::GET, &opened, "*/*", String::new()).await).await;
    after(15 * SECOND, began.elapsed());
    assert_eq!(
        (status, records(&told)),
        (200, vec![json!({"error": "there was no handshake within 15 seconds"})])
    );
    assert_eq!(text(ask(&service, Method::GET, &opened, "*/*", String::new()).await).await.0, 204);
    assert_eq!(text(ask(&service, Method::GET, &path, "*/*", String::new()).await).await.0, 404);
    backroom.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_poll_waits_for_ninety_seconds_and_its_client_may_be_away_for_thirty() {
    let backroom = start().await;
    let service = init_service(App::new().configure(backroom.routes())).await;
    let path = place(&service).await;
    let poll = async || text(ask(&service, Method::GET, &path, "*/*", String::new()).await).await;
    assert_eq!(poll().await, (200, String::new()));
    ask(&service, Method::POST, &path, "*/*", record(&handshake())).await;
    assert_eq!(poll().await, (200, record(&json!({}))));
    for away in [Duration::ZERO, 29 * SECOND] {
        tokio::time::sleep(away).await; // sleep: on time that stands still
        let began = Instant::now();
        assert_eq!(poll().await, (200, String::new()), "no ping either");
        after(90 * SECOND, began.elapsed());
    }
    tokio::time::sleep(31 * SECOND).await; // sleep: on time that stands still
    let (status, told) = poll().await;
    assert!(status == 200 && told.contains("for 30 seconds"), "{status} {told}");
    assert_eq!(poll().await.0, 204);
    backroom.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_says_much_and_takes_nothing_is_told_no_more_than_there_is_room_for() {
    const CALLS: usize = 10_000;
    let backroom = start().await;
    let service = init_service(App::new().configure(backroom.routes())).await;
    let said = record(&call("1", "GetJob", "x")).repeat(CALLS);
    assert!(said.len() > 512 << 10, "{}", said.len());
    for takes in [true, false] {
        let path = place(&service).await;
        let poll = async || text(ask(&service, Method::GET, &path, "*/*", String::new()).await).await;
        assert_eq!(poll().await, (200, String::new()));
        ask(&service, Method::POST, &path, "*/*", record(&handshake())).await;
        assert_eq!(poll().await, (200, record(&json!({}))));
        let began = Instant::now();
        let saying = async {
            let answer = ask(&service, Method::POST, &path, "*/*", said.clone()).await;
            (answer.status().as_u16(), began.elapsed())
        };
        if takes {
            let taking = async {
                let mut answers = 0;
                while answers < CALLS {
                    let (status, told) = poll().await;
                    assert!(status == 200 && told.len() <= 16 << 10, "{status}, {} bytes", told.len());
                    answers += records(&told).len();
                }
                answers
            };
            let ((status, took), answers) = tokio::join!(saying, taking);
            assert_eq!((status, answers), (200, CALLS));
            after(Duration::ZERO, took);
            ask(&service, Method::DELETE, &path, "*/*", String::new()).await;
        } else {
            // It has to wait with what it says, until it is given up. Then it finds what there was room for.
            let (status, took) = saying.await;
            assert_eq!(status, 404);
            after(30 * SECOND, took);
            let (mut bytes, mut last) = (0, String::new());
            while let (200, told) = poll().await {
                bytes += told.len();
                last = told;
            }
            assert_eq!(records(&last).pop().unwrap()["type"], 7);
            let full = 64 << 10;
            assert!((full..full + 1_024).contains(&bytes), "{bytes}");
        }
    }
    backroom.stop().await;
}
