// Receives webhooks, verifies them with the package `standardwebhooks`, and answers with the statuses that it is given, the
// last of them from then on. Writes one JSON value a line: where it listens, then every webhook.
import { createServer } from "node:http";
import { verify } from "./webhook-verify.js";

const [secret, ...answers] = process.argv.slice(2);
const say = (value) => console.log(JSON.stringify(value));

const server = createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const body = Buffer.concat(chunks).toString();
    const status = Number(answers.length > 1 ? answers.shift() : answers[0]);
    const { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signature } = request.headers;
    let event = null;
    try {
      event = verify(secret, body, request.headers);
    } catch {
      response.writeHead(400).end();
      say({ id, timestamp, signature, verified: false });
      return;
    }
    response.writeHead(status).end();
    say({ id, timestamp, signature, verified: true, type: event.type, job: event.data.id, result: event.data.result, body });
  });
});
server.listen(0, "127.0.0.1", () => say({ port: server.address().port }));
process.stdin.on("end", () => process.exit(0)).resume();
