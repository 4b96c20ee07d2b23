"""Connects the table of routes to Bottle."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any, get_type_hints

from bottle import Bottle, HTTPResponse, request

from api import bodies, cors, errors
from api.application import Application
from api.auth import Access, authenticate, bearer
from api.context import (
    AppContext,
    LineStream,
    RawBody,
    RequestContext,
    Result,
    origin_of,
)
from api.uploads import Upload
from bottlepost.logs import audit
from datastore import outages

# What the parts of a path may be, by the name of the router's filter.
NAME = "name"
# Enough for every id, and below the largest integer of the databases.
ID_DIGITS = 18
# In the configuration of a Bottle route.
IS_API = "is_api"


@dataclass(frozen=True)
class Route:
    """A row of the table.

    A handler takes the request context, the numbers and names of the path, and `body`
    or `query` if it has one; their annotations are the schemas that validate them. A
    handler with an `upload` reads the body itself, piece by piece.
    """

    method: str
    path: str
    handler: Callable[..., Result[Any]]
    access: Access = Access.USER
    body_limit: int = bodies.BODY_LIMIT
    # The statuses of a success; the first is the usual one.
    statuses: tuple[int, ...] = (200,)
    # Whether the log tells when the service does it; a DELETE is told anyway.
    audited: bool = False

    @property
    def path_template(self) -> str:
        """The path in the notation of OpenAPI: /groupchat/{chat_id}."""
        return re.sub(r"<(\w+):\w+>", r"{\1}", self.path)


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Calls a route's handler, and turns each result or exception into a response."""

    route: Route
    app: AppContext

    def callback(self) -> Callable[..., HTTPResponse]:
        """The function that Bottle calls with the numbers and names of the path."""
        hints = get_type_hints(self.route.handler)
        route = (self.route.method, self.route.path_template)
        body, query = hints.get("body"), hints.get("query")
        takes_upload = "upload" in hints
        is_audited = self.route.audited or self.route.method == "DELETE"

        def handle(environ: dict[str, Any], parts: dict[str, Any]) -> HTTPResponse:
            try:
                with self.app.concurrency:
                    context = self._context(environ)
                # Outside the limit: a client that sends slowly blocks no others.
                if body is not None:
                    limit = self.route.body_limit
                    parts["body"] = bodies.read_json(environ, body, limit)
                if takes_upload:
                    parts["upload"] = Upload(environ, self.route.body_limit)
                if query is not None:
                    parts["query"] = bodies.read_query(environ, query)
                with self.app.limit(self.route.method):
                    result = self._result(context, parts, takes_upload)
                if is_audited and context.is_service:
                    self._audit(environ, parts)
                return _response(result)
            except Exception as problem:
                return errors.as_json(errors.from_exception(problem))

        def respond(**parts: Any) -> HTTPResponse:
            started = perf_counter()
            request.environ[cors.READABLE] = True
            response = handle(request.environ, parts)
            seconds = perf_counter() - started
            self.app.traffic.count(*route, response.status_code, seconds)
            return response

        return respond

    def _result(
        self, context: RequestContext, parts: dict[str, Any], takes_upload: bool
    ) -> Result[Any]:
        """The handler's result.

        The handler is called again if the database has undone its transaction, so it
        writes in one only. An upload can be read only once.
        """
        handler = partial(self.route.handler, context, **parts)
        return handler() if takes_upload else outages.retrying(handler)

    def _audit(self, environ: dict[str, Any], parts: dict[str, Any]) -> None:
        named = {n: part for n, part in parts.items() if isinstance(part, int | str)}
        audit.record(
            f"{self.route.method} {self.route.path_template}",
            who=f"service:{self.app.service_key.fingerprint(bearer(environ))}",
            client=self.app.addresses.of_environ(environ),
            **named,
        )

    def _context(self, environ: dict[str, Any]) -> RequestContext:
        app = self.app
        identify = partial(authenticate, environ, self.route.access, app)
        user, is_service = identify()
        return RequestContext(
            app=app,
            caller=user,
            is_service=is_service,
            address=app.address_of(environ),
            origin=origin_of(environ),
            may_wait=bool(environ.get("wsgi.multithread")),
            prefix=environ.get("SCRIPT_NAME", ""),
            check_caller=identify,
        )


def bottle_of(routes: Iterable[Route], app: AppContext) -> Bottle:
    """A Bottle application of these routes; its own errors are JSON, too."""
    make = Application
    if app.is_traced:
        # It needs OpenTelemetry, which is not always installed.
        from api.traced import TracedApplication as make  # noqa: PLC0415
    bottle = make()
    bottle.router.add_filter("id", lambda _: (rf"[0-9]{{1,{ID_DIGITS}}}", int, None))
    bottle.router.add_filter(NAME, lambda _: (r"[^/]{1,200}", str, None))
    bottle.default_error_handler = errors.from_bottle
    for route in routes:
        endpoint = Endpoint(route=route, app=app)
        bottle.route(
            route.path,
            method=route.method,
            callback=endpoint.callback(),
            **{IS_API: True},
        )
    return bottle


def _response(result: Result[Any]) -> HTTPResponse:
    body, status = result.body, result.status
    if body is None:
        return HTTPResponse(status=status)
    if isinstance(body, LineStream):
        headers = {**errors.JSON_HEADERS, "Content-Type": body.content_type}
        return HTTPResponse(body.pieces, status=status, **headers)
    if isinstance(body, RawBody):
        headers = {**errors.JSON_HEADERS, **body.headers}
        headers["Content-Type"] = body.content_type
        return HTTPResponse(body.content, status=status, **headers)
    content = body.model_dump_json().encode()
    return HTTPResponse(content, status=status, **errors.JSON_HEADERS)
