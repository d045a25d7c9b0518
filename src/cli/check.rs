//! `backroom check`: everything that a start would find, and every template, without side effects.

use std::io::Write;

use super::Ended;
use crate::config::{Config, EffectiveValue, Loaded, Refused};
use crate::server::{Backroom, MemoryBounds, StartError};

/// Checks what is beyond the single values, too: the mailer and every template. Faults of the values hide none of those,
/// as long as the section `mail` is sound.
///
/// # Errors
///
/// With exit code 78 and every fault.
pub fn check(examined: Result<Loaded, Box<Refused>>, out: &mut impl Write) -> Result<(), Ended> {
    let loaded = examined.map_err(|refused| refused_start(*refused))?;
    let server = &loaded.config.server;
    let queues: Vec<String> = loaded.config.queues.keys().map(ToString::to_string).collect();
    let url = format!("{}://{}", if server.tls.is_some() { "https" } else { "http" }, server.bind);
    let memory = MemoryBounds::of(&loaded.config);
    match mail_stage(loaded.config, &loaded.effective) {
        Ok(rendered) => {
            // By name: a name that was misspelt is a queue of its own, which nobody else could point at.
            let names = queues.join(", ");
            writeln!(
                out,
                "ok: {} queues ({names}), {rendered} templates rendered, would listen on {url}",
                queues.len()
            )?;
            writeln!(out, "memory: {memory}")?;
            Ok(())
        }
        Err(faults) => Err(Ended::config(faults.join("\n"))),
    }
}

/// The end of a command whose configuration has faults: tells all of them, and those of the mailer and the templates.
pub fn refused_start(refused: Refused) -> Ended {
    let mut faults: Vec<String> = refused.faults.iter().map(ToString::to_string).collect();
    if let Some(mail) = refused.mail {
        let config = Config { mail, ..Config::default() };
        faults.extend(mail_stage(config, &refused.effective).err().unwrap_or_default());
    }
    Ended::config(faults.join("\n"))
}

/// Makes the mailer and renders every template; says how many there are.
fn mail_stage(config: Config, effective: &[EffectiveValue]) -> Result<usize, Vec<String>> {
    let mailer = Backroom::builder(config).check().map_err(|error| match error {
        StartError::Config(faults) => faults.iter().map(|fault| placed(fault, effective)).collect(),
        error => vec![format!("{:#}", anyhow::Error::from(error))],
    })?;
    let (mut rendered, mut faults) = (0, Vec::new());
    for (name, locale, sample) in mailer.templates().render_samples() {
        let name = locale.map_or(name.clone(), |locale| format!("{name}.{locale}"));
        match sample {
            Ok(_) => rendered += 1,
            Err(error) => faults.push(format!("template {name}: {:#}", anyhow::Error::from(error))),
        }
    }
    if faults.is_empty() { Ok(rendered) } else { Err(faults) }
}

/// A fault of the form `key: reason`, with the place where the key was written.
fn placed(fault: &str, effective: &[EffectiveValue]) -> String {
    let key = fault.split(": ").next().unwrap_or_default();
    match effective.iter().find(|value| value.key == key) {
        Some(value) => format!("{}: {fault}", value.origin),
        None => fault.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, examine};
    use crate::server::BUILT_IN_KINDS;

    fn checked(set: &[&str]) -> Result<String, Vec<String>> {
        let set = set.iter().map(|text| (*text).to_owned()).collect();
        let sources = Sources { set, ..Sources::default() };
        let mut out = Vec::new();
        match check(examine(sources, &BUILT_IN_KINDS), &mut out) {
            Ok(()) => Ok(String::from_utf8(out).unwrap()),
            Err(ended) => {
                assert_eq!(ended.code, super::super::exit::CONFIG);
                Err(ended.message.lines().map(str::to_owned).collect())
            }
        }
    }

    #[test]
    fn the_shipped_configuration_is_sound() {
        let said = checked(&[]).unwrap();
        assert!(said.starts_with("ok: 3 queues (default, mail, notices), 3 templates rendered, "), "{said}");
        assert!(said.contains("\nmemory: 535.0 MiB at most: jobs 256.0 MiB, "), "{said}");
        let less = checked(&["limits.memory=128MiB"]).unwrap();
        assert!(less.contains("\nmemory: 407.0 MiB at most: jobs 128.0 MiB, "), "{less}");
    }

    #[test]
    fn faults_of_values_do_not_hide_those_of_templates() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("broken.subject.txt"), "{{ name").unwrap();
        std::fs::write(folder.path().join("broken.txt"), "x").unwrap();
        let templates = format!("mail.templates={}", folder.path().display());

        let alone = checked(&[&templates]).unwrap_err();
        assert_eq!(alone.len(), 1, "{alone:?}");
        assert!(alone[0].starts_with("--set: mail.templates: "), "{alone:?}");
        let both = checked(&[&templates, "limits.batch=0"]).unwrap_err();
        assert!(both[0].starts_with("--set: limits.batch: "), "{both:?}");
        assert_eq!(both[1..], alone);
        // What is wrong in its own section is told first, and alone.
        let first = checked(&[&templates, "mail.folder="]).unwrap_err();
        assert!(first.len() == 1 && first[0].contains("mail.folder"), "{first:?}");
    }

    /// `config` repeats the rules of the mailer, which it must not know, to tell the place of a fault.
    #[test]
    fn what_the_mailer_refuses_the_configuration_refuses() {
        let smtp = |url: &str| format!("mail.smtp_url={url}");
        let from = |from: &str| format!("mail.from={from}");
        let good = [
            smtp("smtp://mx.example"),
            smtp("smtps://u:p@mx.example"),
            smtp("smtp://u%40x:p%3A%2f%25@mx.example:2525/"),
            smtp("smtp://b\u{fc}cher.example?tls=required"),
            smtp("smtp://u:p@[::1]?tls=none"),
            smtp("smtp://u:p@127.0.0.1?tls=none"),
            smtp("smtp://u:p@LOCALHOST?tls=none"),
            from("a@b.example"),
            from("  a@b.example "),
            from("\u{c4}d\u{e4} <a+tag@b.example>"),
            from("\"Lovelace, Ada\" <a@b.example>"),
            from("a@b\u{fc}cher.example"),
        ];
        let bad = [
            smtp("mx.example:25"),
            smtp("http://mx.example"),
            smtp("smtp://"),
            smtp("smtp://mx.example:0"),
            smtp("smtp://mx.example/hello"),
            smtp("smtp://u:p@mx.example?tls=maybe"),
            smtp("smtp://u:p@mx.example?tls=none"),
            smtp("smtp://u:p@mx.example?tls=required&tls=none"),
            smtp("smtps://u:p@mx.example?tls=required"),
            smtp("smtp://:p@mx.example"),
            smtp("smtp://u@mx.example"),
            smtp("smtp://u:p%0d@mx.example"),
            smtp("smtp://u:p%ff@mx.example"),
            from("a b@b.example"),
            from("a@b.example, c@d.example"),
            from("A <a@b.example"),
            from("\"A\tB\" <a@b.example>"),
        ];
        let ends = |setting: &str| {
            let from = "mail.from=Shop <shop@example.com>";
            let url = "mail.smtp_url=smtp://mx.example";
            checked(&["mail.transport=smtp", from, url, setting])
        };
        for setting in &good {
            assert!(ends(setting).is_ok(), "{setting}: {:?}", ends(setting));
        }
        for setting in &bad {
            let found = ends(setting).expect_err(setting);
            assert_eq!(found.len(), 1, "{setting}: {found:?}");
            assert!(found[0].starts_with("--set: mail."), "{setting}: {found:?}");
        }
    }
}
