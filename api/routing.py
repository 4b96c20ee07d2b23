"""From a route of the table to a callback of Bottle."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Semaphore
from typing import Any, get_type_hints

from bottle import Bottle, HTTPResponse, request

from api import bodies, errors
from api.auth import Who, admit
from api.call import Answer, Call
from datastore import Datastore
from datastore.outage import OUTAGES
from models.errors import CallerError
from notifier.dispatchers import Dispatcher

# Wide enough for every id, and narrower than the databases' widest integer.
ID_PATTERN = r"[0-9]{1,18}"


@dataclass(frozen=True)
class Route:
    """A row of the table.

    A handler takes the call, the numbers of the path, and `body` or `query` where it
    has one; the annotations of these two say what is let in.
    """

    method: str
    path: str
    handler: Callable[..., Answer]
    who: Who = Who.USER
    body_limit: int = bodies.BODY_LIMIT


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Calls a route's handler with what a request brings, and always has an answer."""

    route: Route
    store: Datastore
    dispatcher: Dispatcher
    service_key: str
    # As many requests as it lets through are worked on at once.
    gate: Semaphore

    def callback(self) -> Callable[..., HTTPResponse]:
        """What Bottle calls with the path's parts."""
        hints = get_type_hints(self.route.handler)
        body, query = hints.get("body"), hints.get("query")

        def respond(**parts: Any) -> HTTPResponse:
            environ = request.environ
            try:
                with self.gate:
                    call = self._call(environ)
                # Outside the gate: who sends slowly holds up nobody.
                if body is not None:
                    limit = self.route.body_limit
                    parts["body"] = bodies.read_json(environ, body, limit)
                if query is not None:
                    parts["query"] = bodies.read_query(environ, query)
                with self.gate:
                    return _response(self.route.handler(call, **parts))
            except CallerError as problem:
                return errors.of_caller(problem)
            except OUTAGES as problem:
                return errors.of_outage(problem)
            except Exception as problem:
                return errors.of_defect(problem)

        return respond

    def _call(self, environ: dict[str, Any]) -> Call:
        user, is_service = admit(environ, self.route.who, self.store, self.service_key)
        return Call(
            store=self.store,
            dispatcher=self.dispatcher,
            caller=user,
            is_service=is_service,
        )


def add(app: Bottle, endpoint: Endpoint) -> None:
    route = endpoint.route
    app.route(route.path, method=route.method, callback=endpoint.callback())


def new_app() -> Bottle:
    """A Bottle that knows <name:id> in paths and answers its own errors in JSON."""
    app = Bottle()
    app.router.add_filter("id", lambda _: (ID_PATTERN, int, None))
    app.default_error_handler = errors.of_bottle
    return app


def _response(answer: Answer) -> HTTPResponse:
    if answer.body is None:
        return HTTPResponse(status=answer.status, **answer.headers)
    return HTTPResponse(
        answer.body.model_dump_json().encode(),
        status=answer.status,
        **{
            "Content-Type": "application/json",
            "Cache-Control": "no-store",
            **answer.headers,
        },
    )
