//! The layer of the environment: which variables are ours, and which key each of them stands for.

use std::ffi::OsString;

use super::fault::{ConfigFault, Origin};
use super::set::nested;
use super::tree::Table;

const PREFIX: &str = "BACKROOM_";

/// Reads `BACKROOM_SECTION__KEY` as `section.key`.
///
/// Names with single underscores are not ours: client commands have theirs, and Kubernetes puts some into every container
/// beside a service named `backroom`. The others are warned about, because a forgotten underscore would else go unseen.
pub(super) fn layer(
    mut variables: Vec<(OsString, OsString)>,
    faults: &mut Vec<ConfigFault>,
    warnings: &mut Vec<String>,
) -> Table {
    // The environment has no order; with one, the same faults come out the same way.
    variables.sort();
    let mut layer = Table::new(Origin::Default);
    for (name, value) in variables {
        let Some(name) = name.to_str() else { continue };
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        if !rest.contains("__") {
            if !is_foreign(rest) {
                warnings.push(format!(
                    "{name} is ignored: a setting has a double underscore between section and key, as in \
                     BACKROOM_SERVER__BIND"
                ));
            }
            continue;
        }
        let origin = Origin::Environment(name.to_owned());
        let fault = |reason: &str| ConfigFault {
            origin: origin.clone(),
            key: String::new(),
            reason: reason.to_owned(),
        };
        let path: Vec<String> = rest.split("__").map(str::to_lowercase).collect();
        if path.iter().any(String::is_empty) {
            faults.push(fault("is not a key: write BACKROOM_SECTION__KEY"));
            continue;
        }
        match value.to_str() {
            Some(value) => layer.merge(nested(&path, value, &origin), &mut Vec::new(), faults),
            None => faults.push(fault("is not UTF-8")),
        }
    }
    layer
}

/// Whether the rest of a name without double underscore has a known owner.
fn is_foreign(rest: &str) -> bool {
    matches!(rest, "URL" | "TOKEN")
        || rest.starts_with("SERVICE_")
        || rest == "PORT"
        || rest.starts_with("PORT_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tree::{Leaf, Node};
    use crate::config::value::Value;

    fn read(variables: &[(&str, &str)]) -> (Table, Vec<ConfigFault>, Vec<String>) {
        let (mut faults, mut warnings) = (Vec::new(), Vec::new());
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let table = layer(variables, &mut faults, &mut warnings);
        (table, faults, warnings)
    }

    #[test]
    fn a_double_underscore_separates_and_a_single_one_does_not() {
        let (table, faults, warnings) = read(&[("BACKROOM_QUEUES__MAIL__ENQUEUE_WAIT", "2s")]);
        assert_eq!((faults, warnings), (vec![], vec![]));
        let mail = table.table("queues").unwrap().table("mail").unwrap();
        let origin = Origin::Environment("BACKROOM_QUEUES__MAIL__ENQUEUE_WAIT".into());
        assert_eq!(
            mail.entries["enqueue_wait"],
            Node::Leaf(Leaf { value: Value::Text("2s".into()), origin })
        );
    }

    #[test]
    fn what_belongs_to_others_is_passed_over_in_silence() {
        let (table, faults, warnings) = read(&[
            ("PATH", "/bin"),
            ("OTHER__KEY", "x"),
            ("backroom_log__level", "x"),
            ("BACKROOM_URL", "http://x"),
            ("BACKROOM_TOKEN", "x"),
            ("BACKROOM_SERVICE_HOST", "10.0.0.1"),
            ("BACKROOM_SERVICE_PORT_HTTP", "80"),
            ("BACKROOM_PORT", "tcp://10.0.0.1:80"),
            ("BACKROOM_PORT_80_TCP_ADDR", "10.0.0.1"),
        ]);
        assert!(table.entries.is_empty());
        assert_eq!((faults, warnings), (vec![], vec![]));
    }

    #[test]
    fn a_forgotten_underscore_is_warned_about() {
        let (table, faults, warnings) = read(&[("BACKROOM_SERVER_BIND", "x"), ("BACKROOM_PORTAL", "x")]);
        assert!(table.entries.is_empty());
        assert_eq!(faults, []);
        assert_eq!(warnings.len(), 2);
        assert!(warnings[1].starts_with("BACKROOM_SERVER_BIND is ignored: "), "{warnings:?}");
    }

    #[test]
    fn an_empty_part_is_a_fault() {
        for name in ["BACKROOM_SERVER__", "BACKROOM___BIND", "BACKROOM_A____B"] {
            let (_, faults, _) = read(&[(name, "x")]);
            assert_eq!(faults.len(), 1, "{name}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_value_must_be_text() {
        use std::os::unix::ffi::OsStringExt as _;
        let bytes = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        let (mut faults, mut warnings) = (Vec::new(), Vec::new());
        let ours = ("BACKROOM_LOG__LEVEL".into(), bytes(b"\xff"));
        let others = [("PATH".into(), bytes(b"\xff")), (bytes(b"\xff"), "x".into())];
        layer([ours].into_iter().chain(others).collect(), &mut faults, &mut warnings);
        let shown: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["BACKROOM_LOG__LEVEL: is not UTF-8"]);
    }
}
