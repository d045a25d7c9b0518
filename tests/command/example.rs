//! The worked example of `examples/invoice`, on the real binary.

use std::path::Path;

use serde_json::{Value, json};

use crate::process::{Place, Process};

/// A server in a copy of the example, as a user would start one there.
async fn serve() -> (Place, Process) {
    let place = Place::new(&[]);
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/invoice");
    for file in ["backroom.toml", "render.py"] {
        std::fs::copy(example.join(file), place.path(file)).unwrap();
    }
    let server = place.start().await;
    (place, server)
}

fn invoice(lines: usize) -> Value {
    let line = json!({"text": "Engine (used) \\ \u{20ac}", "quantity": 2, "unit_price": "921.05"});
    json!({"kind": "invoice.render", "payload":
        {"number": "2026-0042", "customer": "Ada Lovelace", "lines": vec![line; lines]}})
}

/// The offsets in the table lead to the objects: what a reader relies on (ISO 32000-1, 7.5.4).
fn check_pdf(pdf: &[u8], pages: usize) {
    assert!(pdf.starts_with(b"%PDF-1.4\n") && pdf.ends_with(b"%%EOF\n"));
    let find = |bytes: &[u8], from: usize| {
        from + pdf[from..].windows(bytes.len()).position(|window| window == bytes).unwrap()
    };
    let number = |from: usize| -> usize {
        let digits: Vec<u8> = pdf[from..].iter().copied().take_while(u8::is_ascii_digit).collect();
        String::from_utf8(digits).unwrap().parse().unwrap()
    };
    let table = number(find(b"startxref\n", 0) + 10);
    assert!(pdf[table..].starts_with(b"xref\n0 "));
    let objects = number(table + 7);
    assert_eq!(objects, 4 + 2 * pages);
    let entries = find(b"\n", table + 5) + 1;
    for object in 1..objects {
        let at = number(entries + 20 * object);
        assert!(pdf[at..].starts_with(format!("{object} 0 obj\n").as_bytes()), "object {object}");
    }
    find(format!("/Count {pages} ").as_bytes(), 0);
}

#[tokio::test]
async fn an_invoice_becomes_a_pdf() {
    let (_place, server) = serve().await;
    for (lines, pages) in [(1, 1), (40, 1), (41, 2), (100, 3)] {
        let id = server.accepted(&invoice(lines)).await;
        let job = server.end(&id).await;
        assert_eq!(job["state"], "completed", "{job}");
        let said = format!("Rendering page {pages}");
        assert_eq!(job["progress"], json!({"percent": 100, "message": said}));
        let result = server.client.get(format!("{}/api/jobs/{id}/result", server.base)).send().await.unwrap();
        assert_eq!(result.status(), 200);
        assert_eq!(result.headers()["content-type"], "application/pdf");
        let pdf = result.bytes().await.unwrap();
        check_pdf(&pdf, pages);
        let total = format!("(Total: {}.{:02} EUR)", 184_210 * lines / 100, 184_210 * lines % 100);
        let shown = String::from_utf8_lossy(&pdf);
        assert!(shown.contains(&total), "{total} is not in {shown}");
        assert!(shown.contains("Engine \\(used\\) \\\\ "), "{shown}");
        let log = server.get(&format!("/api/jobs/{id}/log")).await;
        let said = if pages == 1 { "1 page".to_owned() } else { format!("{pages} pages") };
        assert_eq!(log["lines"][0]["message"], said.as_str(), "{log}");
    }
    assert_eq!(server.stop().await.code, Some(0));
}

#[tokio::test]
async fn what_is_no_invoice_is_a_dead_letter() {
    let (_place, server) = serve().await;
    let line = |price: Value| json!({"text": "x", "quantity": 1, "unit_price": price});
    for (payload, said) in [
        (json!({"customer": "Ada", "lines": [line(json!("1.00"))]}), "number"),
        (json!({"number": "1", "customer": "Ada", "lines": [line(json!("secret"))]}), "ValueError"),
        (json!({"number": "1", "customer": "Ada", "lines": [line(json!(1))]}), "TypeError"),
        (json!({"number": "1", "customer": "Ada", "lines": []}), "ValueError"),
        (json!([1, 2]), "AttributeError"),
    ] {
        let id = server.accepted(&json!({"kind": "invoice.render", "payload": payload})).await;
        let job = server.end(&id).await;
        assert_eq!(job["state"], "dead_lettered", "{job}");
        let message = format!("the program ended with exit code 65: this is no invoice: {said}");
        assert_eq!(job["error"], json!({"code": "exit-65", "message": message, "retryable": false}));
    }
}

/// Its schema has an example that its program takes.
#[tokio::test]
async fn the_example_of_the_schema_is_rendered() {
    let (_place, server) = serve().await;
    let schema: Value =
        serde_json::from_str(include_str!("../../examples/invoice/invoice.schema.json")).unwrap();
    let payload = &schema["examples"][0];
    let id = server.accepted(&json!({"kind": "invoice.render", "payload": payload})).await;
    assert_eq!(server.end(&id).await["state"], "completed");
}
