"""From a route of the table to a callback of Bottle."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, get_type_hints

from bottle import Bottle, HTTPResponse, request

from api import bodies, errors
from api.auth import Access, authenticate
from api.context import AppContext, RawBody, RequestContext, Result
from api.uploads import Upload
from datastore import OUTAGES
from models.errors import CallerError

# Wide enough for every id, and narrower than the databases' widest integer.
ID_DIGITS = 18


@dataclass(frozen=True)
class Route:
    """A row of the table.

    A handler takes the call, the numbers of the path, and `body` or `query` where it
    has one; the annotations of these two say what is let in. An `upload` it reads
    itself, piece by piece.
    """

    method: str
    path: str
    handler: Callable[..., Result[Any]]
    access: Access = Access.USER
    body_limit: int = bodies.BODY_LIMIT
    # What it answers when all is well.
    statuses: tuple[int, ...] = (200,)

    @property
    def template(self) -> str:
        """The path as others write it: /groupchat/{chat_id}."""
        return re.sub(r"<(\w+):id>", r"{\1}", self.path)


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Calls a route's handler with what a request brings, and always has an answer."""

    route: Route
    app: AppContext

    def callback(self) -> Callable[..., HTTPResponse]:
        """What Bottle calls with the path's parts."""
        hints = get_type_hints(self.route.handler)
        route = (self.route.method, self.route.template)
        body, query = hints.get("body"), hints.get("query")
        takes_upload = "upload" in hints

        def answer(environ: dict[str, Any], parts: dict[str, Any]) -> HTTPResponse:
            try:
                with self.app.concurrency:
                    context = self._call(environ)
                # Outside the gate: who sends slowly holds up nobody.
                if body is not None:
                    limit = self.route.body_limit
                    parts["body"] = bodies.read_json(environ, body, limit)
                if takes_upload:
                    parts["upload"] = Upload(environ, self.route.body_limit)
                if query is not None:
                    parts["query"] = bodies.read_query(environ, query)
                with self.app.concurrency:
                    return _response(self.route.handler(context, **parts))
            except CallerError as problem:
                return errors.of_caller(problem)
            except OUTAGES as problem:
                return errors.of_outage(problem)
            except Exception as problem:
                return errors.of_defect(problem)

        def respond(**parts: Any) -> HTTPResponse:
            started = perf_counter()
            response = answer(request.environ, parts)
            seconds = perf_counter() - started
            self.app.traffic.count(*route, response.status_code, seconds)
            return response

        return respond

    def _call(self, environ: dict[str, Any]) -> RequestContext:
        app = self.app
        user, is_service = authenticate(environ, self.route.access, app)
        return RequestContext(
            app=app,
            caller=user,
            is_service=is_service,
            may_wait=bool(environ.get("wsgi.multithread")),
        )


def bottle_of(routes: Iterable[Route], app: AppContext) -> Bottle:
    """A Bottle of these routes that answers its own errors in JSON, too."""
    bottle = Bottle()
    bottle.router.add_filter("id", lambda _: (rf"[0-9]{{1,{ID_DIGITS}}}", int, None))
    bottle.default_error_handler = errors.of_bottle
    for route in routes:
        endpoint = Endpoint(route=route, app=app)
        bottle.route(route.path, method=route.method, callback=endpoint.callback())
    return bottle


def _response(answer: Result[Any]) -> HTTPResponse:
    if answer.body is None:
        return HTTPResponse(status=answer.status)
    if isinstance(answer.body, RawBody):
        headers = {**errors.JSON_HEADERS, **answer.body.headers}
        headers["Content-Type"] = answer.body.content_type
        return HTTPResponse(answer.body.content, status=answer.status, **headers)
    return HTTPResponse(
        answer.body.model_dump_json().encode(),
        status=answer.status,
        **errors.JSON_HEADERS,
    )
