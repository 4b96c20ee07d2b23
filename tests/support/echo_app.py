"""An ASGI application that echoes its requests."""

from typing import Any


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Echo the body and the topic; the path `/418/…` chooses the status 418."""
    if scope["type"] != "http":
        return
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    asked = dict(scope["headers"])
    topic = asked.get(b"apns-topic", b"")
    status = int(scope["path"].split("/")[1])
    headers = [(b"topic", topic), (b"apns-id", asked.get(b"apns-id", b""))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
