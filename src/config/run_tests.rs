//! Tests of kinds that are made in the configuration.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::testing::{config, faults, loaded, with_file};
use super::{Command, Config, Kind, Push, Run, Variable};
use crate::job::KindName;

/// A folder with a program, and a file that is none.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, mode) in [("run.sh", 0o755), ("notes.txt", 0o644)] {
        std::fs::write(folder.path().join(name), "#!/bin/sh\n").unwrap();
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(folder.path().join(name), permissions).unwrap();
    }
    folder
}

fn run(set: &[&str]) -> Run {
    config(set).kinds["mine"].run.clone().unwrap()
}

fn command(set: &[&str]) -> Command {
    match run(&[&["kinds.mine.run=command"], set].concat()) {
        Run::Command(command) => command,
        Run::Push(push) => panic!("{push:?}"),
    }
}

#[test]
fn a_kind_of_ones_own_needs_two_lines() {
    let mine = command(&["kinds.mine.command=sh"]);
    assert_eq!(mine.command, ["sh"]);
    assert_eq!((mine.folder, mine.env, mine.retry_on_exit), (None, vec![], true));
    assert_eq!(mine.result_type, "text/plain; charset=utf-8");
    let push = run(&["kinds.mine.run=push", "kinds.mine.url=http://app:3000/jobs"]);
    assert_eq!(push, Run::Push(Push { url: "http://app:3000/jobs".into() }));
    // It has settings like any other, and is a kind to whatever refers to kinds.
    let config = config(&["kinds.mine.run=push", "kinds.mine.url=http://app", "kinds.mine.queue=mail"]);
    assert_eq!(config.kind_settings("mine").queue.as_str(), "mail");
}

#[test]
fn everything_can_be_said() {
    let folder = folder();
    let text = format!(
        "[kinds.\"a.b\"]\nrun = 'command'\ncommand = ['./run.sh', '--fast', '']\nfolder = '{}'\nenv = ['PATH', \
         'LANG=C=D', 'EMPTY=']\nresult_type = 'application/pdf'\nretry_on_exit = false\ndescription = 'Makes a and b'\n",
        folder.path().display()
    );
    let kind = with_file(&text, &[]).unwrap().config.kinds["a.b"].clone();
    assert_eq!(kind.description.as_deref(), Some("Makes a and b"));
    let set = |name: &str, value: &str| Variable::Set { name: name.into(), value: value.into() };
    let want = Command {
        command: vec!["./run.sh".into(), "--fast".into(), String::new()],
        folder: Some(folder.path().into()),
        env: vec![Variable::Passed("PATH".into()), set("LANG", "C=D"), set("EMPTY", "")],
        result_type: "application/pdf".into(),
        retry_on_exit: false,
    };
    assert_eq!(kind.run, Some(Run::Command(want.clone())));
    assert_eq!(want.program(), Ok(folder.path().join("./run.sh")));
    let path = std::env::var_os("PATH").unwrap();
    let variables = [("PATH".into(), path), ("LANG".into(), "C=D".into()), ("EMPTY".into(), "".into())];
    assert_eq!(want.variables(), variables);
    let gone = Command { env: vec![Variable::Passed("BACKROOM_IS_NOT_SET".into())], ..want };
    assert_eq!(gone.variables(), []);
}

#[test]
fn programs_are_found_as_a_shell_would() {
    let found = |name: &str| command(&[&format!("kinds.mine.command={name}")]).program().unwrap();
    let sh = found("sh");
    assert!(sh.is_absolute() && sh.ends_with("sh") && sh.is_file(), "{sh:?}");
    assert_eq!(found("/bin/sh"), Path::new("/bin/sh"));
    // Without a folder, a slash leads on from the working directory.
    let scripts = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts/test");
    assert_eq!(found("scripts/test"), scripts);
}

#[test]
fn values_that_may_be_secret_are_not_shown() {
    let shown = |set: &[&str]| {
        let effective = loaded(set).effective;
        effective.into_iter().map(|v| format!("{} = {}", v.key, v.value)).collect::<Vec<_>>()
    };
    let text =
        shown(&["kinds.mine.run=command", "kinds.mine.command=sh", "kinds.mine.env=PATH,TOKEN=s3cret"]);
    assert!(text.contains(&"kinds.mine.env = [\"PATH\",\"TOKEN=[redacted]\"]".to_owned()), "{text:?}");
    let text = shown(&["kinds.mine.run=push", "kinds.mine.url=http://app/jobs?token=s3cret"]);
    assert!(text.contains(&"kinds.mine.url = \"http://app/jobs?[redacted]\"".to_owned()), "{text:?}");
    for set in [
        ["kinds.mine.run=command", "kinds.mine.command=sh", "kinds.mine.env=1=s3cret"],
        ["kinds.mine.run=command", "kinds.mine.command=sh", "kinds.mine.env=s3cret here"],
        ["kinds.mine.run=command", "kinds.mine.command=sh", "kinds.mine.env=[\"s3cret\""],
        ["kinds.mine.run=push", "kinds.mine.x=y", "kinds.mine.url=http://u:s3cret@app"],
        ["kinds.mine.run=push", "kinds.mine.x=y", "kinds.mine.url=s3cret"],
    ] {
        let found = faults(&set);
        assert!(!found.concat().contains("s3cret"), "{found:?}");
    }
    let debug = format!("{:?}", config(&["kinds.a.run=push", "kinds.a.url=http://app?s3cret"]).kinds);
    assert!(!debug.contains("s3cret"), "{debug}");
    let debug = format!("{:?}", command(&["kinds.mine.command=sh", "kinds.mine.env=A=s3cret"]));
    assert!(!debug.contains("s3cret"), "{debug}");
}

#[test]
fn members_must_fit_each_other() {
    let own = "is for kinds of your own, and this one is run by the program itself; choose another name";
    for (set, want) in [
        (&["kinds.mine.run=shell"][..], "run: must be \"push\" or \"command\" (found \"shell\")"),
        (
            &["kinds.mine.run=shell", "kinds.mine.command=sh"],
            "run: must be \"push\" or \"command\" (found \"shell\")",
        ),
        (&["kinds.mine.run=command"], "command: is required with run = \"command\""),
        (&["kinds.mine.run=push"], "url: is required with run = \"push\""),
        (&["kinds.mine.command=sh"], "command: needs run = \"command\""),
        (&["kinds.mine.retry_on_exit=true"], "retry_on_exit: needs run = \"command\""),
        (&["kinds.mine.url=http://app"], "url: needs run = \"push\""),
        (
            &["kinds.mine.run=push", "kinds.mine.url=http://app", "kinds.mine.env=PATH"],
            "env: is for run = \"command\", but run is \"push\"",
        ),
        (
            &["kinds.mine.run=command", "kinds.mine.command=sh", "kinds.mine.url=http://app"],
            "url: is for run = \"push\", but run is \"command\"",
        ),
    ] {
        assert_eq!(faults(set), [format!("--set: kinds.mine.{want}")], "{set:?}");
    }
    assert_eq!(faults(&["kinds.noop.run=command"]), [format!("--set: kinds.noop.run: {own}")]);
    assert_eq!(faults(&["kinds.email.url=http://app"]), [format!("--set: kinds.email.url: {own}")]);
    assert_eq!(
        faults(&["kinds.mine.description=what for"]),
        ["--set: kinds.mine: unknown kind; there are: email, invoice.render, noop"]
    );
}

#[test]
fn what_could_not_be_run_is_found_before() {
    let folder = folder();
    let place = format!("kinds.mine.folder={}", folder.path().display());
    let found = |set: &[&str]| {
        let found = faults(&[&["kinds.mine.run=command"], set].concat());
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].clone()
    };
    let shown = |name: &str| std::path::absolute(folder.path().join(name)).unwrap().display().to_string();
    for (name, want) in [
        ("./gone.sh", format!("there is no program {}", shown("./gone.sh"))),
        ("./notes.txt", format!("{} may not be executed by this user (chmod +x?)", shown("./notes.txt"))),
        ("./", format!("{} may not be executed by this user (chmod +x?)", shown("./"))),
        (
            "run.sh",
            "\"run.sh\" is not on the PATH of the server; write its whole path, or ./run.sh for one in the folder".into(),
        ),
        ("\"\"", "must begin with the name of a program".into()),
    ] {
        let said = found(&[&place, &format!("kinds.mine.command=[{}]", quoted(name))]);
        assert_eq!(said, format!("--set: kinds.mine.command: {want}"));
    }
    let sh = "kinds.mine.command=sh";
    assert!(found(&["kinds.mine.command=[]"]).contains("must have 1 to 100 items"));
    assert!(found(&[sh, "kinds.mine.folder=/is/not/there"]).contains("folder: is not a folder"));
    assert!(found(&[sh, "kinds.mine.folder=/bin/sh"]).contains("folder: is not a folder"));
    for bad in ["1X", "A-B", "=x", "", "A B=1", "\u{c4}=1"] {
        let said = found(&[sh, &format!("kinds.mine.env=[\"PATH\", \"{bad}\"]")]);
        assert!(
            said.starts_with("--set: kinds.mine.env: item 2: must be NAME or NAME=value"),
            "{bad:?}: {said}"
        );
    }
    assert!(found(&[sh, "kinds.mine.env=PATH,PATH=/bin"]).contains("env: item 2: PATH is there twice"));
    assert!(
        found(&[sh, "kinds.mine.env=BACKROOM_JOB_ID=1"])
            .contains("BACKROOM_JOB_ID is given to every program")
    );
    for bad in
        ["", "pdf", "/", "a/b/c", "application/", "text/plain; charset", "text/plain\u{1}", "a/b;\u{e9}=1"]
    {
        let said = found(&[sh, &format!("kinds.mine.result_type={bad}")]);
        assert!(said.contains("result_type: must be a media type"), "{bad:?}: {said}");
    }
    assert!(found(&[sh, "kinds.mine.retry_on_exit=sometimes"]).contains("must be true or false"));
    for never in ["169.254.169.254", "[::ffff:169.254.169.254]", "0xa9fea9fe"] {
        let said = faults(&["kinds.mine.run=push", &format!("kinds.mine.url=http://{never}/latest")]);
        assert!(said.len() == 1 && said[0].contains("link-local or metadata"), "{never}: {said:?}");
    }
    for bad in ["app", "/jobs", "ftp://app", "http://", "http://u@app", "http://u:p@app", "http://app/#x"] {
        let said = faults(&["kinds.mine.run=push", &format!("kinds.mine.url={bad}")]);
        assert!(said.len() == 1 && said[0].starts_with("--set: kinds.mine.url: must "), "{bad:?}: {said:?}");
    }
}

fn quoted(name: &str) -> String {
    if name.starts_with('"') { name.to_owned() } else { format!("{name:?}") }
}

#[test]
fn everything_is_bounded() {
    let with = |command: &[String], env: &[String]| {
        let list =
            |items: &[String]| items.iter().map(|item| format!("{item:?}")).collect::<Vec<_>>().join(",");
        let text =
            format!("[kinds.mine]\nrun = 'command'\ncommand = [{}]\nenv = [{}]\n", list(command), list(env));
        with_file(&text, &[]).map(drop).map_err(|faults| faults.len())
    };
    let many = |n: usize| std::iter::repeat_n("sh".to_owned(), n).collect::<Vec<_>>();
    let long = |n: usize| vec!["sh".to_owned(), "x".repeat(n)];
    let variables = |n: usize| (0..n).map(|n| format!("V{n}=x")).collect::<Vec<_>>();
    let value = |n: usize| vec![format!("V={}", "x".repeat(n))];
    for (command, env, sound) in [
        (many(100), vec![], true),
        (many(101), vec![], false),
        (long(4_096), vec![], true),
        (long(4_097), vec![], false),
        (many(1), variables(100), true),
        (many(1), variables(101), false),
        (many(1), value(4_096), true),
        (many(1), value(4_097), false),
        (vec!["sh".into(), "a\0b".into()], vec![], false),
        (many(1), vec!["V=a\0b".into()], false),
    ] {
        let found = with(&command, &env);
        assert_eq!(found, if sound { Ok(()) } else { Err(1) }, "{} {}", command.len(), env.len());
    }
    let description = |text: &str| format!("kinds.noop.description={text}");
    config(&[&description(&"\u{e9}".repeat(200))]);
    for bad in [&"x".repeat(201), " ", "a\u{7}"] {
        assert_eq!(faults(&[&description(bad)]).len(), 1, "{bad:?}");
    }
}

#[test]
fn what_is_made_in_code_is_checked_too() {
    let faults = |change: &dyn Fn(&mut Kind)| {
        let mut config = Config::default();
        let good = command(&["kinds.mine.command=sh"]);
        let mut kind = Kind { run: Some(Run::Command(good)), ..Kind::default() };
        change(&mut kind);
        config.kinds.insert(KindName::new("mine").unwrap(), kind);
        let found = config.faults();
        found.iter().map(|fault| fault.split(": ").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let of = |change: &dyn Fn(&mut Command)| {
        faults(&|kind| match &mut kind.run {
            Some(Run::Command(command)) => change(command),
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(of(&|_| {}), [""; 0]);
    assert_eq!(of(&|command| command.command.clear()), ["kinds.mine.command"]);
    assert_eq!(of(&|command| command.command = vec!["sh".into(); 101]), ["kinds.mine.command"]);
    assert_eq!(of(&|command| command.command.push("\0".into())), ["kinds.mine.command"]);
    assert_eq!(of(&|command| command.command = vec!["is-not-there".into()]), ["kinds.mine.command"]);
    assert_eq!(of(&|command| command.folder = Some("/is/not/there".into())), ["kinds.mine.folder"]);
    assert_eq!(of(&|command| command.env = vec![Variable::Passed("A=B".into())]), ["kinds.mine.env"]);
    assert_eq!(of(&|command| command.result_type = "pdf".into()), ["kinds.mine.result_type"]);
    assert_eq!(faults(&|kind| kind.description = Some(String::new())), ["kinds.mine.description"]);
    let push = |url: &str| faults(&|kind| kind.run = Some(Run::Push(Push { url: url.into() })));
    assert_eq!(push("http://app"), [""; 0]);
    assert_eq!(push("app"), ["kinds.mine.url"]);
}
