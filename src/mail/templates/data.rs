//! From the JSON of a caller to what templates see.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::Value;
use minijinja::value::ValueKind;
use serde_json::Value as Json;

/// Members of the data that are not there and that a stand-in takes the place of: paths like `job.error.code`.
pub(super) type StandIns = BTreeSet<String>;

/// What a template sees: cheap to clone, for the values are shared.
pub(super) type Variables = BTreeMap<String, Value>;

/// What a template sees of `data`: members that are `null` are not there.
pub(super) fn variables(data: &Json) -> Variables {
    let members = data.as_object().into_iter().flatten();
    members.filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.clone(), plain(value))).collect()
}

/// The same, with what `make` makes where a member of `stand_ins` is missing.
pub(super) fn with_stand_ins(
    variables: &Variables,
    stand_ins: &StandIns,
    make: &dyn Fn(&str) -> Value,
) -> Variables {
    let mut variables = variables.clone();
    for path in stand_ins {
        stand_in(&mut variables, path, 0, make);
    }
    variables
}

/// Puts in what stands at `path`, of which the first `done` bytes lead here.
fn stand_in(variables: &mut Variables, path: &str, done: usize, make: &dyn Fn(&str) -> Value) {
    let Some((name, _)) = path[done..].split_once('.') else {
        variables.entry(path[done..].to_owned()).or_insert_with(|| make(path));
        return;
    };
    let inner = variables.get(name);
    if inner.is_some_and(|inner| inner.kind() != ValueKind::Map) {
        return;
    }
    let mut members: Variables = inner
        .and_then(|inner| Some((inner, inner.try_iter().ok()?)))
        .into_iter()
        .flat_map(|(inner, names)| {
            names.filter_map(|key| Some((key.as_str()?.to_owned(), inner.get_item(&key).ok()?)))
        })
        .collect();
    stand_in(&mut members, path, done + name.len() + 1, make);
    variables.insert(name.to_owned(), members.into());
}

fn plain(value: &Json) -> Value {
    match value {
        Json::Null => Value::from(()),
        Json::Bool(value) => Value::from(*value),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::from(number),
            (None, Some(number)) => Value::from(number),
            (None, None) => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::from(items.iter().map(plain).collect::<Vec<_>>()),
        Json::Object(map) => {
            let members = map.iter().filter(|(_, value)| !value.is_null());
            Value::from(members.map(|(name, value)| (name.clone(), plain(value))).collect::<BTreeMap<_, _>>())
        }
    }
}

/// What stands at a path like `job.error.code`; `null` is nothing.
pub(super) fn at_path<'a>(data: &'a Json, path: &str) -> Option<&'a Json> {
    path.split('.').try_fold(data, |value, name| value.get(name)).filter(|value| !value.is_null())
}

/// The JSON pointer of a path like `job.error.code`.
pub(super) fn pointer(path: &str) -> String {
    path.split('.').fold(String::new(), |pointer, name| pointer + "/" + &crate::job::Fault::escape(name))
}

/// Calls `visit` with the pointer, the name and the text of every text in `data`.
pub(super) fn texts(data: &Json, at: &str, name: &str, visit: &mut dyn FnMut(&str, &str, &str)) {
    match data {
        Json::String(text) => visit(at, name, text),
        Json::Array(items) => {
            items.iter().enumerate().for_each(|(n, item)| texts(item, &format!("{at}/{n}"), name, visit));
        }
        Json::Object(map) => {
            for (name, value) in map {
                texts(value, &format!("{at}/{}", crate::job::Fault::escape(name)), name, visit);
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}
