// Watches a job with the package `eventsource` and writes what it is told, one JSON value a line: events, the opening of
// connections, and the end, after which an EventSource must not come again.
import { EventSource } from "eventsource";

const [url] = process.argv.slice(2);
const say = (value) => console.log(JSON.stringify(value));

const source = new EventSource(url);
source.onopen = () => say({ open: true });
source.onerror = (error) => {
  const closed = source.readyState === EventSource.CLOSED;
  say({ closed, code: error.code ?? null });
  if (closed) process.exit(0);
};
const states = ["scheduled", "pending", "processing", "failed", "completed", "skipped", "dead_lettered", "canceled"];
for (const what of ["snapshot", "progress", ...states]) {
  source.addEventListener(`job.${what}`, (event) => {
    const envelope = JSON.parse(event.data);
    say({ event: event.type, id: event.lastEventId, sequence: envelope.sequence, state: envelope.data.state });
  });
}
