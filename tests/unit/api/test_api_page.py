"""docs/api.md names every route."""

import re

import api
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "api.md").read_text()


def shape(path: str) -> str:
    return re.sub(r"<[^>]+>", "<id>", path)


def test_page_names_exactly_the_routes_there_are():
    written = {
        (method, shape(path.rstrip("`")))
        for method, path in re.findall(r"`(GET|POST|PUT|PATCH|DELETE) (/[^\s`]*)", PAGE)
    }
    routes = {(route.method, shape(route.path)) for route in api.ROUTES}
    # This page is part of the documentation of the API.
    routes |= {("GET", "/docs")}

    assert written == routes
