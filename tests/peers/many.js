// Many connections to the hub with @microsoft/signalr, over all transports in turn: each subscribes to one job, and again
// whenever it has come back. Writes what each finds, one JSON value a line; ends with its input.
import { HttpTransportType, HubConnectionBuilder, LogLevel } from "@microsoft/signalr";

const [url, count, job] = process.argv.slice(2);
const say = (value) => console.log(JSON.stringify(value));
const transports = [HttpTransportType.WebSockets, HttpTransportType.ServerSentEvents, HttpTransportType.LongPolling];

const connections = await Promise.all(Array.from({ length: Number(count) }, async (_, client) => {
  const connection = new HubConnectionBuilder()
    .withUrl(url, { transport: transports[client % transports.length] })
    .withAutomaticReconnect({ nextRetryDelayInMilliseconds: () => 100 })
    .configureLogging(LogLevel.None)
    .build();
  const look = async (again) => say({ client, again, state: (await connection.invoke("Subscribe", job)).state });
  connection.onreconnected(() => look(true));
  await connection.start();
  await look(false);
  return connection;
}));
for await (const _ of process.stdin);
await Promise.all(connections.map((connection) => connection.stop()));
