//! `examples/watch.html`, from another origin than the server's.

use crate::browser::{Browser, Pages};
use crate::process::Place;

#[tokio::test]
async fn a_page_submits_a_job_and_watches_it_to_its_end() {
    let pages = Pages::of("examples").await;
    let place = Place::new(&[&format!("server.cors_origins=[\"{}\"]", pages.origin)]);
    let server = place.start().await;
    let browser = Browser::start().await;

    browser.go(&format!("{}/watch.html?server={}&sleep=200ms", pages.origin, server.base)).await;
    browser.click("submit").await;
    assert_eq!(browser.text("state", "completed").await, "completed");
    let events = browser.text("events", "job.completed 100 %").await;
    assert!(events.contains("job.snapshot"), "{events}");
    assert_eq!(browser.text("problem", "").await, "");
}

#[tokio::test]
async fn a_page_of_an_origin_that_is_not_named_is_told_what_to_do() {
    let pages = Pages::of("examples").await;
    let place = Place::new(&[]);
    let server = place.start().await;
    let browser = Browser::start().await;

    browser.go(&format!("{}/watch.html?server={}", pages.origin, server.base)).await;
    browser.click("submit").await;
    browser.text("problem", "server.cors_origins").await;
    assert_eq!(
        server.count("completed").await + server.count("processing").await,
        0,
        "nothing was submitted"
    );
}
