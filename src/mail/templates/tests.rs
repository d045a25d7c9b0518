//! What templates are expected to do, seen from outside.

use serde_json::{Value as Json, json};

use super::{RenderError, Templates};

fn built_in() -> Templates {
    Templates::load("Shop & Söhne", None).unwrap()
}

/// Templates with these files over the built-in ones, or the reasons why not.
pub(super) fn with(files: &[(&str, &str)]) -> Result<Templates, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    for (name, source) in files {
        std::fs::write(folder.path().join(name), source).unwrap();
    }
    let loaded = Templates::load("Shop", Some(folder.path()));
    loaded.map_err(|faults| faults.into_iter().map(|fault| fault.reason).collect())
}

pub(super) fn pointers(templates: &Templates, name: &str, data: &Json) -> Vec<String> {
    templates.check(name, None, data).into_iter().map(|fault| fault.pointer).collect()
}

#[test]
fn every_template_renders_and_names_the_application_everywhere() {
    let samples = built_in().render_samples();
    assert_eq!(samples.iter().map(|(name, ..)| name.as_str()).collect::<Vec<_>>(), built_in().names());
    assert_eq!(built_in().names(), ["job_finished", "password_reset", "welcome"]);
    for (name, _, rendered) in samples {
        let rendered = rendered.unwrap().unwrap();
        let (text, html) = (rendered.text.unwrap(), rendered.html.unwrap());
        assert!(rendered.subject.contains("Shop & Söhne"), "{name}: {}", rendered.subject);
        assert!(text.contains("Shop & Söhne"), "{name}: {text}");
        assert!(html.contains("Shop &amp; Söhne") && !html.contains("Shop & "), "{name}");
        assert!(html.starts_with("<!DOCTYPE html>") && html.contains("<html lang=\"en\""), "{name}");
        assert!(text.lines().all(|line| line.len() <= 998) && !text.contains("\n\n\n"), "{name}:\n{text}");
        for outside in ["src=\"http", "url(http", "@import", "<script", "<link"] {
            assert!(!html.contains(outside), "{name} has {outside}");
        }
    }
}

#[test]
fn the_texts_read_well() {
    let templates = built_in();
    // The space after the dashes marks a signature (RFC 3676 §4.3); the point makes it visible.
    let text =
        |name, data: Json| templates.render(name, None, &data).unwrap().text.unwrap().replace("-- ", "--·");
    insta::assert_snapshot!(text("welcome", json!({"name": "Ada", "action_url": "https://example.com/a?b=1&c=2"})), @r"
    Hello Ada,

    Welcome to Shop & Söhne. Your account is ready.

    Get started here:
    https://example.com/a?b=1&c=2

    If you did not sign up, you can ignore this mail.

    --·
    Sent by Shop & Söhne. This mail was sent automatically.
    ");
    let job = json!({"job": {"id": "019a", "kind": "report", "queue": "default", "state": "dead_lettered", "attempt": 8,
        "max_attempts": 8, "finished_at": "2026-11-20T16:50:00.123Z", "error": {"code": "smtp-550", "message": "no <b>"}}});
    insta::assert_snapshot!(text("job_finished", job), @r"
    The job failed and will not be tried again.

    Job:      019a
    Kind:     report
    Queue:    default
    State:    dead_lettered
    Attempts: 8 of 8
    Finished: 2026-11-20 16:50:00 UTC
    Error:    smtp-550: no <b>

    --·
    Sent by Shop & Söhne. This mail was sent automatically.
    ");
}

#[test]
fn what_is_optional_may_be_missing_or_null() {
    let templates = built_in();
    for data in [json!({"name": "Ada"}), json!({"name": "Ada", "action_url": null, "more": [1]})] {
        assert_eq!(templates.check("welcome", None, &data), []);
        let rendered = templates.render("welcome", None, &data).unwrap();
        assert!(!rendered.text.unwrap().contains("Get started"));
        assert!(!rendered.html.unwrap().contains("Get started"));
    }
    let states = ["completed", "skipped", "dead_lettered", "canceled"];
    for state in states {
        let job =
            json!({"job": {"id": "i", "kind": "k", "state": state, "error": null, "finished_at": null}});
        assert_eq!(templates.check("job_finished", None, &job), [], "{state}");
    }
}

#[test]
fn every_missing_variable_is_reported_and_no_other() {
    let templates = built_in();
    assert_eq!(pointers(&templates, "welcome", &json!({})), ["/data/name"]);
    assert_eq!(
        pointers(&templates, "password_reset", &json!({"name": null})),
        ["/data/name", "/data/reset_url"]
    );
    assert_eq!(
        pointers(&templates, "job_finished", &json!({"job": {"id": "i"}})),
        ["/data/job/kind", "/data/job/state"]
    );
    let half = json!({"job": {"id": "i", "kind": "k", "state": "dead_lettered", "error": {"code": "c"}}});
    assert_eq!(pointers(&templates, "job_finished", &half), ["/data/job/error/message"]);
    assert_eq!(pointers(&templates, "job_finished", &json!({"job": "x"})), ["/data/job"]);
    assert_eq!(pointers(&templates, "welcome", &json!("x")), ["/data"]);
    // Needed only where another one is there.
    let templates = with(&[
        ("offer.subject.txt", "Offer"),
        ("offer.txt", "{% if code is defined %}{{ code }} until {{ until }}{% endif %}{% for i in items %}{{ i.n }}{% endfor %}"),
    ])
    .unwrap();
    assert_eq!(pointers(&templates, "offer", &json!({})), ["/data/items"]);
    assert_eq!(pointers(&templates, "offer", &json!({"code": 1})), ["/data/items", "/data/until"]);
    assert_eq!(pointers(&templates, "offer", &json!({"items": [{"n": 1}, {}]})), ["/data"]);
    assert_eq!(pointers(&templates, "offer", &json!({"items": []})), [""; 0]);
}

#[test]
fn links_and_subjects_cannot_be_abused() {
    let templates = built_in();
    for url in [
        "javascript:alert(1)",
        "JAVASCRIPT:x",
        "data:text/html,x",
        "/relative",
        "https://",
        "https://x/\r\nX: y",
    ] {
        let data = json!({"name": "Ada", "reset_url": url});
        assert_eq!(pointers(&templates, "password_reset", &data), ["/data/reset_url"], "{url}");
    }
    let templates = with(&[
        ("news.subject.txt", "News for {{ who }}"),
        ("news.html", "<a href=\"{{ target }}\">{{ who }}</a>"),
    ])
    .unwrap();
    let check =
        |who: &str, target: &str| pointers(&templates, "news", &json!({"who": who, "target": target}));
    assert_eq!(check("Ada", "https://example.com"), [""; 0]);
    assert_eq!(check("Ada\r\nBcc: eve@example.com", "https://example.com"), ["/data/who"]);
    assert_eq!(check("Ada", "javascript:x"), ["/data/target"]);
    assert_eq!(check("href=".repeat(50).as_str(), "https://example.com"), [""; 0]);
    // What the template does not use is nobody's business.
    let more = json!({"who": "Ada", "target": "https://x.example", "image_url": "/relative"});
    assert_eq!(pointers(&templates, "news", &more), [""; 0]);
    assert_eq!(check(&"ä".repeat(491), "https://x.example"), [""; 0]);
    assert_eq!(check(&"ä".repeat(492), "https://x.example").len(), 1);
    let html = built_in().render("welcome", None, &json!({"name": "<script>\"&"})).unwrap();
    assert!(!html.html.unwrap().contains("<script>"));
    assert!(html.text.unwrap().contains("<script>\"&"), "plain text is not escaped");
}

#[test]
fn faults_never_repeat_a_value() {
    let templates = built_in();
    let data = json!({"name": "s3cret\n", "reset_url": "javascript:s3cret"});
    for (name, data) in [("password_reset", data), ("s3cret-is-no-template-name", json!({}))] {
        let faults = templates.check(name, Some("s3cret!"), &data);
        assert!(!faults.is_empty() && !format!("{faults:?}").contains("s3cret"), "{faults:?}");
    }
}

#[test]
fn an_unknown_template_is_named_with_the_nearest() {
    let faults = built_in().check("wellcome", None, &json!({}));
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].pointer, "/template");
    assert_eq!(
        faults[0].detail,
        "is not a template; did you mean welcome? There are: job_finished, password_reset, welcome"
    );
    assert_eq!(built_in().render("wellcome", None, &json!({})), Err(RenderError::Unknown));
    assert_eq!(
        built_in().check("layout", None, &json!({}))[0].detail,
        "is not a template. There are: job_finished, password_reset, welcome"
    );
}

#[test]
fn a_template_that_does_not_end_runs_out_of_fuel() {
    let endless = "{% for a in range(10000) %}{% for b in range(10000) %}x{% endfor %}{% endfor %}";
    let templates = with(&[("endless.subject.txt", "s"), ("endless.txt", endless)]).unwrap();
    let faults = templates.check("endless", None, &json!({}));
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].detail, "does not fit the template: endless.txt:1: engine ran out of fuel");
}

#[test]
fn a_part_has_a_largest_size() {
    let templates = with(&[
        ("big.subject.txt", "s"),
        ("big.txt", "{% for i in items %}{{ word }}{% endfor %}"),
        ("held.subject.txt", "s"),
        (
            "held.html",
            "{% macro all(items, word) %}{% for i in items %}{{ word }}{% endfor %}{% endmacro %}{{ all(items, word) | length }}",
        ),
    ])
    .unwrap();
    let data = |items: usize| json!({"items": vec![0; items], "word": "x".repeat(1024)});
    assert_eq!(templates.check("big", None, &data(1_023)), []);
    let faults = templates.check("big", None, &data(1_025));
    assert_eq!(faults.len(), 1);
    assert_eq!(
        (faults[0].pointer.as_str(), faults[0].detail.as_str()),
        ("/data", "does not fit the template: big.txt: makes more than 1048576 bytes")
    );
    let file = "held.html".to_owned();
    assert_eq!(templates.render("held", None, &data(9_000)), Err(RenderError::TooLarge { file }));
}

#[test]
fn what_is_missing_is_found_in_a_few_trials() {
    // With trials without end, `zz` would be found to be optional.
    let many: Vec<String> = (0..40).map(|n| format!("{{{{ v{n} }}}}")).collect();
    let source = many.concat() + "{% if zz is defined %}{{ zz }}{% endif %}";
    let templates = with(&[("many.subject.txt", "s"), ("many.txt", &source)]).unwrap();
    assert_eq!(pointers(&templates, "many", &json!({})).len(), 41);
    let deep = with(&[("deep.subject.txt", "s"), ("deep.txt", "{{ a.b.c }}{{ a.b.d }}{{ a.e }}")]).unwrap();
    let data = json!({"a": {"b": {"c": 1}, "x": [1]}});
    assert_eq!(pointers(&deep, "deep", &data), ["/data/a/b/d", "/data/a/e"]);
    let cut = with(&[("cut.subject.txt", "s"), ("cut.txt", "{{ at[:10] }} {{ a.b[1:] }}")]).unwrap();
    assert_eq!(pointers(&cut, "cut", &json!({})), ["/data/a/b", "/data/at"]);
}
