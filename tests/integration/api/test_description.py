"""/openapi.json and /docs, and whether the API conforms to them."""

import json
import re
from html.parser import HTMLParser

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import (
    not_a_server_error,
)
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

import api
from api import openapi


@schemathesis.serializer("application/x-ndjson", "text/csv")
def as_text(ctx, value):
    return str(value).encode(errors="replace")


DOCUMENT = openapi.document(api.DESCRIBED)
CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)
described = schemathesis.openapi.from_dict(DOCUMENT)


OPERATIONS = [result.ok() for result in described.get_all_operations()]


# Not described.parametrize(): its tests share one node id, of which xdist runs one.
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.label)
def test_every_operation_answers_as_it_is_described(operation, clients):
    @given(case=operation.as_strategy())
    @settings(
        max_examples=15,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def check(case):
        for client in clients:
            headers = {"Authorization": f"Bearer {client.token}"}
            answer = case.call(headers=headers, app=client.app)
            case.validate_response(answer, checks=CHECKS)

    check()


@pytest.fixture
def clients(chat_api, ann, bob, chat):
    """A user whose objects have the id 1, and the service."""
    ann.client.post("/devices", {"platform": "apns", "token": "of-ann"})
    chat_api.say(ann, chat, "hello")
    return [ann.client, chat_api.service]


def test_document_is_served_and_knows_every_route(chat_api):
    served = chat_api.anonymous.get("/openapi.json")

    assert served.json == json.loads(json.dumps(DOCUMENT))
    known = {
        (method.upper(), path)
        for path, methods in DOCUMENT["paths"].items()
        for method in methods
    }
    routes = {
        (route.method, re.sub(r"<(\w+):\w+>", r"{\1}", route.path))
        for route in api.DESCRIBED
    }
    assert known == routes


def test_operations_have_names_of_their_own():
    names = [
        operation["operationId"]
        for methods in DOCUMENT["paths"].values()
        for operation in methods.values()
    ]

    assert len(names) == len(set(names))


def test_every_reference_leads_somewhere():
    names = re.findall(r'"#/components/schemas/(\w+)"', json.dumps(DOCUMENT))

    assert set(names) <= set(DOCUMENT["components"]["schemas"])


class Addresses(HTMLParser):
    """The addresses that a page loads or links to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.ids: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("href", "src", "action", "srcset"):
                self.found.append((tag, value))
            if name == "id":
                self.ids.append(value)


def test_docs_show_every_operation_and_load_nothing_foreign(chat_api):
    page = chat_api.anonymous.get("/docs")

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    addresses = Addresses(page.body.decode())
    for tag, target in addresses.found:
        is_ours = (
            chat_api.anonymous.get(target).status == 200 if target[0] == "/" else None
        )
        assert is_ours or (tag, target[1:] in addresses.ids) == ("a", True)
    for methods in DOCUMENT["paths"].values():
        for operation in methods.values():
            assert operation["operationId"] in addresses.ids
