//! From the name of a kind to the code that runs it. Built once, before the server starts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::value::RawValue;

use super::schema::Schema;
use super::{About, Context, Failure, Handler, Outcome, Payload, UniqueBy};
use crate::job::{Fault, KindName, NameError, QueueName, RetryPolicy};

/// What holds for the jobs of one kind unless a job says otherwise.
#[derive(Clone, PartialEq, Debug)]
pub struct KindSettings {
    /// Where they wait.
    pub queue: QueueName,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// How often they are tried and how long they rest.
    pub retry: RetryPolicy,
    /// What that is called in the configuration.
    pub retry_profile: String,
    /// How long an attempt that was told to stop may take to do so.
    pub cancel_grace: Duration,
    /// Members of the payload that are never shown, beside those that never are.
    pub sensitive: Vec<String>,
    /// By what in their payloads they are known as the same work.
    pub unique_by: UniqueBy,
}

/// Every kind that this server runs.
#[derive(Default)]
pub struct Registry(HashMap<KindName, Arc<Registered>, foldhash::fast::RandomState>);

/// A kind with its code and its settings.
pub struct Registered {
    /// Its name.
    pub kind: KindName,
    /// What holds for its jobs.
    pub settings: KindSettings,
    /// What is told about it.
    pub about: About,
    /// Whether the server alone makes jobs of it.
    pub internal: bool,
    handler: Box<dyn ErasedHandler>,
}

/// Why a kind could not be registered.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The name breaks the rule for names.
    #[error("{name:?} is not a kind")]
    Name {
        /// The name.
        name: String,
        /// The rule.
        source: NameError,
    },
    /// There is such a kind already.
    #[error("the kind {0:?} is registered twice")]
    Duplicate(KindName),
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a handler under the kind of its input.
    ///
    /// # Errors
    ///
    /// When the name is not one, or taken.
    pub fn register<H: Handler>(&mut self, handler: H, settings: KindSettings) -> Result<(), RegistryError> {
        self.register_as(<H::Input as Payload>::KIND, handler, settings)
    }

    /// Adds a handler under a name of its own: one handler type can serve many kinds, as those of the configuration.
    ///
    /// # Errors
    ///
    /// When the name is not one, or taken.
    pub fn register_as<H: Handler>(
        &mut self,
        name: &str,
        handler: H,
        settings: KindSettings,
    ) -> Result<(), RegistryError> {
        self.add(name, handler, settings, false)
    }

    /// Adds a handler for jobs that the server makes itself, and nobody else may.
    ///
    /// # Errors
    ///
    /// When the name is not one, or taken.
    pub fn register_internal<H: Handler>(
        &mut self,
        handler: H,
        settings: KindSettings,
    ) -> Result<(), RegistryError> {
        self.add(<H::Input as Payload>::KIND, handler, settings, true)
    }

    fn add<H: Handler>(
        &mut self,
        name: &str,
        handler: H,
        mut settings: KindSettings,
        internal: bool,
    ) -> Result<(), RegistryError> {
        let kind =
            KindName::new(name).map_err(|source| RegistryError::Name { name: name.to_owned(), source })?;
        if self.0.contains_key(&kind) {
            return Err(RegistryError::Duplicate(kind));
        }
        let about = handler.about();
        // What the schema marks is hidden like what the configuration lists.
        settings.sensitive.extend(about.schema.iter().flat_map(Schema::sensitive));
        let registered =
            Registered { kind: kind.clone(), settings, about, internal, handler: Box::new(handler) };
        self.0.insert(kind, Arc::new(registered));
        Ok(())
    }

    /// The kind of this name.
    pub fn get(&self, kind: &str) -> Option<&Arc<Registered>> {
        self.0.get(kind)
    }

    /// The names of all kinds, sorted.
    pub fn names(&self) -> Vec<&KindName> {
        let mut names: Vec<_> = self.0.keys().collect();
        names.sort();
        names
    }

    /// The names of the kinds of which users can make jobs, sorted.
    pub fn names_of_users(&self) -> Vec<&KindName> {
        let mut names = self.names();
        names.retain(|name| self.get(name.as_str()).is_some_and(|registered| !registered.internal));
        names
    }

    /// Every kind, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Registered>> {
        self.0.values()
    }
}

impl Registered {
    /// What is wrong with a payload, with pointers relative to it.
    pub fn check(&self, payload: &RawValue) -> Vec<Fault> {
        let mut faults = self.about.schema.as_ref().map(|schema| schema.check(payload)).unwrap_or_default();
        let more = self.handler.check(payload);
        // One member, one fault: the schema has spoken.
        faults.extend(
            more.into_iter()
                .filter(|fault| !faults.iter().any(|known| known.pointer == fault.pointer))
                .collect::<Vec<_>>(),
        );
        faults
    }

    /// Runs the handler once.
    pub fn run<'a>(
        &'a self,
        payload: &'a RawValue,
        cx: &'a Context,
    ) -> BoxFuture<'a, Result<Outcome, Failure>> {
        self.handler.run(payload, cx)
    }
}

/// A handler without its types.
trait ErasedHandler: Send + Sync {
    fn check(&self, payload: &RawValue) -> Vec<Fault>;
    fn run<'a>(&'a self, payload: &'a RawValue, cx: &'a Context) -> BoxFuture<'a, Result<Outcome, Failure>>;
}

impl<H: Handler> ErasedHandler for H {
    fn check(&self, payload: &RawValue) -> Vec<Fault> {
        match decode::<H::Input>(payload) {
            Ok(input) => Handler::check(self, &input),
            Err(fault) => vec![fault],
        }
    }

    fn run<'a>(&'a self, payload: &'a RawValue, cx: &'a Context) -> BoxFuture<'a, Result<Outcome, Failure>> {
        async move {
            let input = decode::<H::Input>(payload).map_err(|fault| Failure::invalid_payload(&[fault]))?;
            Handler::run(self, input, cx).await
        }
        .boxed()
    }
}

/// Decodes a payload; the fault says where and why it could not be, without repeating a value.
fn decode<T: Payload>(payload: &RawValue) -> Result<T, Fault> {
    // The plain parse first: naming the place costs twice as much and is only needed when it fails.
    T::decode(payload).or_else(|_| {
        let mut deserializer = serde_json::Deserializer::from_str(payload.get());
        serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
            let mut pointer = String::new();
            for segment in error.path() {
                use serde_path_to_error::Segment;
                match segment {
                    Segment::Seq { index } => {
                        pointer.push('/');
                        pointer.push_str(&index.to_string());
                    }
                    Segment::Map { key } | Segment::Enum { variant: key } => {
                        pointer.push('/');
                        pointer.push_str(&Fault::escape(key));
                    }
                    Segment::Unknown => {}
                }
            }
            let detail = explain(&error.into_inner());
            // A missing member is pointed at where it would be.
            if let Some(member) =
                detail.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'))
            {
                return Fault::new(format!("{pointer}/{}", Fault::escape(member)), "is required");
            }
            Fault::new(pointer, detail)
        })
    })
}

/// The message of a decoding error, without the place in the text and without the value.
fn explain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
    // "invalid type: string \"secret\", expected u32": what was expected is enough.
    match text.rsplit_once(", expected ") {
        Some((found, expected)) if found.starts_with("invalid ") => format!("must be {expected}"),
        // "unknown variant `secret`, expected `good` or `bad`", and with a single variant without the second half.
        Some((found, expected)) if found.starts_with("unknown variant ") => format!("must be {expected}"),
        _ if text.starts_with("unknown variant ") => {
            "is not one of the values that are known here".to_owned()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Backoff;
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    struct Input {
        to: String,
        inner: Option<Inner>,
    }

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        width: u8,
    }

    impl Payload for Input {
        const KIND: &'static str = "thing";
    }

    struct Thing;

    impl Handler for Thing {
        type Input = Input;

        fn check(&self, input: &Input) -> Vec<Fault> {
            if input.to.is_empty() { vec![Fault::new("/to", "must not be empty")] } else { Vec::new() }
        }

        async fn run(&self, input: Input, _: &Context) -> Result<Outcome, Failure> {
            Ok(Outcome::json(&input.to)?)
        }
    }

    fn settings() -> KindSettings {
        KindSettings {
            queue: QueueName::new("default").unwrap(),
            timeout: Duration::from_secs(1),
            retry: RetryPolicy { max_attempts: 1, backoff: Backoff::Delays(vec![]) },
            cancel_grace: Duration::from_secs(1),
            sensitive: Vec::new(),
            retry_profile: "standard".into(),
            unique_by: UniqueBy::default(),
        }
    }

    #[test]
    fn a_kind_is_registered_once() {
        let mut registry = Registry::new();
        registry.register(Thing, settings()).unwrap();
        assert!(matches!(registry.register(Thing, settings()), Err(RegistryError::Duplicate(_))));
        assert!(registry.get("thing").is_some());
        assert!(registry.get("other").is_none());
    }

    #[test]
    fn faults_point_at_the_member_and_keep_the_value_secret() {
        let mut registry = Registry::new();
        registry.register(Thing, settings()).unwrap();
        let check = |json: &str| {
            let faults =
                registry.get("thing").unwrap().check(&RawValue::from_string(json.to_owned()).unwrap());
            faults.into_iter().map(|f| (f.pointer, f.detail)).collect::<Vec<_>>()
        };
        let one = |pointer: &str, detail: &str| vec![(pointer.to_owned(), detail.to_owned())];
        assert_eq!(check(r#"{"to":"a"}"#), vec![]);
        assert_eq!(check(r#"{"to":""}"#), one("/to", "must not be empty"));
        assert_eq!(check(r#"{"to":5}"#), one("/to", "must be a string"));
        assert_eq!(check("{}"), one("/to", "is required"));
        assert_eq!(check(r#"{"to":"a","inner":{"width":"s3cret"}}"#), one("/inner/width", "must be u8"));
        assert_eq!(check(r#"{"to":"a","inner":{}}"#), one("/inner/width", "is required"));
        let unknown = check(r#"{"to":"a","inner":{"width":1,"x/y":2}}"#);
        assert_eq!(unknown[0].0, "/inner/x~1y");
    }
}
