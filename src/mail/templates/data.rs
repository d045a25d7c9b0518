//! From the JSON of a caller to what templates see.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::Value;
use serde_json::Value as Json;

/// Members of the data that are not there and that a stand-in takes the place of: paths like `job.error.code`.
pub(super) type StandIns = BTreeSet<String>;

/// What a template sees of `data`: members that are `null` are not there, members in `stand_ins` are.
pub(super) fn context(
    data: &Json,
    stand_ins: &StandIns,
    make: &dyn Fn(&str) -> Value,
) -> BTreeMap<String, Value> {
    members(Some(data), "", stand_ins, make)
}

fn members(
    data: Option<&Json>,
    path: &str,
    stand_ins: &StandIns,
    make: &dyn Fn(&str) -> Value,
) -> BTreeMap<String, Value> {
    let map = data.and_then(Json::as_object);
    let below = |name: &str| {
        if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        }
    };
    let mut found = BTreeMap::new();
    for (name, value) in map.into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        let value = match value {
            Json::Object(_) => Value::from(members(Some(value), &below(name), stand_ins, make)),
            other => plain(other),
        };
        found.insert(name.clone(), value);
    }
    let prefix = if path.is_empty() {
        String::new()
    } else {
        format!("{path}.")
    };
    for rest in stand_ins
        .iter()
        .filter_map(|stand_in| stand_in.strip_prefix(&prefix))
    {
        let (name, deeper) = rest
            .split_once('.')
            .map_or((rest, false), |(name, _)| (name, true));
        if !found.contains_key(name) {
            let path = below(name);
            let value = if deeper {
                members(None, &path, stand_ins, make).into()
            } else {
                make(&path)
            };
            found.insert(name.to_owned(), value);
        }
    }
    found
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
            Value::from(
                members
                    .map(|(name, value)| (name.clone(), plain(value)))
                    .collect::<BTreeMap<_, _>>(),
            )
        }
    }
}

/// What stands at a path like `job.error.code`; `null` is nothing.
pub(super) fn at_path<'a>(data: &'a Json, path: &str) -> Option<&'a Json> {
    path.split('.')
        .try_fold(data, |value, name| value.get(name))
        .filter(|value| !value.is_null())
}

/// The JSON pointer of a path like `job.error.code`.
pub(super) fn pointer(path: &str) -> String {
    path.split('.').fold(String::new(), |pointer, name| {
        pointer + "/" + &crate::job::Fault::escape(name)
    })
}

/// Calls `visit` with the pointer, the name and the text of every text in `data`.
pub(super) fn texts(data: &Json, at: &str, name: &str, visit: &mut dyn FnMut(&str, &str, &str)) {
    match data {
        Json::String(text) => visit(at, name, text),
        Json::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(n, item)| texts(item, &format!("{at}/{n}"), name, visit));
        }
        Json::Object(map) => {
            for (name, value) in map {
                texts(
                    value,
                    &format!("{at}/{}", crate::job::Fault::escape(name)),
                    name,
                    visit,
                );
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}
