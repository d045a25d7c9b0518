//! `GET /api/mail…`: mail that was captured instead of sent.

use actix_web::http::header;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};
use uuid::Uuid;

use super::api::Api;
use super::body;
use super::problem::Problem;
use super::problem_type::ProblemType;
use crate::mail::Captured;

/// Lists what was captured, newest first, without the texts.
pub(super) async fn list(api: Data<Api>) -> Result<HttpResponse, Problem> {
    let mails = api.mailer.captured().map(Captured::list).unwrap_or_default();
    let items: Vec<Value> = mails.iter().map(|mail| json!(mail.summary)).collect();
    Ok(HttpResponse::Ok().json(json!({ "items": items })))
}

/// Shows one mail, parsed.
pub(super) async fn show(request: HttpRequest, api: Data<Api>) -> Result<HttpResponse, Problem> {
    let mail = captured(&api)?.get(id(&request)?).ok_or_else(not_found)?;
    Ok(HttpResponse::Ok().json(&*mail))
}

/// Gives one mail as it would have gone out.
pub(super) async fn raw(request: HttpRequest, api: Data<Api>) -> Result<HttpResponse, Problem> {
    let raw = captured(&api)?.raw(id(&request)?).ok_or_else(not_found)?;
    Ok(HttpResponse::Ok()
        .content_type("message/rfc822")
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(raw))
}

/// Forgets all of it.
pub(super) async fn clear(
    request: HttpRequest,
    payload: Payload,
    api: Data<Api>,
) -> Result<HttpResponse, Problem> {
    body::discard(&request, payload, &api).await?;
    let deleted = api.mailer.captured().map_or(0, Captured::clear);
    Ok(HttpResponse::Ok().json(json!({ "deleted": deleted })))
}

fn captured(api: &Api) -> Result<&Captured, Problem> {
    api.mailer.captured().ok_or_else(|| {
        Problem::new(ProblemType::MailNotFound, "Mail is captured only with mail.transport = \"capture\".")
    })
}

fn id(request: &HttpRequest) -> Result<Uuid, Problem> {
    Uuid::parse_str(request.match_info().query("id")).map_err(|_| not_found())
}

fn not_found() -> Problem {
    Problem::new(ProblemType::MailNotFound, "No captured mail has this id; only the latest are kept.")
}
