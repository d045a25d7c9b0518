//! Who may know whom. Fails when a module of `src/` names one that it must not know, when time or chance are asked for
//! outside `clock.rs`, when a static holds a lifecycle, when a test sleeps, or when a file has grown too long.
//!
//! It reads the sources as text, without their comments and literals, and looks at `crate::…`, `super::…` and
//! `use crate::{…}`. That is less than a compiler knows and enough to notice the first wrong step. The rules are
//! explained in ARCHITECTURE.md.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Every top-level module of the library, and those that it may name. A module that is not here is refused.
const LAYERS: &[(&str, &[&str])] = &[
    ("job", &[]),
    ("redact", &[]),
    ("schedule", &["job"]),
    ("egress", &[]),
    ("clock", &["job"]),
    ("sign", &["job"]),
    ("event", &["job"]),
    // Names for what `std` and dashmap have, so that a test can put others in their place.
    ("sync", &[]),
    ("again", &[]),
    // Numbers alone: whoever counts holds a handle, and only the end that tells them knows Prometheus.
    ("metrics", &["job"]),
    ("queue", &["job", "sync"]),
    ("store", &["job", "sync"]),
    ("view", &["job", "store"]),
    ("handler", &["job"]),
    ("spill", &["job", "schedule"]),
    ("mail", &["job", "clock", "metrics"]),
    ("kinds", &["job", "handler", "mail", "clock", "egress", "sign", "store", "view"]),
    // What handlers say is redacted at the one door by which it enters a job.
    ("jobs", &["job", "handler", "queue", "store", "event", "clock", "metrics", "redact", "sync"]),
    ("schedules", &["job", "jobs", "schedule", "store"]),
    ("worker", &["again", "job", "handler", "jobs", "queue", "schedules", "store", "clock", "telemetry"]),
    ("shutdown", &["job", "jobs", "schedule", "worker", "spill"]),
    (
        "http",
        &[
            "again",
            "event",
            "job",
            "jobs",
            "handler",
            "metrics",
            "schedule",
            "schedules",
            "store",
            "mail",
            "shutdown",
            "sign",
            "telemetry",
            "view",
        ],
    ),
    ("config", &["job", "handler", "egress", "schedule", "sign"]),
    ("telemetry", &["config", "job"]),
    // The composition root knows everybody but the command line.
    (
        "server",
        &[
            "clock",
            "config",
            "egress",
            "event",
            "handler",
            "http",
            "job",
            "jobs",
            "kinds",
            "mail",
            "queue",
            "schedule",
            "schedules",
            "shutdown",
            "sign",
            "spill",
            "store",
            "worker",
        ],
    ),
    // The clock: what repeats a request calls it by something that nobody else does.
    ("cli", &["clock", "config", "event", "job", "redact", "server", "shutdown", "telemetry"]),
    // The program sees the library from outside.
    ("main", &["cli", "config", "server"]),
    ("lib", &[]),
];

/// Of these modules only this item may be named, whatever the table above allows.
const ONLY: &[(&str, &str, &str)] = &[("http", "shutdown", "Phase")];

/// Texts that may stand in some places only, and why. A test may look at the time by itself.
const PLACES: &[(&str, &[&str], &str)] = &[
    (
        "actix_web",
        &["src/http/", "src/server/"],
        "the rest of the program must not depend on a web framework",
    ),
    (
        "web::resource",
        &["src/http/path.rs"],
        "`Path` mounts every path, so that none goes without the role that it needs",
    ),
    ("SystemTime::now", CLOCK, ASK_THE_CLOCK),
    ("Instant::now", CLOCK, ASK_THE_CLOCK),
    ("Zoned::now", CLOCK, ASK_THE_CLOCK),
    ("Timestamp::now", CLOCK, ASK_THE_CLOCK),
    ("Uuid::now_v7", CLOCK, ASK_THE_CLOCK),
    ("Uuid::new_v7", CLOCK, ASK_THE_CLOCK),
    ("Uuid::new_v4", CLOCK, ASK_THE_CLOCK),
    ("fastrand::", CLOCK, ASK_THE_CLOCK),
    ("getrandom::", CLOCK, ASK_THE_CLOCK),
];
const CLOCK: &[&str] = &["src/clock.rs"];
const ASK_THE_CLOCK: &str = "ask `Clock`, so that a test can hold time and chance in its hand";

/// What a static must not be made of: two servers live in one process, and a test starts many.
const STATE: &[&str] = &[
    "Atomic",
    "Cell",
    "Condvar",
    "DashMap",
    "Lazy",
    "Lock",
    "Mutex",
    "Notify",
    "Once",
    "RwLock",
    "Semaphore",
    "Sender",
    "Token",
    "Tracker",
];

const LONGEST: usize = 400;

/// Files that may be longer, and why. Keep this short.
const LONG: &[(&str, &str)] = &[
    ("src/job/state.rs", "the transition function and the table of every state against every change"),
    ("src/spill/mod.rs", "the whole format of the file, read and written side by side"),
];

/// What a comment beside a sleep begins with, followed by the reason why nothing can be waited on instead.
const SLEEP_MARK: &str = "// sleep:";

#[test]
fn modules_know_only_whom_they_may() {
    let mut faults = Vec::new();
    for file in sources("src") {
        let Some((_, may)) = LAYERS.iter().find(|(module, _)| *module == file.module) else {
            faults.push(format!("{}: the module {} is not in LAYERS", file.path, file.module));
            continue;
        };
        for named in file.named_modules() {
            if !may.contains(&named.module.as_str()) {
                faults.push(format!(
                    "{}:{}: `{}` must not know `{}`; it may know: {}",
                    file.path,
                    named.line,
                    file.module,
                    named.module,
                    if may.is_empty() { "nobody".to_owned() } else { may.join(", ") }
                ));
            }
            for (module, other, item) in ONLY {
                if (file.module.as_str(), named.module.as_str()) == (*module, *other) && named.item != *item {
                    faults.push(format!(
                        "{}:{}: `{module}` may know `{other}::{item}` only, not `{other}::{}`",
                        file.path, named.line, named.item
                    ));
                }
            }
        }
    }
    report(
        "A module names one that it must not know (see \"Who may know whom\" in ARCHITECTURE.md). Turn the call round, \
         or pass in what is needed; change LAYERS in this test only together with ARCHITECTURE.md.",
        &faults,
    );
}

#[test]
fn every_layer_is_there() {
    let modules: BTreeSet<String> = sources("src").into_iter().map(|file| file.module).collect();
    let faults: Vec<String> = LAYERS
        .iter()
        .flat_map(|(module, may)| std::iter::once(module).chain(may.iter()))
        .filter(|module| !modules.contains(**module))
        .map(|module| format!("there is no module {module} any more"))
        .collect();
    report("LAYERS in this test has drifted from src/.", &faults);
}

#[test]
fn what_belongs_to_one_place_stays_there() {
    let mut faults = Vec::new();
    for file in sources("src") {
        for (text, places, reason) in PLACES {
            if places.iter().any(|place| file.path.starts_with(place)) {
                continue;
            }
            for line in file.lines_with(text).filter(|line| *places != CLOCK || !file.is_test(*line)) {
                faults.push(format!(
                    "{}:{line}: `{text}` belongs to {}: {reason}",
                    file.path,
                    places.join(", ")
                ));
            }
        }
    }
    report("Something stands where it must not.", &faults);
}

#[test]
fn no_static_holds_a_lifecycle() {
    let mut faults = Vec::new();
    for file in sources("src") {
        for (n, line) in file.code.lines().enumerate() {
            let lifetime =
                |at: usize| at > 0 && (line.as_bytes()[at - 1] == b'\'' || is_word(line.as_bytes()[at - 1]));
            let declared =
                line.match_indices("static ").filter(|(at, _)| !lifetime(*at)).map(|(at, _)| &line[at..]);
            for item in declared.chain(line.find("thread_local!").map(|at| &line[at..])) {
                let harmless = item.starts_with("static ")
                    && !item.starts_with("static mut ")
                    && !STATE.iter().any(|state| item.contains(state));
                if !harmless {
                    faults.push(format!("{}:{}: {item}", file.path, n + 1));
                }
            }
        }
    }
    report(
        "A static holds state. Two servers live in one process: make it a field of what is started and stopped.",
        &faults,
    );
}

#[test]
fn tests_do_not_sleep() {
    let mut faults = Vec::new();
    for file in sources("tests") {
        for call in ["time::sleep", "thread::sleep", " sleep("] {
            for line in file.lines_with(call) {
                let justified = [line, line.saturating_sub(1)]
                    .iter()
                    .any(|line| file.raw_line(*line).contains(SLEEP_MARK));
                if !justified {
                    faults.push(format!("{}:{line}: {}", file.path, file.raw_line(line).trim()));
                }
            }
        }
    }
    report(
        &format!(
            "A test sleeps. Wait on an event, a barrier, `Prefer: wait` or paused time instead. Where there is really \
             nothing to wait on, say why beside or above it: `{SLEEP_MARK} <reason>`."
        ),
        &faults,
    );
}

#[test]
fn files_stay_short() {
    let mut faults = Vec::new();
    let files = sources("src");
    for file in &files {
        let lines = file.raw.lines().count();
        let listed = LONG.iter().any(|(path, _)| *path == file.path);
        if lines > LONGEST && !listed {
            faults.push(format!("{}: {lines} lines; look for the second thing in it", file.path));
        }
        if lines <= LONGEST && listed {
            faults.push(format!("{}: short again; take it off the list LONG", file.path));
        }
    }
    for (path, reason) in LONG {
        if !files.iter().any(|file| file.path == *path) {
            faults.push(format!("{path}: is gone; take it off the list LONG ({reason})"));
        }
    }
    report(&format!("A file of src/ has more than {LONGEST} lines."), &faults);
}

fn report(what: &str, faults: &[String]) {
    let mut text = String::new();
    for fault in faults {
        let _ = write!(text, "\n  {fault}");
    }
    assert!(faults.is_empty(), "\n{what}{text}\n");
}

/// A source file.
struct Source {
    /// From the root of the repository, with `/`.
    path: String,
    /// The top-level module that it belongs to.
    module: String,
    raw: String,
    /// The same without comments and literals, line by line.
    code: String,
    /// The line on which the tests begin.
    tests_from: usize,
}

/// A module of ours that a file names.
struct Named {
    line: usize,
    module: String,
    item: String,
}

/// Every Rust file below a folder, sorted.
fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    find(&root.join(folder), &mut paths);
    paths.sort();
    assert!(!paths.is_empty(), "there are no sources in {folder}");
    paths.iter().map(|path| Source::read(root, path)).collect()
}

fn find(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            find(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

impl Source {
    fn read(root: &Path, path: &Path) -> Self {
        let raw = fs::read_to_string(path).expect("the source can be read");
        let relative = path.strip_prefix(root).expect("below the root");
        let parts: Vec<String> = relative.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        let code = without_comments_and_literals(&raw);
        let test_file = parts.last().is_some_and(|name| name.ends_with("tests.rs") || name == "testing.rs");
        let tests_from = if test_file {
            0
        } else {
            code.lines().position(|line| line.trim_start().starts_with("mod tests {")).unwrap_or(usize::MAX)
        };
        Self {
            path: parts.join("/"),
            module: parts[1].trim_end_matches(".rs").to_owned(),
            raw,
            code,
            tests_from,
        }
    }

    fn raw_line(&self, line: usize) -> &str {
        self.raw.lines().nth(line.saturating_sub(1)).unwrap_or_default()
    }

    fn lines_with<'a>(&'a self, text: &'a str) -> impl Iterator<Item = usize> + 'a {
        let lines = self.code.lines().enumerate();
        lines.filter(move |(_, line)| line.contains(text)).map(|(n, _)| n + 1)
    }

    fn is_test(&self, line: usize) -> bool {
        line > self.tests_from
    }

    /// How many `super` lead from this file to the root of the crate.
    fn depth(&self) -> usize {
        let below_src = self.path.split('/').count() - 1;
        if self.path.ends_with("/mod.rs") { below_src - 1 } else { below_src }
    }

    /// The top-level modules of ours that are named by a path, without this one.
    fn named_modules(&self) -> Vec<Named> {
        let mut named = Vec::new();
        let bytes = self.code.as_bytes();
        let root = if self.module == "main" { "backroom::" } else { "crate::" };
        for (at, _) in self.code.match_indices(root) {
            if at == 0 || !is_word(bytes[at - 1]) {
                self.collect(at, &self.code[at + root.len()..], &mut named);
            }
        }
        // A chain of `super` that is long enough to leave the module is `crate` in disguise.
        let mut from = 0;
        while let Some(found) = self.code[from..].find("super::") {
            let at = from + found;
            let mut rest = &self.code[at..];
            let mut count = 0;
            while let Some(after) = rest.strip_prefix("super::") {
                rest = after;
                count += 1;
            }
            from = self.code.len() - rest.len();
            let inline = usize::from(self.is_test(self.line_of(at)) && self.tests_from > 0);
            if count >= self.depth() + inline && self.depth() > 0 {
                self.collect(at, rest, &mut named);
            }
        }
        named.retain(|named| named.module != self.module);
        named
    }

    fn line_of(&self, at: usize) -> usize {
        self.code[..at].matches('\n').count() + 1
    }

    /// Takes what follows the root of a path: `module::item`, or `{module::item, module::{item, item}}`.
    fn collect(&self, at: usize, rest: &str, named: &mut Vec<Named>) {
        let line = self.line_of(at);
        let branches = match rest.strip_prefix('{') {
            Some(list) => split_list(list),
            None => vec![rest],
        };
        for branch in branches {
            let (module, rest) = word(branch.trim());
            let items = match rest.strip_prefix("::") {
                Some(rest) => match rest.strip_prefix('{') {
                    Some(list) => split_list(list),
                    None => vec![rest],
                },
                None => vec![""],
            };
            for item in items.into_iter().filter(|_| !module.is_empty() && module != "self") {
                named.push(Named { line, module: module.to_owned(), item: word(item.trim()).0.to_owned() });
            }
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The identifier at the beginning, and what follows it.
fn word(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().position(|byte| !is_word(byte)).unwrap_or(text.len()))
}

/// The members of a list in braces, whose opening one has been taken.
fn split_list(text: &str) -> Vec<&str> {
    let mut members = Vec::new();
    let (mut depth, mut from) = (0, 0);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => {
                members.push(&text[from..at]);
                return members;
            }
            b'}' => depth -= 1,
            b',' if depth == 0 => {
                members.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    members
}

/// Blanks comments, strings and characters, and keeps the lines.
fn without_comments_and_literals(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        let end = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if bytes[at] == b'"' {
            end_of_string(rest.as_bytes())
        } else if bytes[at] == b'r' && (at == 0 || !is_word(bytes[at - 1])) && is_raw_string(&rest[1..]) {
            end_of_raw_string(rest)
        } else if bytes[at] == b'\'' && is_char(rest) {
            end_of_char(rest)
        } else {
            0
        };
        if end == 0 {
            let next = rest.chars().next().unwrap_or(' ');
            code.push(next);
            at += next.len_utf8();
        } else {
            code.extend(rest[..end].chars().filter(|c| *c == '\n'));
            code.push(' ');
            at += end;
        }
    }
    code
}

fn end_of_string(bytes: &[u8]) -> usize {
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn is_raw_string(after_r: &str) -> bool {
    after_r.trim_start_matches('#').starts_with('"')
}

fn end_of_raw_string(text: &str) -> usize {
    let hashes = text[1..].bytes().take_while(|byte| *byte == b'#').count();
    let begin = 1 + hashes + 1;
    let close = format!("\"{}", "#".repeat(hashes));
    text[begin..].find(&close).map_or(text.len(), |end| begin + end + close.len())
}

/// `'x'` and `'\n'`, not the lifetime `'a`.
fn is_char(text: &str) -> bool {
    let mut chars = text[1..].chars();
    match chars.next() {
        Some('\\') => true,
        Some(_) => chars.next() == Some('\''),
        None => false,
    }
}

fn end_of_char(text: &str) -> usize {
    // The second character may be an escaped quote.
    let skip = if text.as_bytes().get(1) == Some(&b'\\') { 3 } else { 1 };
    text[skip..].find('\'').map_or(text.len(), |end| skip + end + 1)
}

#[test]
fn the_scanner_sees_code_and_nothing_else() {
    let text = "use crate::{a::{B, C}, d::E};\n// crate::x\nlet s = \"crate::y\\\" crate::y\"; /* crate::z */ let q = 'c';\n\
                fn f<'a>() { r#\"crate::r \" \"#; crate::g::H::new(); super::super::k::L; super::m() }\n";
    let source = Source {
        path: "src/http/file.rs".into(),
        module: "http".into(),
        raw: text.into(),
        code: without_comments_and_literals(text),
        tests_from: usize::MAX,
    };
    let seen: Vec<String> = source
        .named_modules()
        .iter()
        .map(|named| format!("{} {}::{}", named.line, named.module, named.item))
        .collect();
    assert_eq!(seen, ["1 a::B", "1 a::C", "1 d::E", "4 g::H", "4 k::L"]);
}
