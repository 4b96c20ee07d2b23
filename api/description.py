"""GET /openapi.json: the API's own description."""

import json
from collections.abc import Sequence
from functools import lru_cache

from api import openapi
from api.auth import Access
from api.context import RawBody, RequestContext, Result
from api.routing import Route


class Json(RawBody):
    content_type = "application/json"


def describing_route(routes: Sequence[Route]) -> Route:
    """The route that describes the others; it builds the document once, on demand."""

    @lru_cache(maxsize=8)
    def document(server: str) -> bytes:
        return json.dumps(openapi.document(routes, server)).encode()

    def description(context: RequestContext) -> Result[Json]:
        """Show this API as an OpenAPI 3.1 document."""
        # Relative to the document's own address, so no Host header decides it.
        server = context.app.public_url or context.prefix or "/"
        return Result(200, Json(document(server)))

    return Route("GET", "/openapi.json", description, Access.ANYONE)
