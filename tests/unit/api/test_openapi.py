"""The OpenAPI document: valid, with examples that fit, and nothing left unsaid."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

import api
from api import openapi

DOCUMENT = openapi.document(api.DESCRIBED)
OPERATIONS = {
    operation["operationId"]: operation
    for methods in DOCUMENT["paths"].values()
    for operation in methods.values()
}


def bodies() -> Iterator[tuple[str, dict[str, Any]]]:
    """The media types of all requests and responses, and the shared failures."""
    for name, operation in OPERATIONS.items():
        contents = {"request": operation.get("requestBody", {}).get("content", {})}
        for status, response in operation["responses"].items():
            contents[status] = response.get("content", {})
        for where, content in contents.items():
            for kind, body in content.items():
                yield f"{name} {where} {kind}", body
    for name, response in DOCUMENT["components"]["responses"].items():
        yield name, response["content"]["application/json"]


BODIES = dict(bodies())


def test_the_document_is_valid():
    OpenAPIV31SpecValidator(json.loads(json.dumps(DOCUMENT))).validate()


@pytest.mark.parametrize("name", BODIES)
def test_a_body_has_an_example_that_fits(name):
    body = BODIES[name]

    schema = {**body["schema"], "components": DOCUMENT["components"]}
    problems = [
        each.message
        for each in Draft202012Validator(schema).iter_errors(body["example"])
    ]

    assert problems == []
    assert body["example"] not in ("", None)


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """All objects in an example."""
    if isinstance(value, dict):
        yield value
    for each in value.values() if isinstance(value, dict) else value:
        if isinstance(each, dict | list):
            yield from objects(each)


def test_an_example_does_not_contradict_itself():
    shown = [
        each
        for body in BODIES.values()
        if isinstance(body["example"], dict)
        for each in objects(body["example"])
    ]

    jobs = [each for each in shown if "outcomes" in each]
    messages = [each for each in shown if "sender_name" in each]
    ended = [each for each in shown if each.get("state") == "completed"]
    assert all((jobs, messages, ended))
    for job in jobs:
        tried = job["accepted"] + job["failed"]
        assert sum(each["devices"] for each in job["outcomes"]) == tried
        assert job["total"] == tried + job["pending"]
        assert len(job["failures"]) == job["failed"]
    assert all(each["sender_name"] for each in messages)
    assert all(each["finished_at"] for each in ended)


@pytest.mark.parametrize(
    "route",
    [route for route in api.DESCRIBED if route.method in ("POST", "PUT", "PATCH")],
    ids=lambda route: f"{route.method} {route.path_template}",
)
def test_the_example_of_a_request_is_accepted(route):
    body = openapi.get_type_hints(route.handler).get("body")
    if body is None:
        return
    operation = DOCUMENT["paths"][route.path_template][route.method.lower()]

    body.model_validate(
        operation["requestBody"]["content"]["application/json"]["example"]
    )


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_described(name):
    operation = OPERATIONS[name]

    schemes = {key for each in operation["security"] for key in each}
    assert schemes <= set(DOCUMENT["components"]["securitySchemes"])
    assert operation["summary"]
    assert operation["description"]
    assert any(status.startswith("2") for status in operation["responses"])
    assert any(status.startswith("4") for status in operation["responses"])
    assert set(operation["tags"]) <= {tag["name"] for tag in DOCUMENT["tags"]}


def test_tags_say_what_they_are_about():
    assert all(tag["description"] for tag in DOCUMENT["tags"])


def test_no_field_of_a_request_is_there_by_default():
    # Generators would take it for one that every request has.
    schemas = DOCUMENT["components"]["schemas"].values()

    assert not [s for s in schemas if "default" in json.dumps(s.get("required", []))]
    fields = [f for s in schemas for f in s.get("properties", {}).values()]
    assert not [field for field in fields if "default" in field]
