//! Who calls.

use std::sync::Arc;

use actix_web::{HttpMessage as _, HttpRequest};

/// Who calls, as far as it matters whose idempotency keys are whose. Without tokens all callers are one.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Caller(Arc<str>);

impl Caller {
    /// Who sent a request: whoever the guard has found it to be.
    pub(super) fn of(request: &HttpRequest) -> Self {
        request.extensions().get::<Self>().cloned().unwrap_or_default()
    }

    /// Its name, which tells it from others.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}
