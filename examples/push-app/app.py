#!/usr/bin/env python3
"""An app that runs jobs of its own: Backroom pushes them here, signed, and takes the answer for the outcome.

Only Python's standard library. Start it beside Backroom:

    BACKROOM_SECRET=whsec_... python3 app.py 9000

Every library for Standard Webhooks verifies the same signature; verify() shows that there is no magic in it.
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = base64.b64decode(os.environ["BACKROOM_SECRET"].removeprefix("whsec_"))
BACKROOM = os.environ.get("BACKROOM_URL", "http://127.0.0.1:8080")
TOLERANCE = 300  # seconds


def verify(headers, body):
    """Whether the request is from our Backroom, unchanged, and not an old one sent again."""
    identity, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdigit() or abs(time.time() - int(timestamp)) > TOLERANCE:
        return False
    signed = f"{identity}.{timestamp}.".encode() + body
    wanted = base64.b64encode(hmac.new(SECRET, signed, hashlib.sha256).digest()).decode()
    signatures = headers.get("webhook-signature", "").split(" ")
    return any(hmac.compare_digest(signature, f"v1,{wanted}") for signature in signatures)


def progress(job, percent, message):
    """Tells Backroom how far we are; says whether we should stop."""
    request = urllib.request.Request(
        f"{BACKROOM}/api/jobs/{job['id']}/progress",
        data=json.dumps({"percent": percent, "message": message}).encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {job['attempt_token']}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)["cancel_requested"]
    except OSError as error:
        # The work matters more than what is said about it.
        print(f"progress was not told to {BACKROOM}: {error}; is BACKROOM_URL right?", file=sys.stderr)
        return False


def count_words(job):
    """The work: (status, headers, result)."""
    text = job["payload"].get("text")
    if text is None:
        return 422, {}, {"detail": "payload.text is missing"}  # permanent: a dead letter
    if not text.strip():
        return 200, {"Backroom-Outcome": "skipped", "Backroom-Reason": "there is nothing to count"}, None
    if job["payload"].get("busy_until_attempt", 0) > job["attempt"]:
        return 503, {"Retry-After": "0"}, {"detail": "busy"}  # transient: tried again
    if progress(job, 50, "counting"):
        return 503, {}, {"detail": "canceled"}
    return 200, {}, {"words": len(text.split())}


class App(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if not verify(self.headers, body):
            self.answer(401, {}, {"detail": "the signature is not right"})
            return
        self.answer(*count_words(json.loads(body)["data"]))

    def answer(self, status, headers, result):
        body = b"" if result is None else json.dumps(result).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 9000), App)
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
