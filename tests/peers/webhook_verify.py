from standardwebhooks import Webhook  # pip install standardwebhooks


def verify(secret, body, headers):
    """`body` is the body as it came, as bytes or text, before anything has parsed it. Raises when it is not signed with
    this secret, or is older than five minutes."""
    return Webhook(secret).verify(body, {name.lower(): value for name, value in headers.items()})
