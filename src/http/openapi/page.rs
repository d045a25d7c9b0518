//! The description as a page: for people, without the internet, without JavaScript.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::page_parts::{code, escaped, prose, rows, schema_of, slug, text};

const STYLE: &str = include_str!("page.css");
/// The methods in the order in which a path tells them.
const METHODS: [&str; 4] = ["get", "post", "patch", "delete"];

/// The page is text and one style, which is named by its hash; nothing else is loaded or run.
pub(super) fn security_policy() -> String {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// Renders a description.
pub(super) fn html(document: &Value) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width\">\n<title>{0} API</title>\n<style>{STYLE}</style>\n</head>\n<body>\n",
        text(&document["info"], "title"),
    );
    contents(document, &mut page);
    let info = &document["info"];
    let _ = write!(
        page,
        "<main>\n<h1>{} API <small>{}</small></h1>\n{}<p>For programs: <a href=\"openapi.json\">openapi.json</a>, \
         OpenAPI {}.</p>\n",
        text(info, "title"),
        text(info, "version"),
        prose(&info["description"]),
        text(document, "openapi"),
    );
    for tag in items(&document["tags"]) {
        let name = text(tag, "name");
        let _ = write!(page, "<h2 id=\"{}\">{name}</h2>\n{}", slug(&name), prose(&tag["description"]));
        for (path, method, operation) in of_tag(&document["paths"], tag) {
            operation_of(document, path, method, operation, &mut page);
        }
    }
    page.push_str("<h2 id=\"webhooks\">Requests that this server sends</h2>\n");
    for (name, method, operation) in operations(&document["webhooks"]) {
        operation_of(document, name, method, operation, &mut page);
    }
    page.push_str("<h2 id=\"schemas\">Schemas</h2>\n");
    for (name, schema) in members(&document["components"]["schemas"]) {
        let name = escaped(name);
        let _ = write!(
            page,
            "<section id=\"schema-{name}\">\n<h3>{name}</h3>\n{}",
            prose(&schema["description"])
        );
        page.push_str(&rows(schema));
        page.push_str("</section>\n");
    }
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

fn contents(document: &Value, page: &mut String) {
    page.push_str("<nav aria-label=\"Contents\">\n");
    for tag in items(&document["tags"]) {
        let name = text(tag, "name");
        let _ = write!(page, "<a class=\"tag\" href=\"#{}\">{name}</a>\n<ul>\n", slug(&name));
        for (_, _, operation) in of_tag(&document["paths"], tag) {
            let (id, summary) = (text(operation, "operationId"), text(operation, "summary"));
            let _ = writeln!(page, "<li><a href=\"#{id}\">{summary}</a></li>");
        }
        page.push_str("</ul>\n");
    }
    page.push_str("<a class=\"tag\" href=\"#webhooks\">Requests that this server sends</a>\n");
    page.push_str("<a class=\"tag\" href=\"#schemas\">Schemas</a>\n</nav>\n");
}

fn operation_of(document: &Value, path: &str, method: &str, operation: &Value, page: &mut String) {
    let _ = write!(
        page,
        "<section id=\"{}\">\n<h3>{}</h3>\n<p class=\"request\"><b class=\"{method}\">{}</b> <code>{}</code></p>\n{}",
        text(operation, "operationId"),
        text(operation, "summary"),
        method.to_uppercase(),
        escaped(path),
        prose(&operation["description"]),
    );
    parameters(document, &document["paths"][path]["parameters"], operation, page);
    if let Some(content) = operation["requestBody"]["content"].as_object() {
        page.push_str("<h4>Body</h4>\n");
        media(document, content, page);
    }
    page.push_str("<h4>Answers</h4>\n<dl>\n");
    for (status, response) in members(&operation["responses"]) {
        let response = resolved(document, response);
        let _ = write!(page, "<dt><code>{status}</code></dt>\n<dd>{}", prose(&response["description"]));
        let headers: Vec<String> = members(&response["headers"])
            .map(|(name, _)| name.as_str())
            // What every answer has is said once, at the top.
            .filter(|name| !matches!(*name, "X-Request-Id" | "Cache-Control"))
            .map(code)
            .collect();
        if !headers.is_empty() {
            let _ = writeln!(page, "<p>Headers: {}</p>", headers.join(", "));
        }
        if let Some(content) = response["content"].as_object() {
            media(document, content, page);
        }
        page.push_str("</dd>\n");
    }
    page.push_str("</dl>\n");
    for (name, callback) in members(&operation["callbacks"]) {
        let _ = writeln!(page, "<h4>Calls back: {}</h4>", escaped(name));
        for (expression, method, operation) in operations(callback) {
            operation_of(document, expression, method, operation, page);
        }
    }
    page.push_str("</section>\n");
}

fn parameters(document: &Value, of_path: &Value, operation: &Value, page: &mut String) {
    let all: Vec<&Value> =
        items(of_path).chain(items(&operation["parameters"])).map(|it| resolved(document, it)).collect();
    if all.is_empty() {
        return;
    }
    page.push_str("<h4>Parameters</h4>\n<table>\n");
    for parameter in all {
        let _ = writeln!(
            page,
            "<tr><th><code>{}</code><br><small>{}</small></th><td>{}</td><td>{}</td></tr>",
            text(parameter, "name"),
            text(parameter, "in"),
            schema_of(&parameter["schema"]),
            prose(&parameter["description"]),
        );
    }
    page.push_str("</table>\n");
}

/// What a body is, by its media types, with its examples folded away.
fn media(document: &Value, content: &Map<String, Value>, page: &mut String) {
    for (media_type, media) in content {
        let _ = writeln!(page, "<p>{}: {}</p>", code(media_type), schema_of(&media["schema"]));
        let many = members(&media["examples"]).map(|(name, example)| {
            let example = resolved(document, example);
            (example["summary"].as_str().unwrap_or(name), &example["value"])
        });
        let one = media.get("example").map(|example| ("Example", example));
        for (name, example) in many.chain(one) {
            let shown = match example {
                Value::String(text) => text.clone(),
                json => serde_json::to_string_pretty(json).unwrap_or_default(),
            };
            let (name, shown) = (escaped(name), escaped(&shown));
            let _ = writeln!(page, "<details><summary>{name}</summary><pre>{shown}</pre></details>");
        }
    }
}

/// The operations of all paths, of which `tag` is the first.
fn of_tag<'a>(paths: &'a Value, tag: &'a Value) -> impl Iterator<Item = (&'a str, &'static str, &'a Value)> {
    operations(paths).filter(move |(_, _, operation)| operation["tags"][0] == tag["name"])
}

fn operations(paths: &Value) -> impl Iterator<Item = (&str, &'static str, &Value)> {
    members(paths).flat_map(|(path, item)| {
        METHODS.into_iter().filter_map(move |method| Some((path.as_str(), method, item.get(method)?)))
    })
}

fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let pointer = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(value)
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}
