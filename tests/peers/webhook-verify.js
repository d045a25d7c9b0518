import { Webhook } from "standardwebhooks"; // npm install standardwebhooks

// `body` is the body as it came, before anything has parsed it. Throws when it is not signed with this secret, or is older
// than five minutes.
export function verify(secret, body, headers) {
  return new Webhook(secret).verify(body, {
    "webhook-id": headers["webhook-id"],
    "webhook-timestamp": headers["webhook-timestamp"],
    "webhook-signature": headers["webhook-signature"],
  });
}
