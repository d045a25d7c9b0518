//! The files of `deploy/`, as far as they can be tried without a supervisor, a container or a cluster.

use std::path::Path;
use std::time::Duration;

use backroom::job::parse_duration;

use crate::rig::{Run, backroom, ended};

fn deploy(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)).expect(name)
}

/// What stands behind this, on its line, at every place.
fn after<'a>(text: &'a str, what: &'a str) -> Vec<&'a str> {
    text.lines().filter_map(|line| line.trim_start().strip_prefix(what)).map(str::trim).collect()
}

/// The configuration in `kubernetes.yaml`, with its paths in a folder.
fn config_map(folder: &Path) -> String {
    let manifest = deploy("kubernetes.yaml");
    let block = manifest.split("backroom.toml: |\n").nth(1).expect("the configuration");
    let lines = block.lines().take_while(|line| line.is_empty() || line.starts_with("    "));
    let config: Vec<&str> = lines.map(str::trim_start).collect();
    let folder = folder.display();
    config
        .join("\n")
        .replace("/run/secrets/backroom", &format!("{folder}"))
        .replace("/var/lib/backroom", &format!("{folder}"))
}

async fn check(folder: &Path, variables: &[(&str, &str)]) -> Run {
    let mut command = backroom(folder, "", &["check"]);
    command.envs(variables.iter().copied());
    ended(command, "").await
}

/// The names of those who may call, as `backroom config` has them.
async fn callers(folder: &Path, variables: &[(&str, &str)]) -> Vec<String> {
    let mut command = backroom(folder, "", &["config", "--json"]);
    command.envs(variables.iter().copied());
    let shown = ended(command, "").await.json();
    let value = |key: &str| {
        let items = shown["items"].as_array().unwrap();
        items.iter().find(|item| item["key"] == key).map(|item| item["value"].clone()).unwrap_or_default()
    };
    let single = [value("auth.token"), value("auth.token_file")];
    let single = single.iter().any(|value| value.as_str().is_some_and(|text| !text.is_empty()));
    let tokens = value("auth.tokens");
    let tokens =
        tokens.as_array().into_iter().flatten().map(|token| token["name"].as_str().unwrap().to_owned());
    single.then(|| "token".to_owned()).into_iter().chain(tokens).collect()
}

/// With the tokens of `config/production.toml`, and with none.
async fn who_may_call_is_said_by_the_configuration_alone(folder: &Path, variables: &[(&str, &str)]) {
    let production = include_str!("../../config/production.toml");
    let tokens = production.split("\n[auth]\n").nth(1).and_then(|rest| rest.split("\n[").next()).unwrap();
    let names = ["app", "dashboard", "operator"];
    for (name, digit) in names.iter().zip(1..) {
        let token = digit.to_string().repeat(32);
        std::fs::write(folder.join(format!("backroom-{name}-token")), token).unwrap();
    }
    let tokens = tokens.replace("/run/secrets", folder.to_str().unwrap());
    for (auth, known) in [(tokens.as_str(), &names[..]), ("mode = \"none\"", &[])] {
        std::fs::write(folder.join("backroom.toml"), format!("[auth]\n{auth}\n")).unwrap();
        let run = check(folder, variables).await;
        assert_eq!(run.code, 0, "{auth}: {run:?}");
        assert_eq!(callers(folder, variables).await, known);
    }
    std::fs::remove_file(folder.join("backroom.toml")).unwrap();
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "0123456789abcdef0123456789abcdef\n").unwrap();
    folder
}

#[tokio::test]
async fn the_settings_of_the_unit_hold() {
    let (unit, folder) = (deploy("systemd/backroom.service"), folder());
    std::fs::create_dir(folder.path().join("backroom")).unwrap();
    let here = folder.path().to_str().unwrap();
    let settings: Vec<String> =
        after(&unit, "Environment=").iter().map(|setting| setting.replace("%S", here)).collect();
    let variables: Vec<(&str, &str)> =
        settings.iter().map(|setting| setting.split_once('=').unwrap()).collect();
    assert_eq!(variables.len(), 2);
    // What the unit hands over is what the configuration beside it names.
    assert_eq!(after(&unit, "LoadCredential="), ["token:/etc/backroom/token"]);
    let config = deploy("systemd/backroom.toml").replace("/run/credentials/backroom.service", here);
    std::fs::write(folder.path().join("backroom.toml"), &config).unwrap();
    let run = check(folder.path(), &variables).await;
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(callers(folder.path(), &variables).await, ["token"]);
    who_may_call_is_said_by_the_configuration_alone(folder.path(), &variables).await;
    assert_eq!(after(&unit, "Type="), ["notify"]);
    assert_eq!(
        after(&unit, "ExecStart="),
        ["/usr/local/bin/backroom --config /etc/backroom/backroom.toml serve"]
    );
}

#[tokio::test]
async fn the_settings_of_the_image_hold() {
    let (image, folder) = (deploy("Dockerfile"), folder());
    let here = folder.path().to_str().unwrap();
    let settings: Vec<String> = image
        .lines()
        .filter_map(|line| line.trim_start().trim_start_matches("ENV ").strip_prefix("BACKROOM_"))
        .map(|setting| format!("BACKROOM_{}", setting.trim_end_matches([' ', '\\'])))
        .map(|setting| setting.replace("/var/lib/backroom", here))
        .collect();
    let variables: Vec<(&str, &str)> =
        settings.iter().map(|setting| setting.split_once('=').unwrap()).collect();
    assert_eq!(variables.len(), 3);
    // As it is documented to be run; without a token it does not start.
    let documented = deploy("README.md");
    let given =
        documented.split("-e BACKROOM_AUTH__TOKEN_FILE=").nth(1).and_then(|rest| rest.split(' ').next());
    let given = given.unwrap();
    assert!(documented.contains(&format!(":{given}:ro\"")), "{given} is mounted");
    let token = folder.path().join("token");
    let with_token = [&*variables, &[("BACKROOM_AUTH__TOKEN_FILE", token.to_str().unwrap())]].concat();
    let run = check(folder.path(), &with_token).await;
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.out.contains("would listen on http://0.0.0.0:8080"), "{run:?}");
    assert_eq!(callers(folder.path(), &with_token).await, ["token"]);
    check(folder.path(), &variables).await.refused(78, "there is no token");
    who_may_call_is_said_by_the_configuration_alone(folder.path(), &variables).await;
    std::fs::remove_file(&token).unwrap();
    assert_eq!(check(folder.path(), &with_token).await.code, 78);
    // What the health check calls is there.
    let health = after(&image, "HEALTHCHECK ")[0].split("CMD ").nth(1).unwrap();
    let health: Vec<String> = serde_json::from_str(health).unwrap();
    let arguments: Vec<&str> = health[1..].iter().map(String::as_str).collect();
    let run = ended(backroom(folder.path(), "http://127.0.0.1:1", &arguments), "").await;
    run.refused(1, "not ready");
    // The build sees what it needs.
    let seen = deploy("Dockerfile.dockerignore");
    for needed in ["Cargo.toml", "Cargo.lock", "src", "config", "benches", "tests/shuttle", "README.md"] {
        assert!(seen.lines().any(|line| line == format!("!{needed}")), "{needed}");
    }
}

#[tokio::test]
async fn the_settings_of_the_cluster_hold() {
    let (manifest, folder) = (deploy("kubernetes.yaml"), folder());
    std::fs::write(folder.path().join("backroom.toml"), config_map(folder.path())).unwrap();
    let run = check(folder.path(), &[]).await;
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(after(&manifest, "replicas:"), ["1"]);
    assert_eq!(after(&manifest, "strategy:"), ["{ type: Recreate }"]);
    for probe in ["/livez", "/readyz"] {
        assert!(manifest.contains(&format!("httpGet: {{ path: {probe}, port: http }}")), "{probe}");
    }
}

#[test]
fn nobody_kills_before_a_drain_is_over() {
    /// The longest `cancel_grace` as shipped, and what a drain takes besides.
    const REST: Duration = Duration::from_secs(5 + 4);
    let seconds = |text: &str| Duration::from_secs(text.parse().unwrap());
    let drain = |config: &str| {
        let of = |key: &str, shipped: &str| {
            let given = after(config, key).first().map(|value| value.trim_matches('"').to_owned());
            parse_duration(&given.unwrap_or_else(|| shipped.to_owned())).unwrap()
        };
        of("grace = ", "25s") + of("ready_delay = ", "0s") + REST
    };
    let production =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/production.toml"))
            .unwrap();
    assert_eq!(drain(&production), Duration::from_secs(74));
    let unit = deploy("systemd/backroom.service");
    assert!(seconds(after(&unit, "TimeoutStopSec=")[0]) > drain(&production));
    let manifest = deploy("kubernetes.yaml");
    let drains = drain(&config_map(Path::new("")));
    assert_eq!(drains, Duration::from_secs(74));
    assert!(seconds(after(&manifest, "terminationGracePeriodSeconds:")[0]) > drains);
    let stop = deploy("README.md");
    let given = stop.split("docker stop -t ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    assert!(seconds(given) > drain(""));
    assert_eq!(after(&deploy("Dockerfile"), "STOPSIGNAL "), ["SIGTERM"]);
}
