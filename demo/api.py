"""A client of the server's HTTP API, as far as the demo needs it."""

import json
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from demo.choices import CannotRun

# Without the environment's proxy, because the server is on this machine.
_opener = build_opener(ProxyHandler({}))
TIMEOUT_S = 10


class RequestRefused(CannotRun):
    """The server answered with an error status."""


class Api:
    """A server; `token` is a user's token or the service key."""

    def __init__(self, url: str) -> None:
        self._url = url

    def is_ready(self) -> bool:
        try:
            self.call("GET", "/readyz")
        except (CannotRun, OSError, HTTPException):
            return False
        return True

    def call(self, method: str, path: str, token: str = "", body: Any = None) -> Any:
        """The JSON of the response; raises RequestRefused for an error status."""
        request = Request(self._url + path, method=method)  # noqa: S310 - always http
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        if body is not None:
            request.add_header("Content-Type", "application/json")
            request.data = json.dumps(body).encode()
        try:
            with _opener.open(request, timeout=TIMEOUT_S) as response:
                return json.load(response)
        except HTTPError as problem:
            said = problem.read().decode(errors="replace")
            raise RequestRefused(
                f"{method} {path} answered {problem.code}: {said}"
            ) from None
