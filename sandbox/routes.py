"""The part of the sandbox that responds: a provider, or the console."""

from sandbox.apple import apns
from sandbox.browsers import subscriptions
from sandbox.control import console
from sandbox.state import Sandbox
from sandbox.wire.exchange import EventualResponse, Request, Response


def is_for_apple(path: str) -> bool:
    """Whether a path belongs to Apple in every environment."""
    return path.startswith(apns.PREFIX)


def respond(sandbox: Sandbox, request: Request) -> EventualResponse:
    """Respond to a request of any client."""
    path = request.path
    environment = request.connection_state["environment"]
    if path.startswith(subscriptions.PREFIX):
        request.connection_state["trusted"] = True
        return sandbox.webpush.push(request)
    if is_for_apple(path) or environment == "development":
        if request.version != "2":
            return Response(505, (), b'{"reason": "HTTP/2 is needed"}')
        return sandbox.apns[environment].push(request)
    request.connection_state["trusted"] = True
    if path.startswith("/v1/"):
        return sandbox.fcm.push(request)
    if path == "/token":
        return sandbox.access_tokens.grant(request)
    return console.respond(sandbox, request)
