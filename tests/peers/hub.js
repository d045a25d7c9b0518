// Connects to the hub with @microsoft/signalr and does what it is told, one JSON value a line; writes what it is answered
// and what happens in the same form. Ends when there are no more orders.
import { HttpTransportType, HubConnectionBuilder, LogLevel } from "@microsoft/signalr";
import { createInterface } from "node:readline";

const [url, transport, token] = process.argv.slice(2);
const say = (value) => console.log(JSON.stringify(value));

const options = { transport: HttpTransportType[transport] };
if (token) options.accessTokenFactory = () => token;
const connection = new HubConnectionBuilder()
  .withUrl(url, options)
  .withAutomaticReconnect({ nextRetryDelayInMilliseconds: () => 100 })
  .configureLogging(LogLevel.None)
  .build();

connection.on("JobUpdated", ({ type, sequence, data }) => say({ updated: type, sequence, job: data.id }));
connection.onreconnecting((error) => say({ reconnecting: error?.message ?? null }));
connection.onreconnected(() => say({ reconnected: true }));
connection.onclose((error) => say({ closed: error?.message ?? null }));

await connection.start();
say({ started: true });
for await (const line of createInterface({ input: process.stdin })) {
  const { invoke, stream, burst, times, last, args } = JSON.parse(line);
  const failed = (error) => say({ error: error.message });
  if (last) {
    const sent = connection.send(last, ...args).catch(failed);
    // Over the others the client cuts its requests off when it stops; of one that was not answered it is told so.
    if (transport !== "WebSockets") await sent;
    break;
  } else if (burst) {
    const all = Array.from({ length: times }, () => connection.invoke(burst, ...args));
    Promise.allSettled(all).then((ended) => {
      const done = ended.filter(({ status }) => status === "fulfilled").length;
      say({ done, failed: times - done });
    });
  } else if (invoke) connection.invoke(invoke, ...args).then((result) => say({ result }), failed);
  else connection.stream(stream, ...args).subscribe({
    next: ({ type, sequence, data }) => say({ item: type, sequence, state: data.state }),
    complete: () => say({ complete: true }),
    error: failed,
  });
}
await connection.stop();
