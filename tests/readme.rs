//! What README.md tells the reader to type does what README.md says.
//!
//! The fenced blocks below `<!-- session -->` are run, as one bash session, against a server of our own; the block below
//! `<!-- answer -->` says what each of them prints. In an answer `…` stands for anything.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// What stands in README.md instead of the address of the server.
const ADDRESS: &str = "127.0.0.1:8080";
/// What the session prints between the outputs of two blocks.
const BREAK: &str = "-- the next block --";

#[test]
fn the_session_works_as_it_is_told() {
    let readme = readme();
    let commands = blocks(&readme, "<!-- session -->", "sh");
    let answers = blocks(&readme, "<!-- answer -->", "text");
    assert!(commands.len() >= 5, "README.md has lost its session");
    assert_eq!(commands.len(), answers.len(), "every block has its answer");

    let server = Server::start(folder());
    compare(&commands, &answers, &run(&commands, &server));
}

#[test]
fn tokens_are_made_named_and_asked_for_as_it_is_told() {
    let readme = readme();
    let folder = folder();
    let made = shell(&blocks(&readme, "<!-- tokens: made -->", "sh").concat(), folder.path());
    assert_eq!(made, "");
    let named = blocks(&readme, "<!-- tokens: named -->", "toml").concat();
    std::fs::write(folder.path().join("backroom.toml"), named).expect("the settings");
    let commands = blocks(&readme, "<!-- tokens: session -->", "sh");
    let answers = blocks(&readme, "<!-- tokens: answer -->", "text");
    assert_eq!((commands.len(), answers.len()), (1, 1), "README.md has lost its tokens");
    let server = Server::start(folder);
    compare(&commands, &answers, &run(&commands, &server));
}

#[test]
fn a_program_is_a_kind_as_it_is_told() {
    let readme = readme();
    let folder = folder();
    for (mark, language, name) in [
        ("<!-- kinds: named -->", "toml", "backroom.toml"),
        ("<!-- kinds: schema -->", "json", "text.size.schema.json"),
    ] {
        std::fs::write(folder.path().join(name), blocks(&readme, mark, language).concat()).expect(name);
    }
    let commands = blocks(&readme, "<!-- kinds: session -->", "sh");
    let answers = blocks(&readme, "<!-- kinds: answer -->", "text");
    assert_eq!((commands.len(), answers.len()), (1, 1), "README.md has lost its program");
    let server = Server::start(folder);
    compare(&commands, &answers, &run(&commands, &server));
}

#[test]
fn the_kind_of_an_app_is_valid() {
    let folder = folder();
    let settings = blocks(&readme(), "each attempt is a `POST` to your app:\n", "toml").concat();
    assert!(settings.contains("push"), "README.md has lost its app");
    std::fs::write(folder.path().join("backroom.toml"), settings).expect("the settings");
    let check = || backroom(folder.path()).arg("check").output().expect("the program runs");
    let output = check();
    assert_eq!(output.status.code(), Some(78), "the schema is missing");
    std::fs::write(folder.path().join("text.count.schema.json"), "{}").expect("the schema");
    let output = check();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_schedule_is_valid() {
    let folder = folder();
    let settings =
        blocks(&readme(), "A job that comes back is written into the configuration:\n", "toml").concat();
    assert!(settings.contains("[schedules.nightly-report]"), "README.md has lost its schedule");
    std::fs::write(folder.path().join("backroom.toml"), settings).expect("the settings");
    let output = backroom(folder.path()).arg("check").output().expect("the program runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_settings_beyond_the_host_are_valid() {
    let folder = folder();
    let settings = blocks(&readme(), "<!-- beyond the host -->", "toml").concat();
    std::fs::write(folder.path().join("backroom.toml"), settings).expect("the settings");
    let check = |token: &str| {
        let output =
            backroom(folder.path()).args(["check", "--set", token]).output().expect("the program runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let own = rcgen::generate_simple_self_signed(["jobs.example.com".to_owned()]).expect("a certificate");
    std::fs::write(folder.path().join("fullchain.pem"), own.cert.pem()).expect("the certificate");
    std::fs::write(folder.path().join("privkey.pem"), own.signing_key.serialize_pem()).expect("the key");
    let (code, faults) = check("auth.token=0123456789abcdef");
    assert_eq!(code, Some(0), "{faults}");
    let (code, faults) = check("auth.token=");
    assert_eq!(code, Some(78), "without a token it must not start: {faults}");
    assert!(faults.contains("server.bind"), "{faults}");
}

#[test]
fn the_mail_settings_are_valid() {
    let folder = folder();
    let settings = blocks(&readme(), "## Mail\n", "toml").concat();
    std::fs::write(folder.path().join("backroom.toml"), settings).expect("the settings");
    std::fs::write(folder.path().join("smtp-password"), "secret\n").expect("the password");
    std::fs::create_dir(folder.path().join("templates")).expect("the templates");
    let output = backroom(folder.path()).arg("check").output().expect("the program runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_linked_file_is_there() {
    let readme = readme();
    let targets = readme.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    for target in targets.filter(|target| !target.starts_with('#') && !target.contains("://")) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(target);
        assert!(path.exists(), "README.md links to {target}, which is not there");
    }
}

#[test]
fn answers_are_compared_in_order() {
    assert_eq!(contains_in_order("a: 1\nb: 22\n{c}", "b: 2…\na: …\n{c}"), Ok(()));
    assert_eq!(contains_in_order("a: 1\n{c}", "a: 2\n{c}"), Err("a: 2".to_owned()));
    assert_eq!(contains_in_order("b\na", "a\nb"), Err("b".to_owned()));
    assert_eq!(contains_in_order("x1y", "x…y…z"), Err("z".to_owned()));
}

fn readme() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("README.md")
}

/// The fenced blocks of a language that follow a mark.
fn blocks(text: &str, mark: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    text.split(mark)
        .skip(1)
        .map(|rest| {
            let block = rest.trim_start().strip_prefix(&opening);
            let block = block.unwrap_or_else(|| panic!("after {mark:?} there is no {opening:?}"));
            block.split("```").next().unwrap_or_default().to_owned()
        })
        .collect()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// Runs the blocks in one shell, in the folder of the server, and gives what each of them printed.
fn run(commands: &[String], server: &Server) -> Vec<String> {
    let script = commands.join(&format!("\nprintf '\\n%s\\n' '{BREAK}'\n")).replace(ADDRESS, &server.address);
    let printed = shell(&script, server.folder.path());
    printed.split(BREAK).map(|part| part.trim().to_owned()).collect()
}

fn shell(script: &str, folder: &Path) -> String {
    let mut bash = Command::new("bash");
    let output = bash
        .args(["-eu", "-c", script])
        .env("no_proxy", "*")
        .current_dir(folder)
        .output()
        .expect("bash runs");
    assert!(output.status.success(), "{}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).replace('\r', "")
}

/// Holds what was printed against what README.md promises.
fn compare(commands: &[String], answers: &[String], outputs: &[String]) {
    assert_eq!(outputs.len(), answers.len(), "the session ended early: {outputs:#?}");
    for ((command, answer), output) in commands.iter().zip(answers).zip(outputs) {
        if let Err(missing) = contains_in_order(output, answer) {
            panic!(
                "README.md promises\n\n    {missing}\n\nin this order, of\n\n{command}\nwhich printed\n\n{output}"
            );
        }
    }
}

/// Whether the pieces of `answer`, between its `…` and ends of lines, stand in `output` one after the other; the order of
/// HTTP headers, which means nothing, does not count. If not, the first piece that does not.
fn contains_in_order(output: &str, answer: &str) -> Result<(), String> {
    let mut rest = output;
    for line in answer.lines() {
        let is_header = line
            .split_once(": ")
            .is_some_and(|(name, _)| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'));
        let mut place = if is_header { output } else { rest };
        for piece in line.split('…').filter(|piece| !piece.is_empty()) {
            let at = place.find(piece).ok_or_else(|| piece.to_owned())?;
            place = &place[at + piece.len()..];
        }
        if !is_header {
            rest = place;
        }
    }
    Ok(())
}

/// The program, away from what the machine says about it.
fn backroom(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backroom"));
    let ours = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BACKROOM_"));
    for (name, _) in ours {
        command.env_remove(name);
    }
    command.current_dir(folder);
    command
}

/// The program, as a reader starts it, but on a free port. Killed at the end.
struct Server {
    child: Child,
    address: String,
    folder: tempfile::TempDir,
}

impl Server {
    fn start(folder: tempfile::TempDir) -> Self {
        let mut child = backroom(folder.path())
            .args(["--set", "server.bind=127.0.0.1:0", "--set", "log.format=json"])
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut log = BufReader::new(child.stderr.take().expect("its log")).lines();
        let address = log
            .by_ref()
            .map_while(Result::ok)
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(&line).ok())
            .find(|line| line["message"] == "listening")
            .and_then(|line| line["address"].as_str().map(str::to_owned))
            .expect("it says where it listens");
        // Nobody else reads the log, and a full pipe would hold up the server.
        std::thread::spawn(move || log.for_each(drop));
        Self { child, address, folder }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
