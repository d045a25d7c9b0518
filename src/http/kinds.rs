//! `GET /api/kinds`.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde_json::{Value, json};

use super::api::Api;
use crate::handler::{Registered, Schema};
use crate::job::{Backoff, Jitter, format_duration};

/// Shows every kind of which jobs can be submitted, by name.
pub(super) async fn list(api: Data<Api>) -> HttpResponse {
    let registry = api.jobs.registry();
    let items: Vec<Value> = registry
        .names_of_users()
        .into_iter()
        .filter_map(|name| registry.get(name.as_str()))
        .map(|kind| view(kind))
        .collect();
    HttpResponse::Ok().json(json!({ "items": items }))
}

fn view(kind: &Registered) -> Value {
    let (settings, about) = (&kind.settings, &kind.about);
    let mut retry = match &settings.retry.backoff {
        Backoff::Exponential { initial, factor, max, jitter } => json!({
            "initial": format_duration(*initial),
            "factor": factor,
            "max": format_duration(*max),
            "jitter": match jitter { Jitter::Full => "full", Jitter::None => "none" },
        }),
        Backoff::Delays(delays) => {
            json!({"delays": delays.iter().map(|delay| format_duration(*delay)).collect::<Vec<_>>()})
        }
    };
    retry["profile"] = settings.retry_profile.as_str().into();
    json!({
        "name": kind.kind,
        "description": about.description,
        "queue": settings.queue,
        "timeout": format_duration(settings.timeout),
        "cancel_grace": format_duration(settings.cancel_grace),
        "max_attempts": settings.retry.max_attempts,
        "retry": retry,
        "sensitive": settings.sensitive,
        "unique_by": settings.unique_by.pointers,
        "unique_for": format_duration(settings.unique_by.window),
        "schema": about.schema.as_ref().map(Schema::document),
        "example": about.example,
    })
}
