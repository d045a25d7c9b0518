#!/usr/bin/env python3
"""Renders an invoice as a PDF: the payload on stdin, the PDF on stdout, progress on stderr.

Needs nothing but Python's standard library. The payload is described by invoice.schema.json.
"""

import json
import re
import sys
from decimal import Decimal, InvalidOperation

LINES_PER_PAGE = 40
PAGE = (595, 842)  # A4, in points
EX_DATAERR = 65  # the payload is wrong, and stays wrong: do not try again


def say(line):
    print(line, file=sys.stderr, flush=True)


def read(stream):
    """The invoice as lines of text, or the end of the program."""
    try:
        invoice = json.load(stream)
        currency = invoice.get("currency", "EUR")
        rows, total = [], Decimal(0)
        for line in invoice["lines"]:
            if not re.fullmatch(r"[0-9]{1,7}\.[0-9]{2}", line["unit_price"]):
                raise ValueError("unit_price is not a number with two decimals")
            price, quantity = Decimal(line["unit_price"]), int(line["quantity"])
            total += price * quantity
            rows.append(f"{quantity:>6} x {price:>10} {price * quantity:>12}   {line['text']}")
        if not rows:
            raise ValueError("there are no lines")
        head = [f"Invoice {invoice['number']}", "", f"For {invoice['customer']}", ""]
        return head, rows, ["", f"Total: {total} {currency}"]
    except (KeyError, TypeError, ValueError, AttributeError, InvalidOperation) as error:
        # The name of a member is said, a value is not: this ends up in the log of the job.
        what = error.args[0] if isinstance(error, KeyError) else type(error).__name__
        say(f"::error this is no invoice: {what}")
        sys.exit(EX_DATAERR)


def text(line):
    """A string of PDF, in the encoding of the fonts that every reader has."""
    encoded = line.encode("cp1252", "replace")
    return b"(" + re.sub(rb"([\\()])", rb"\\\1", encoded) + b")"


def page(lines):
    """What is drawn on a page."""
    drawn = b"\n".join(text(line) + b" Tj T*" for line in lines)
    return b"BT /F1 10 Tf 16 TL 60 780 Td\n" + drawn + b"\nET"


def pdf(pages):
    """A whole file: catalog, pages, font, and a page with its content for each of them (ISO 32000-1, 7.5)."""
    kids = b" ".join(b"%d 0 R" % (4 + 2 * n) for n in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(pages)),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding >>",
    ]
    for n, content in enumerate(pages):
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents %d 0 R"
            b" /Resources << /Font << /F1 3 0 R >> >> >>" % (*PAGE, 5 + 2 * n)
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))

    out, offsets = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    return out + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
        % (size, table, size, len(out))
    )


def main():
    say("::progress 0 Reading")
    head, rows, foot = read(sys.stdin)
    pages = []
    for start in range(0, len(rows), LINES_PER_PAGE):
        lines = head + rows[start : start + LINES_PER_PAGE]
        last = start + LINES_PER_PAGE >= len(rows)
        pages.append(page(lines + foot if last else lines))
        say(f"::progress {90 * min(start + LINES_PER_PAGE, len(rows)) // len(rows)} Rendering page {len(pages)}")
    sys.stdout.buffer.write(pdf(pages))
    say(f"{len(pages)} page{'s' if len(pages) > 1 else ''}")


if __name__ == "__main__":
    main()
