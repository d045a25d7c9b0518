//! Time zones by their names.

use jiff::tz::{TimeZone, TimeZoneDatabase, db};

use crate::job::nearest;

/// Finds a time zone of the IANA database, and how it is written there.
///
/// The database of the system comes first, because it is kept up to date; where it has none, or not this zone, the one
/// that is built in follows.
pub(super) fn find(name: &str) -> Result<(TimeZone, String), String> {
    let built_in = TimeZoneDatabase::bundled();
    // Names that only the database itself uses, for what it does not know.
    let is_name = !name.is_empty() && name.is_ascii() && name.len() <= 64 && name != "Etc/Unknown";
    let zone = if is_name { db().get(name).or_else(|_| built_in.get(name)).ok() } else { None };
    match zone.as_ref().and_then(TimeZone::iana_name) {
        Some(written) => {
            let written = written.to_owned();
            Ok((zone.unwrap_or(TimeZone::UTC), written))
        }
        None => Err(unknown(name, &built_in)),
    }
}

fn unknown(name: &str, built_in: &TimeZoneDatabase) -> String {
    let names: Vec<String> = built_in.available().map(|known| known.as_str().to_owned()).collect();
    let lower: Vec<String> = names.iter().map(|known| known.to_lowercase()).collect();
    // "Berlin" alone is what most people have in mind.
    let city = format!("/{}", name.trim().to_lowercase().replace(' ', "_"));
    let meant = lower.iter().position(|known| city.len() > 3 && known.ends_with(&city)).or_else(|| {
        let near = nearest(name, lower.iter().map(String::as_str))?;
        lower.iter().position(|known| known == near)
    });
    match meant {
        Some(meant) => format!("unknown time zone; did you mean \"{}\"?", names[meant]),
        None => "unknown time zone; write a name of the IANA database, as in \"Europe/Berlin\" or \"UTC\""
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_found_by_name_however_it_is_written() {
        for (written, name) in [
            ("UTC", "UTC"),
            ("Europe/Berlin", "Europe/Berlin"),
            ("america/new_york", "America/New_York"),
            ("Australia/Lord_Howe", "Australia/Lord_Howe"),
        ] {
            assert_eq!(find(written).unwrap().1, name);
        }
    }

    #[test]
    fn every_zone_that_is_built_in_is_found() {
        let built_in = TimeZoneDatabase::bundled();
        let mut found = 0;
        for name in built_in.available().filter(|name| name.as_str() != "Etc/Unknown") {
            assert!(find(name.as_str()).is_ok(), "{}", name.as_str());
            found += 1;
        }
        assert!(found > 400, "the built-in database has {found} zones");
    }

    #[test]
    fn an_unknown_zone_has_a_nearest_name() {
        for (name, meant) in [
            ("Europe/Berln", "did you mean \"Europe/Berlin\"?"),
            ("Berlin", "did you mean \"Europe/Berlin\"?"),
            ("new york", "did you mean \"America/New_York\"?"),
            ("Utc+1", "unknown time zone"),
            ("", "write a name of the IANA database"),
            ("Etc/Unknown", "unknown time zone"),
            ("../../etc/passwd", "unknown time zone"),
            ("Zürich", "unknown time zone"),
        ] {
            let reason = find(name).unwrap_err();
            assert!(reason.contains(meant), "{name:?}: {reason}");
        }
    }
}
