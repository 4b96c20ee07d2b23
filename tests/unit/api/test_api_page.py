"""docs/api.md."""

import re

import api
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "api.md").read_text()


def shape(path: str) -> str:
    return re.sub(r"<[^>]+>", "<id>", path)


def test_page_names_exactly_the_routes_there_are():
    written = {
        (method, path.rstrip("`"))
        for method, path in re.findall(r"`(GET|POST|PUT|PATCH|DELETE) (/[^\s`]*)", PAGE)
    }
    routes = {(route.method, shape(route.path)) for route in api.ROUTES}
    # A page, but one about the API.
    routes |= {("GET", "/docs")}

    assert written == routes
