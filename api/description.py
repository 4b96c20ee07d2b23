"""GET /openapi.json: the API's own description."""

import json
from collections.abc import Sequence
from functools import cache

from api import openapi
from api.auth import Access
from api.context import RawBody, RequestContext, Result
from api.routing import Route


class Json(RawBody):
    content_type = "application/json"


def describing_route(routes: Sequence[Route]) -> Route:
    """The route that describes the others; it builds the document once, on demand."""

    @cache
    def document() -> bytes:
        return json.dumps(openapi.document(routes)).encode()

    def description(context: RequestContext) -> Result[Json]:
        """Show this API as an OpenAPI 3.1 document."""
        return Result(200, Json(document()))

    return Route("GET", "/openapi.json", description, Access.ANYONE)
