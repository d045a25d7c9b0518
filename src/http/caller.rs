//! Who sends a request.

use std::sync::Arc;

use actix_web::{HttpMessage as _, HttpRequest};

use super::auth::Granted;

/// The name of the token that came with a request; empty when none was needed.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Caller(Arc<str>);

impl Caller {
    pub(super) fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// Who sent this request.
    pub(super) fn of(request: &HttpRequest) -> Self {
        request.extensions().get::<Granted>().map(|granted| granted.caller().clone()).unwrap_or_default()
    }

    /// Its name, which tells it from others.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::http::auth::{Role, Tokens};

    #[test]
    fn a_request_without_a_token_has_no_name() {
        assert_eq!(Caller::of(&TestRequest::default().to_http_request()), Caller::default());
        assert_eq!(Caller::default(), Caller::new(""));
    }

    #[test]
    fn a_token_gives_its_name() {
        let tokens = Tokens::new([7; 32], [("shop", "0123456789abcdef", &[Role::Read][..])]);
        let request = TestRequest::default().insert_header(("authorization", "Bearer 0123456789abcdef"));
        let request = request.to_http_request();
        tokens.recognize(&request).unwrap();
        assert_eq!(Caller::of(&request), Caller::new("shop"));
    }
}
