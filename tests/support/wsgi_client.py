"""A client that calls the WSGI application in this process, without a socket."""

import io
import json
from typing import Any
from urllib.parse import unquote
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

from tests.support.client import HttpMethods, Reply


class WsgiClient(HttpMethods):
    """Like Client, for an application in this process; also validates WSGI's rules."""

    def __init__(self, app: Any, token: str | None = None) -> None:
        self.app = app
        self._checked = validator(app)
        self.token = token

    def as_user(self, token: str | None) -> "WsgiClient":
        return WsgiClient(self.app, token)

    def request(
        self, method: str, path: str, body: Any = None, **environ: Any
    ) -> Reply:
        """Send bytes unchanged, other bodies as JSON; `environ` overrides defaults."""
        path, _, query = path.partition("?")
        sent = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote(path, "latin-1"),
            "QUERY_STRING": query,
        }
        if self.token:
            sent["HTTP_AUTHORIZATION"] = f"Bearer {self.token}"
        if body is not None:
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent |= {
                "CONTENT_TYPE": "application/json",
                "CONTENT_LENGTH": str(len(body)),
            }
        full_environ: dict[str, Any] = {
            **sent,
            "wsgi.input": io.BytesIO(body or b""),
            **environ,
        }
        setup_testing_defaults(full_environ)
        return self._run(full_environ)

    def _run(self, environ: dict[str, Any]) -> Reply:
        started: list[tuple[int, dict[str, str]]] = []

        def start(status: str, headers: list[tuple[str, str]], _: Any = None) -> Any:
            names = {name.lower(): value for name, value in headers}
            started.append((int(status.split(maxsplit=1)[0]), names))
            return lambda data: None

        chunks = self._checked(environ, start)
        try:
            body = b"".join(chunks)
        finally:
            chunks.close()
        status, names = started[-1]
        return Reply(status, names, body)
