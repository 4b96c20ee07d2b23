"""The server's HTTP API, as much of it as the demo needs."""

import json
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from demo.choices import CannotRun

# Loopback is never reached by way of a proxy.
_opener = build_opener(ProxyHandler({}))
TIMEOUT_S = 10


class Refused(CannotRun):
    """The server answered with an error."""


class Api:
    """One server; `token` is a user's or the service key."""

    def __init__(self, url: str) -> None:
        self._url = url

    def is_ready(self) -> bool:
        try:
            self.call("GET", "/readyz")
        except (CannotRun, OSError, HTTPException):
            return False
        return True

    def call(self, method: str, path: str, token: str = "", body: Any = None) -> Any:
        """The answer's JSON; raises Refused for an error of the server."""
        request = Request(self._url + path, method=method)  # noqa: S310 - always http
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        if body is not None:
            request.add_header("Content-Type", "application/json")
            request.data = json.dumps(body).encode()
        try:
            with _opener.open(request, timeout=TIMEOUT_S) as answer:
                return json.load(answer)
        except HTTPError as problem:
            said = problem.read().decode(errors="replace")
            raise Refused(f"{method} {path} answered {problem.code}: {said}") from None
