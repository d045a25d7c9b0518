//! Backroom inside an actix-web application of one's own: its routes beside the app's, one port, one process.
//!
//! ```sh
//! cargo run --example embedded
//! ```

use std::net::TcpListener;

use actix_web::web::{self, Data};
use actix_web::{App, HttpResponse, HttpServer};
use backroom::config::Config;
use backroom::job::NewJob;
use backroom::jobs::Jobs;
use backroom::kinds::Email;
use backroom::server::Backroom;
use tokio_util::sync::CancellationToken;

/// A route of the app: it answers at once, and the mail goes out behind its back.
async fn sign_up(name: web::Path<String>, jobs: Data<Jobs>) -> HttpResponse {
    let data = serde_json::json!({ "name": *name });
    let email = Email::from_template(&format!("{name}@example.com"), "welcome", &data);
    let Ok(job) = NewJob::new("email", &email) else {
        return HttpResponse::InternalServerError().finish();
    };
    match jobs.submit(job).await {
        Ok(job) => HttpResponse::Created().json(serde_json::json!({
            "name": *name,
            "welcome_mail": format!("/api/jobs/{}", job.id()),
        })),
        // Full or stopping: what the app does without its mail is for the app to say.
        Err(error) => HttpResponse::ServiceUnavailable().body(error.to_string()),
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut config = Config::default();
    config.shutdown.spill_file = None;
    // `server.*` is not looked at: the app listens.
    let backroom = Backroom::builder(config).start().await?;

    let listener = TcpListener::bind("127.0.0.1:0")?;
    let base = format!("http://{}", listener.local_addr()?);
    let (jobs, routes) = (Data::new(backroom.jobs().clone()), backroom.routes());
    let server = HttpServer::new(move || {
        App::new()
            .app_data(jobs.clone())
            .route("/sign-up/{name}", web::post().to(sign_up))
            // Last: it answers every path that is left, with a problem where there is nothing.
            .configure(routes.clone())
    })
    .workers(1)
    // The app decides when to stop: Backroom must be drained before its connections are closed.
    .disable_signals()
    .listen(listener)?
    .run();
    let handle = server.handle();
    let serving = tokio::spawn(server);

    // What a client sees: the answer of the app, and then how the mail went.
    let client = reqwest::Client::builder().no_proxy().build()?;
    let answer = client.post(format!("{base}/sign-up/ada")).send().await?.error_for_status()?;
    let answer: serde_json::Value = answer.json().await?;
    println!("POST /sign-up/ada   {answer}");
    let url = answer["welcome_mail"].as_str().unwrap_or_default();
    let job = client.get(format!("{base}{url}")).header("prefer", "wait=10").send().await?;
    let job: serde_json::Value = job.error_for_status()?.json().await?;
    println!("GET {url}   {}", job["state"]);
    anyhow::ensure!(job["state"] == "completed", "the mail did not go out: {job}");

    // In an app: after SIGTERM. Drain first, and HTTP answers meanwhile; then close.
    let report = backroom.drain(&CancellationToken::new()).await;
    report.log();
    backroom.close();
    handle.stop(true).await;
    serving.await??;
    anyhow::ensure!(report.lost.is_empty(), "jobs were lost: {:?}", report.lost);
    Ok(())
}
