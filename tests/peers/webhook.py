"""Receives webhooks, verifies them with the package `standardwebhooks`, and answers with the statuses that it is given, the
last of them from then on. Writes one JSON value a line: where it listens, then every webhook."""

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from webhook_verify import verify

secret, *answers = sys.argv[1:]


def say(value):
    print(json.dumps(value), flush=True)


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        status = int(answers.pop(0) if len(answers) > 1 else answers[0])
        said = {name: self.headers["webhook-" + name] for name in ("id", "timestamp", "signature")}
        try:
            event = verify(secret, body, self.headers)
            job = event["data"]
            said |= {"verified": True, "type": event["type"], "job": job["id"], "result": job.get("result")}
            said |= {"body": body.decode()}
        except Exception:
            said["verified"], status = False, 400
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()
        say(said)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()
say({"port": server.server_port})
sys.stdin.read()
os._exit(0)
