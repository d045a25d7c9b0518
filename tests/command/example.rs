//! The worked example of `examples/invoice`, on the real binary.

use std::path::Path;

use serde_json::{Value, json};

use crate::process::{Place, Process};

/// A server in a copy of the example, as a user would start one there.
async fn serve() -> (Place, Process) {
    let place = Place::new(&[]);
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/invoice");
    for file in ["backroom.toml", "render.py", "invoice.schema.json"] {
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
async fn what_is_no_invoice_is_refused_at_the_door() {
    let (_place, server) = serve().await;
    let line = |price: Value| json!({"text": "x", "quantity": 1, "unit_price": price});
    for (payload, pointers) in [
        (json!({"customer": "Ada", "lines": [line(json!("1.00"))]}), vec!["/payload/number"]),
        (
            json!({"number": "1", "customer": "Ada", "lines": [line(json!("secret"))]}),
            vec!["/payload/lines/0/unit_price"],
        ),
        (json!({"number": 1, "customer": "Ada", "lines": []}), vec!["/payload/lines", "/payload/number"]),
        (json!([1, 2]), vec!["/payload"]),
    ] {
        let job = json!({"kind": "invoice.render", "payload": payload});
        let answer = server.client.post(format!("{}/api/jobs", server.base)).json(&job).send().await.unwrap();
        assert_eq!(answer.status(), 422);
        let problem: Value = answer.json().await.unwrap();
        let mut found: Vec<&str> = problem["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| error["pointer"].as_str().unwrap())
            .collect();
        found.sort_unstable();
        assert_eq!(found, pointers, "{problem}");
        assert!(!problem.to_string().contains("secret"), "{problem}");
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
