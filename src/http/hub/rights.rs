//! What the caller behind a connection may do.

use actix_web::{HttpMessage as _, HttpRequest};

use super::super::auth::{Granted, Needs, lacking};
use super::super::caller::Caller;
use super::super::guard::Guard;
use super::super::problem::Problem;

/// The token with which a connection was asked for, as far as anybody is asked for one.
#[derive(Clone, Debug)]
pub(super) struct Rights {
    asked: bool,
    granted: Option<Granted>,
}

impl Rights {
    /// Those of a request, which the door has let in.
    pub(super) fn of(request: &HttpRequest, guard: &Guard) -> Self {
        Self { asked: guard.asks(), granted: request.extensions().get::<Granted>().cloned() }
    }

    /// Whose connection it is: nobody else can use it, even who knows its name.
    pub(super) fn caller(&self) -> Caller {
        self.granted.as_ref().map(|granted| granted.caller().clone()).unwrap_or_default()
    }

    /// Refuses what an HTTP request with this token would be refused.
    pub(super) fn check(&self, needs: Needs) -> Result<(), Problem> {
        let allows = !self.asked || self.granted.as_ref().is_some_and(|granted| granted.allows(needs));
        if allows { Ok(()) } else { Err(lacking(needs)) }
    }
}
