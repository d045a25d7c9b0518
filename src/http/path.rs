//! A path with its methods, each of which says what it asks of its callers.

use actix_web::dev::{AppService, HttpServiceFactory};
use actix_web::guard::fn_guard;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{self, Data, Payload};
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder};

use super::api::Api;
use super::auth::{Granted, Needs, refusal};
use super::body;
use super::guard::Guard;
use super::problem::Problem;
use super::problem_type::ProblemType;
use super::watch::Route;

/// The one way to mount a path; there is none without saying what it needs. `tests/layers.rs` refuses every other one.
///
/// A caller who may not use a method does not get to its handler, nor to what the handler takes from the request: the
/// route is not found, and what is left over is refused.
pub(super) struct Path {
    template: &'static str,
    resource: Resource,
    /// Whether callers are asked for a token.
    asked: bool,
    methods: Vec<(&'static str, Needs)>,
}

impl Path {
    pub(super) fn new(path: &'static str, guard: &Guard, route: Route) -> Self {
        Self {
            template: path,
            resource: web::resource(path).app_data(route),
            asked: guard.asks(),
            methods: Vec::new(),
        }
    }

    /// As it is mounted: `/api/jobs/{id}`.
    pub(super) fn template(&self) -> &'static str {
        self.template
    }

    /// Its methods, and what each of them needs.
    pub(super) fn methods(&self) -> impl Iterator<Item = (&'static str, Needs)> + '_ {
        self.methods.iter().copied()
    }

    /// `GET`, and `HEAD` wherever `GET`.
    pub(super) fn read<H, A>(self, needs: Needs, handler: H) -> Self
    where
        H: Handler<A>,
        A: FromRequest + 'static,
        H::Output: Responder + 'static,
    {
        self.on(&["GET", "HEAD"], needs, handler)
    }

    /// `POST`.
    pub(super) fn post<H, A>(self, needs: Needs, handler: H) -> Self
    where
        H: Handler<A>,
        A: FromRequest + 'static,
        H::Output: Responder + 'static,
    {
        self.on(&["POST"], needs, handler)
    }

    /// `PATCH`.
    pub(super) fn patch<H, A>(self, needs: Needs, handler: H) -> Self
    where
        H: Handler<A>,
        A: FromRequest + 'static,
        H::Output: Responder + 'static,
    {
        self.on(&["PATCH"], needs, handler)
    }

    /// `DELETE`.
    pub(super) fn delete<H, A>(self, needs: Needs, handler: H) -> Self
    where
        H: Handler<A>,
        A: FromRequest + 'static,
        H::Output: Responder + 'static,
    {
        self.on(&["DELETE"], needs, handler)
    }

    /// Methods with the same handler.
    pub(super) fn on<H, A>(mut self, methods: &'static [&'static str], needs: Needs, handler: H) -> Self
    where
        H: Handler<A>,
        A: FromRequest + 'static,
        H::Output: Responder + 'static,
    {
        self.methods.extend(methods.iter().map(|method| (*method, needs)));
        let mut route =
            web::route().guard(fn_guard(move |context| methods.contains(&context.head().method.as_str())));
        if self.asked && needs != Needs::Nothing {
            route = route.guard(fn_guard(move |context| {
                context.req_data().get::<Granted>().is_some_and(|granted| granted.allows(needs))
            }));
        }
        self.resource = self.resource.route(route.to(handler));
        self
    }
}

/// Paths, to be mounted or to be looked at.
#[derive(Default)]
pub(super) struct Paths(Vec<Path>);

impl Paths {
    /// Adds one.
    pub(super) fn service(mut self, path: Path) -> Self {
        self.0.push(path);
        self
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Path> {
        self.0.iter()
    }
}

impl IntoIterator for Paths {
    type Item = Path;
    type IntoIter = std::vec::IntoIter<Path>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl HttpServiceFactory for Path {
    fn register(self, config: &mut AppService) {
        let Self { resource, methods, .. } = self;
        let allow = methods.iter().map(|(method, _)| *method).collect::<Vec<_>>().join(", ");
        let refuse = move |request: HttpRequest, payload: Payload, api: Data<Api>| {
            let method = request.method().as_str();
            let needs = methods.iter().find(|(known, _)| *known == method).map(|(_, needs)| *needs);
            let allow = allow.clone();
            async move {
                body::discard(&request, payload, &api).await?;
                Err::<HttpResponse, _>(match needs {
                    Some(needs) => refusal(&request, needs),
                    None => not_allowed(&request, &allow),
                })
            }
        };
        resource.default_service(web::route().to(refuse)).register(config);
    }
}

/// Every other method is refused with those that the path knows in `Allow` (RFC 9110 §15.5.6).
fn not_allowed(request: &HttpRequest, allow: &str) -> Problem {
    let detail = format!("{} is not among the methods of this path: {allow}.", request.method());
    let problem = Problem::new(ProblemType::MethodNotAllowed, detail).with("allow", allow);
    match HeaderValue::from_str(allow) {
        Ok(allow) => problem.header(header::ALLOW, allow),
        Err(_) => problem,
    }
}
