"""A client that behaves like a browser without scripts: forms, cookies, HTML."""

from typing import Any
from urllib.parse import urlencode

from tests.support.client import Reply
from tests.support.wsgi_client import WsgiClient

FORM = "application/x-www-form-urlencoded"


class BrowserClient(WsgiClient):
    """Accepts HTML, keeps cookies, and posts forms."""

    def __init__(self, app: Any) -> None:
        super().__init__(app)
        self.cookies: dict[str, str] = {}

    def post(
        self, path: str, environ: dict[str, str] | None = None, **form: Any
    ) -> Reply:
        sent = {"CONTENT_TYPE": FORM, **(environ or {})}
        return self.request("POST", path, urlencode(form).encode(), **sent)

    def request(
        self, method: str, path: str, body: Any = None, **environ: Any
    ) -> Reply:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent = {
            "HTTP_ACCEPT": "text/html,application/xhtml+xml,*/*;q=0.8",
            "HTTP_COOKIE": cookies,
            **environ,
        }
        answer = super().request(method, path, body, **sent)
        self._keep_cookie(answer)
        return answer

    def _keep_cookie(self, answer: Reply) -> None:
        cookie = answer.headers.get("set-cookie", "")
        name, _, rest = cookie.partition("=")
        if name:
            self.cookies[name] = rest.partition(";")[0].strip('"')
