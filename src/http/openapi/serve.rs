//! `GET /openapi.json` and `GET /docs`.

use std::sync::OnceLock;

use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};

use super::document::{Described, openapi};
use super::page::{html, security_policy};
use crate::http::conditional;

/// The description as it is sent: made when somebody asks for it the first time, for all threads.
#[derive(Default)]
pub(in crate::http) struct Texts {
    json: OnceLock<Text>,
    page: OnceLock<Text>,
}

struct Text {
    bytes: Bytes,
    tag: HeaderValue,
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self { tag: conditional::tag(text.as_bytes()), bytes: text.into() }
    }
}

/// The description, for programs.
pub(in crate::http) async fn show(request: HttpRequest, texts: Data<Texts>) -> HttpResponse {
    answer(&request, texts.json.get_or_init(|| openapi().into()), "application/json")
}

/// The description, for people.
pub(in crate::http) async fn page(request: HttpRequest, texts: Data<Texts>) -> HttpResponse {
    let page = texts.page.get_or_init(|| html(&Described::new().value()).into());
    let mut response = answer(&request, page, "text/html; charset=utf-8");
    if let Ok(policy) = HeaderValue::try_from(security_policy()) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn answer(request: &HttpRequest, text: &Text, media_type: &'static str) -> HttpResponse {
    let mut response = if conditional::is_known(request, &text.tag) {
        HttpResponse::NotModified().finish()
    } else {
        HttpResponse::Ok().content_type(media_type).body(text.bytes.clone())
    };
    response.headers_mut().insert(header::ETAG, text.tag.clone());
    // It changes with the version only; whoever has it asks whether it is still the same.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
