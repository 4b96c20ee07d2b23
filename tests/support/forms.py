"""Browsers' requests: forms, cookies, and the wish for HTML."""

from typing import Any
from urllib.parse import urlencode

from tests.support.client import Reply
from tests.support.wsgi import WsgiClient


class Visitor:
    """Like a browser without scripts, for an application in this process."""

    def __init__(self, app: Any) -> None:
        self._client = WsgiClient(app)
        self.cookies: dict[str, str] = {}

    def get(self, path: str, **environ: str) -> Reply:
        return self._keep(
            self._client.request("GET", path, None, **self._sent(environ))
        )

    def post(
        self, path: str, environ: dict[str, str] | None = None, **form: Any
    ) -> Reply:
        sent = {"CONTENT_TYPE": "application/x-www-form-urlencoded", **(environ or {})}
        return self.send(path, urlencode(form).encode(), **sent)

    def send(self, path: str, body: bytes, **environ: Any) -> Reply:
        """A form of another type."""
        return self._keep(
            self._client.request("POST", path, body, **self._sent(environ))
        )

    def _sent(self, environ: dict[str, Any]) -> dict[str, Any]:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return {
            "HTTP_ACCEPT": "text/html,application/xhtml+xml,*/*;q=0.8",
            "HTTP_COOKIE": cookies,
            **environ,
        }

    def _keep(self, answer: Reply) -> Reply:
        cookie = answer.headers.get("set-cookie", "")
        name, _, rest = cookie.partition("=")
        if name:
            self.cookies[name] = rest.partition(";")[0].strip('"')
        return answer
