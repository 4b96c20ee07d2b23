"""From a route of the table to a callback of Bottle."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, get_type_hints

from bottle import Bottle, HTTPResponse, request

from api import bodies, errors
from api.auth import Who, admit
from api.call import Answer, Call, House, Page
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
    handler: Callable[..., Answer[Any]]
    who: Who = Who.USER
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
    house: House

    def callback(self) -> Callable[..., HTTPResponse]:
        """What Bottle calls with the path's parts."""
        hints = get_type_hints(self.route.handler)
        route = (self.route.method, self.route.template)
        body, query = hints.get("body"), hints.get("query")
        takes_upload = "upload" in hints

        def answer(environ: dict[str, Any], parts: dict[str, Any]) -> HTTPResponse:
            try:
                with self.house.gate:
                    call = self._call(environ)
                # Outside the gate: who sends slowly holds up nobody.
                if body is not None:
                    limit = self.route.body_limit
                    parts["body"] = bodies.read_json(environ, body, limit)
                if takes_upload:
                    parts["upload"] = Upload(environ, self.route.body_limit)
                if query is not None:
                    parts["query"] = bodies.read_query(environ, query)
                with self.house.gate:
                    return _response(self.route.handler(call, **parts))
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
            self.house.traffic.count(*route, response.status_code, seconds)
            return response

        return respond

    def _call(self, environ: dict[str, Any]) -> Call:
        house = self.house
        user, is_service = admit(environ, self.route.who, house)
        return Call(
            house=house,
            caller=user,
            is_service=is_service,
            may_wait=bool(environ.get("wsgi.multithread")),
        )


def application(routes: Iterable[Route], house: House) -> Bottle:
    """A Bottle of these routes that answers its own errors in JSON, too."""
    app = Bottle()
    app.router.add_filter("id", lambda _: (rf"[0-9]{{1,{ID_DIGITS}}}", int, None))
    app.default_error_handler = errors.of_bottle
    for route in routes:
        endpoint = Endpoint(route=route, house=house)
        app.route(route.path, method=route.method, callback=endpoint.callback())
    return app


def _response(answer: Answer[Any]) -> HTTPResponse:
    if answer.body is None:
        return HTTPResponse(status=answer.status)
    if isinstance(answer.body, Page):
        headers = {**errors.JSON_HEADERS, **answer.body.headers}
        headers["Content-Type"] = answer.body.content_type
        return HTTPResponse(answer.body.content, status=answer.status, **headers)
    return HTTPResponse(
        answer.body.model_dump_json().encode(),
        status=answer.status,
        **errors.JSON_HEADERS,
    )
