"""A small JSON client over HTTP with one connection per thread."""

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of an error in our format."""
        return self.json["error"]["code"]


class HttpMethods:
    """The HTTP methods as shortcuts of `request`, for all clients of the tests."""

    request: Callable[..., Reply]

    def get(self, path: str, **options: Any) -> Reply:
        return self.request("GET", path, **options)

    def delete(self, path: str) -> Reply:
        return self.request("DELETE", path)

    def post(self, path: str, body: Any = None) -> Reply:
        return self.request("POST", path, body)

    def put(self, path: str, body: Any = None) -> Reply:
        return self.request("PUT", path, body)

    def patch(self, path: str, body: Any = None) -> Reply:
        return self.request("PATCH", path, body)


class Client(HttpMethods):
    """Calls one server; `token` is the bearer token unless `headers` has another."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url.rstrip("/")
        self.token = token
        self._host = urlsplit(url).netloc
        self._local = threading.local()

    def as_user(self, token: str) -> "Client":
        return Client(self.url, token)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """Send bytes, or an iterator of them, unchanged; any other body as JSON."""
        sent = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if body is not None:
            sent["Content-Type"] = "application/json"
            plain = isinstance(body, (bytes, Iterator))
            body = body if plain else json.dumps(body).encode()
        sent |= headers or {}
        is_kept = getattr(self._local, "connection", None) is not None
        try:
            return self._exchange(method, path, body, sent)
        except (http.client.RemoteDisconnected, ConnectionError):
            if not is_kept:
                raise
            # The server has closed an idle connection: retry once on a new one.
            return self._exchange(method, path, body, sent)

    def _exchange(
        self, method: str, path: str, body: Any, headers: dict[str, str]
    ) -> Reply:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection(self._host, timeout=60)
            self._local.connection = connection
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, names, answer.read())
        except Exception:
            self.close()
            raise

    def close(self) -> None:
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None
