"""What lies between the web host and the application: proxies in front, and CORS."""

from collections.abc import Callable, Iterable
from typing import Any

from bottle import Bottle, HTTPError

from api import cors
from api.application import identify
from api.context import AppContext
from api.cors import Cors
from api.forwarded import ForwardedRequests
from api.routing import IS_API
from bottlepost.logs import request_ids

Start = Callable[..., Any]
WsgiApp = Callable[[dict[str, Any], Start], Iterable[bytes]]


class Front:
    """Takes every request before the application does, and sees every answer."""

    def __init__(
        self, application: Bottle, forwarded: ForwardedRequests, allowed: Cors
    ) -> None:
        self._application = application
        self._answer: WsgiApp = application.wsgi
        self._forwarded = forwarded
        self._cors = allowed

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        self._forwarded.apply(environ)
        if not self._cors:
            return self._answer(environ, start)
        origin = environ.get("HTTP_ORIGIN", "")
        if (
            cors.is_preflight(environ)
            and self._cors.allows(origin)
            and self._is_for_api(environ)
        ):
            request_id = request_ids.HEADER, identify(environ)
            start("204 No Content", [*self._cors.preflight(origin), request_id])
            return []

        def start_readable(status: str, headers: list[Any], *exc_info: Any) -> Any:
            if cors.READABLE in environ:
                headers = [*headers, *self._cors.headers(origin)]
            return start(status, headers, *exc_info)

        return self._answer(environ, start_readable)

    def _is_for_api(self, environ: dict[str, Any]) -> bool:
        """Whether no page answers the request that a preflight asks about."""
        method = environ["HTTP_ACCESS_CONTROL_REQUEST_METHOD"]
        path = environ["PATH_INFO"].encode("latin-1").decode(errors="ignore")
        try:
            route, _ = self._application.router.match(
                {"REQUEST_METHOD": method, "PATH_INFO": path}
            )
        except HTTPError:
            # The error, too, is for the script to read.
            return True
        return bool(route.config.get(IS_API))


def install(application: Bottle, app: AppContext, allowed: Cors) -> None:
    """Put the front before an application."""
    forwarded = ForwardedRequests(app.addresses, app.public_url)
    application.wsgi = Front(application, forwarded, allowed)
