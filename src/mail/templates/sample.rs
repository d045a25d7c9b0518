//! Data to try templates with.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectRepr};
use minijinja::{ErrorKind, Value};
use serde_json::{Value as Json, json};

use super::data::{variables, with_stand_ins};
use super::render::{RenderError, Rendered, Templates};

/// Stands where data is missing: shows as a text, has every member, and holds itself once when it is walked over.
#[derive(Debug)]
pub(super) struct StandIn(String);

/// A stand-in for the variable at `path`.
pub(super) fn stand_in(path: &str) -> StandIn {
    StandIn(text(path))
}

impl Object for StandIn {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(Value::from_object(stand_in(&key.to_string())))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(vec![Value::from_object(Self(self.0.clone()))])
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that looks like what the name of a variable promises.
fn text(path: &str) -> String {
    let name = path.rsplit('.').next().unwrap_or_default();
    match name {
        _ if super::links::is_link_name(name) => "https://example.com/sample".to_owned(),
        "name" => "Ada Lovelace".to_owned(),
        "email" => "ada@example.com".to_owned(),
        _ if name.ends_with("_at") => "2026-11-20T16:50:00.123Z".to_owned(),
        _ => name.replace('_', " "),
    }
}

/// What the built-in templates are tried with.
fn sample(name: &str) -> Json {
    match name {
        "welcome" => json!({"name": "Ada Lovelace", "action_url": "https://example.com/start"}),
        "password_reset" => json!({
            "name": "Ada Lovelace",
            "reset_url": "https://example.com/reset?token=3f9c2b7e51d84a0c9e6f",
            "expires_in": "30 minutes",
        }),
        "job_finished" => json!({
            "job": {
                "id": "019a9f2e-7c3b-7d10-9c1f-0d6f0b0e4a55",
                "kind": "report.render",
                "queue": "reports",
                "state": "dead_lettered",
                "attempt": 8,
                "max_attempts": 8,
                "finished_at": "2026-11-20T16:50:00.123Z",
                "error": {"code": "smtp-550", "message": "550 5.1.1 no such user here", "retryable": false},
            },
            "job_url": "https://example.com/dashboard/jobs/019a9f2e-7c3b-7d10-9c1f-0d6f0b0e4a55",
        }),
        _ => json!({}),
    }
}

impl Templates {
    /// Renders every template in every locale that it has files for: with its `NAME.sample.json`, else with the sample of
    /// the shipped template of this name, else with data that is made up. What is made up does not fit every template (a text where a number belongs); then there is `None`, unless the
    /// template is wrong whatever the data.
    ///
    /// # Errors
    ///
    /// Does not fail as a whole: each template has its own result, as `(name, locale, result)`.
    #[expect(clippy::type_complexity, reason = "a list of lines, read once")]
    pub fn render_samples(&self) -> Vec<(String, Option<String>, Result<Option<Rendered>, RenderError>)> {
        let mut all = Vec::new();
        for name in self.names() {
            let locales = self.locales(name).into_iter().map(Some);
            for locale in std::iter::once(None).chain(locales) {
                all.push((name.to_owned(), locale.map(str::to_owned), self.render_sample(name, locale)));
            }
        }
        all
    }

    fn render_sample(&self, name: &str, locale: Option<&str>) -> Result<Option<Rendered>, RenderError> {
        if let Some(sample) = self.samples.get(name) {
            return self.render(name, locale, sample).map(Some);
        }
        let data = sample(name);
        // A file that replaces one of ours is given what callers give to ours: a variable that it misspells is found here,
        // and not by every caller. One that wants other data says so by a sample of its own.
        if data.as_object().is_some_and(|members| !members.is_empty()) {
            return self.render(name, locale, &data).map(Some);
        }
        let stand_ins = self.candidates(name, locale, &data);
        let variables = variables(&data);
        let render = |make: &dyn Fn(&str) -> Value| {
            self.render_with(name, locale, with_stand_ins(&variables, &stand_ins, make))
        };
        if let Ok(rendered) = render(&|path| Value::from(text(path))) {
            return Ok(Some(rendered));
        }
        match render(&|path| Value::from_object(stand_in(path))) {
            Ok(rendered) => Ok(Some(rendered)),
            Err(error) if is_wrong_always(&error) => Err(error),
            Err(_) => Ok(render(&|_| Value::from(3)).ok()),
        }
    }
}

/// Whether no data could help. A stand-in has every member: what it is undefined in, is undefined.
fn is_wrong_always(error: &RenderError) -> bool {
    use ErrorKind::{
        BadInclude, SyntaxError, TemplateNotFound, UndefinedError, UnknownBlock, UnknownFilter,
        UnknownFunction, UnknownTest,
    };
    match error {
        RenderError::Failed { kind, .. } => matches!(
            kind,
            SyntaxError
                | TemplateNotFound
                | BadInclude
                | UndefinedError
                | UnknownBlock
                | UnknownFilter
                | UnknownFunction
                | UnknownTest
        ),
        RenderError::Unknown => true,
        RenderError::TooLarge { .. } => false,
    }
}
