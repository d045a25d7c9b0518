//! What a folder of templates is expected to do, seen from outside: what it may hold, and what is told of what is broken.

use serde_json::json;

use super::tests::{pointers, with};

#[test]
fn a_folder_overrides_adds_and_translates() {
    let templates = with(&[
        ("welcome.txt", "{% extends \"layout.txt\" %}{% block content %}Own {{ name }}{% endblock %}"),
        ("welcome.de.subject.txt", "Willkommen bei {{ app_name }}"),
        ("welcome.de-AT.subject.txt", "Servus bei {{ app_name }}"),
        ("welcome.de.html", "{% extends \"layout.html\" %}{% block heading %}Hallo{% endblock %}"),
        ("promo.subject.txt", "\u{feff}Promo {{ shop.name }}\n"),
        ("promo.html", "{% include \"_bar.html\" %}"),
        ("_bar.html", "<p>{{ shop.city | upper }}</p>"),
        (".DS_Store", "\0"),
        ("README.md", "notes"),
    ])
    .unwrap();
    assert_eq!(templates.names(), ["job_finished", "password_reset", "promo", "welcome"]);
    assert_eq!(templates.locales("welcome"), ["de", "de-at"]);
    let data = json!({"name": "Ada"});
    let subject = |locale| templates.render("welcome", locale, &data).unwrap().subject;
    assert_eq!(subject(None), "Welcome to Shop");
    assert_eq!(subject(Some("fr")), "Welcome to Shop");
    assert_eq!(subject(Some("de")), "Willkommen bei Shop");
    assert_eq!(subject(Some("de-CH")), "Willkommen bei Shop");
    assert_eq!(subject(Some("DE-at")), "Servus bei Shop");
    let german = templates.render("welcome", Some("de-AT"), &data).unwrap();
    assert!(german.html.unwrap().contains("<html lang=\"de\""));
    assert!(german.text.unwrap().starts_with("Own Ada"));
    assert_eq!(pointers(&templates, "promo", &json!({})), ["/data/shop/city", "/data/shop/name"]);
    assert_eq!(templates.check("welcome", Some("de_AT"), &data)[0].pointer, "/locale");
    let samples = templates.render_samples();
    assert_eq!(samples.len(), 6);
    for (name, locale, rendered) in samples {
        rendered.unwrap_or_else(|error| panic!("{name} {locale:?}: {error}"));
    }
}

#[test]
fn everything_broken_is_reported_with_its_line() {
    let faults = with(&[
        ("welcome.html", "fine\n{% if name %}\n{{ name }"),
        ("welcome.txt", "{{ name }}\n\n{% include 'gone.txt' %}"),
        ("half.subject.txt", "no body"),
        ("other.html", "no subject"),
        ("Wrong.html", "name"),
        ("binary.txt", "x"),
    ])
    .err()
    .unwrap();
    let starts = |start: &str| faults.iter().filter(|fault| fault.starts_with(start)).count();
    assert_eq!(starts("Wrong.html: is not the name of a template"), 1, "{faults:?}");
    assert_eq!(starts("welcome.html:3: "), 1, "{faults:?}");
    assert_eq!(starts("welcome.txt:3: there is no file \"gone.txt\""), 1, "{faults:?}");
    assert_eq!(starts("template \"half\" has neither half.txt nor half.html"), 1, "{faults:?}");
    assert_eq!(starts("template \"other\" has no other.subject.txt"), 1, "{faults:?}");
    assert_eq!(starts("template \"binary\" has no"), 1, "{faults:?}");
    assert_eq!(faults.len(), 6, "{faults:?}");
}

#[test]
fn links_that_the_author_wrote_are_the_authors_right() {
    let templates = with(&[
        ("app.subject.txt", "s"),
        (
            "app.html",
            "<img src=\"data:image/png;base64,AAAA\"><a href=\"myapp://open/{{ id }}\">{{ d }}</a><a href=\"{{ target }}\">x</a>",
        ),
    ])
    .unwrap();
    let check =
        |d: &str, target: &str| pointers(&templates, "app", &json!({"id": "5", "d": d, "target": target}));
    for d in ["d", "data", "my", "x"] {
        assert_eq!(check(d, "https://example.com"), [""; 0], "{d}");
    }
    for target in ["data:text/html,x", " DATA:text/html,x", "myapp://close", "javascript:x", "other:x"] {
        assert_eq!(check("x", target), ["/data/target"], "{target}");
    }
    // Many of the author's do not hide one of the data's.
    let many = with(&[
        ("many.subject.txt", "s"),
        (
            "many.html",
            "{% for i in items %}<a href=\"myapp:{{ i }}\">x</a>{% endfor %}<a href=\"{{ target }}\">x</a>",
        ),
    ])
    .unwrap();
    let data = json!({"items": vec!["i"; 500], "target": "myapp:x"});
    assert_eq!(pointers(&many, "many", &data), ["/data/target"]);
    let faults = with(&[
        ("bad.subject.txt", "s"),
        ("bad.html", "<a href='JavaScript:x'>x</a>{{ button(\"vbscript:x\") }}"),
        ("text.subject.txt", "s"),
        ("text.txt", "never click on \"javascript:\""),
    ])
    .err()
    .unwrap();
    assert_eq!(
        faults,
        ["bad.html: no mail may link to javascript:", "bad.html: no mail may link to vbscript:"]
    );
}

#[test]
fn good_templates_are_not_refused_for_what_stands_in() {
    let good = with(&[
        ("offer.subject.txt", "s"),
        ("offer.txt", "{{ price * 2 }}{% if count > 3 %}x{% endif %}"),
        ("mixed.subject.txt", "s"),
        ("mixed.txt", "{{ price - 1 }}{{ at[:10] }}{{ items[0].price * 2 }}"),
    ])
    .unwrap();
    for (name, _, rendered) in good.render_samples() {
        let rendered = rendered.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(rendered.is_none(), name == "mixed", "{name}");
    }
    let sampled = with(&[
        ("mixed.subject.txt", "s"),
        ("mixed.txt", "{{ price * 2 }}{{ name | upper }}"),
        ("mixed.sample.json", "{\"price\": 4, \"name\": \"ada\"}"),
        ("wrong.subject.txt", "s"),
        ("wrong.txt", "{{ name | nofilter }}"),
    ])
    .unwrap();
    let samples = sampled.render_samples();
    let find = |wanted: &str| samples.iter().find(|(name, ..)| name == wanted).unwrap().2.clone();
    assert_eq!(find("mixed").unwrap().unwrap().text.unwrap(), "8ADA\n");
    assert!(find("wrong").is_err());
    let faults = with(&[("gone.sample.json", "{}"), ("welcome.sample.json", "{\n]")]).err().unwrap();
    assert_eq!(
        faults,
        ["welcome.sample.json:2: is not JSON", "gone.sample.json: there is no template \"gone\""]
    );
}

/// Who replaces a shipped text and misspells a variable learns it from `check`, not from the callers of the template.
#[test]
fn a_shipped_template_is_tried_with_the_shipped_sample() {
    let rendered = |files: &[(&str, &str)]| {
        let samples = with(files).unwrap().render_samples();
        samples.into_iter().find(|(name, ..)| name == "password_reset").unwrap().2
    };
    assert!(rendered(&[("password_reset.txt", "{{ name }} {{ reset_url }}")]).is_ok());
    assert!(rendered(&[("password_reset.txt", "{{ nam }} {{ reset_url }}")]).is_err());
    let with_sample = [
        ("password_reset.txt", "{{ nam }} {{ reset_url }}"),
        (
            "password_reset.sample.json",
            "{\"name\": \"a\", \"nam\": \"b\", \"reset_url\": \"https://a.example\"}",
        ),
    ];
    assert!(rendered(&with_sample).is_ok());
}

#[test]
fn files_that_say_the_same_or_nothing_are_faults() {
    let commented = ("a.txt", "{# {% include \"gone.txt\" %} #}x");
    assert!(with(&[("a.subject.txt", "s"), commented]).is_ok());
    let faults = with(&[("layout.de.html", "x"), ("welcome.de.html", "x"), ("welcome.DE.html", "x")]);
    assert_eq!(
        faults.err().unwrap(),
        [
            "layout.de.html: is never used: name it in {% extends %}, for a layout has no locale",
            "welcome.de.html: is the same as welcome.DE.html; capitals do not count",
        ]
    );
    assert!(
        with(&[("layout.de.html", "x"), ("welcome.de.html", "{% extends \"layout.de.html\" %}")]).is_ok()
    );
}
