//! Loads from `wrk`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

/// What is sent, over and over.
pub(crate) struct Script {
    folder: TempDir,
}

/// What a load found.
pub(crate) struct Load {
    pub(crate) requests: f64,
    pub(crate) seconds: f64,
    /// Answers of 400 and more.
    pub(crate) refused: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
}

/// Prints what was found as one line of JSON.
const DONE: &str = r#"
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format('\nJSON {"requests":%d,"micros":%d,"refused":%d,"broken":%d,"p50":%d,"p99":%d,"p999":%d}\n',
    summary.requests, summary.duration, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
"#;

impl Script {
    /// Posts this JSON.
    pub(crate) fn post(body: &str) -> Self {
        Self::write(&format!(
            "wrk.method = 'POST'\nwrk.headers['Content-Type'] = 'application/json'\nwrk.body = [[{body}]]\n"
        ))
    }

    /// Posts this JSON, and between two of them asks three times for one of these paths.
    pub(crate) fn post_and_poll(body: &str, paths: &[String]) -> Self {
        let paths: Vec<String> = paths.iter().map(|path| format!("'{path}'")).collect();
        Self::write(&format!(
            "local post, gets, turn = nil, {{}}, 0\n\
             init = function(args)\n\
             \x20 local head = {{['Content-Type'] = 'application/json'}}\n\
             \x20 post = wrk.format('POST', '/api/jobs', head, [[{body}]])\n\
             \x20 for _, path in ipairs({{{}}}) do gets[#gets + 1] = wrk.format('GET', path) end\n\
             end\n\
             request = function()\n\
             \x20 turn = turn + 1\n\
             \x20 if turn % 4 == 0 then return post end\n\
             \x20 return gets[turn % #gets + 1]\n\
             end\n",
            paths.join(",")
        ))
    }

    fn write(text: &str) -> Self {
        let script = Self { folder: TempDir::new().expect("a folder") };
        fs::write(script.path(), format!("{text}{DONE}")).expect("a script");
        script
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("load.lua")
    }

    /// Loads a server with one thread and so many connections.
    pub(crate) fn run(&self, address: &str, connections: u32, seconds: u32) -> Load {
        let output = Command::new("wrk")
            .args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s"), "--latency", "-s"])
            .arg(self.path())
            .arg(format!("http://{address}/api/jobs"))
            .output()
            .expect("wrk is installed (scripts/bench does it; apt-get install wrk)");
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find_map(|line| line.strip_prefix("JSON "));
        let found: Value = line.and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
        let number = |name: &str| found[name].as_f64().unwrap_or_else(|| panic!("wrk says: {text}"));
        assert!(number("broken") == 0.0, "requests without an answer: {text}");
        Load {
            requests: number("requests"),
            seconds: number("micros") / 1e6,
            refused: number("refused"),
            p50_ms: number("p50") / 1e3,
            p99_ms: number("p99") / 1e3,
            p999_ms: number("p999") / 1e3,
        }
    }
}
