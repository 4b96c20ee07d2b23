"""The kinds of notifications in the API: what the service defines, and the file."""

import json

import pytest

from api.known_kinds import KnownKinds
from datastore import Datastore, kind_documents, kinds
from models.base import utc_now
from tests.support import databases
from tests.support.chat_api import ON_EVERY_DATABASE, ChatApi

LOUD = {"members": False, "apns": {"aps": {"sound": "loud.caf"}}}
CALL = {
    "members": True,
    "patterns": {"default": {"title": "{sender} is calling", "body": "{text}"}},
    "apns": LOUD["apns"],
}


@ON_EVERY_DATABASE
def test_kind_is_defined_shown_replaced_and_removed(chat_api):
    service = chat_api.service

    first = service.put("/kinds/call", CALL)
    shown = service.get("/kinds/call")
    second = service.put("/kinds/call", LOUD)
    listed = service.get("/kinds").json["kinds"]
    removed = service.delete("/kinds/call")

    assert (first.status, second.status, removed.status) == (201, 200, 204)
    assert shown.json == first.json
    assert shown.json["definition"] == CALL
    assert (shown.json["members"], second.json["members"]) == (True, False)
    assert [(kind["name"], kind["from_file"]) for kind in listed] == [("call", False)]
    assert service.get("/kinds/call").code == "not_found"
    assert service.delete("/kinds/call").code == "not_found"
    assert service.get("/kinds").json == {"kinds": []}


@ON_EVERY_DATABASE
def test_same_definition_again_changes_nothing(chat_api):
    first = chat_api.service.put("/kinds/call", CALL).json

    assert chat_api.service.put("/kinds/call", CALL).json == first


@pytest.mark.parametrize(
    "name", ["Call", "1call", "a.b", "a" * 65, "%C3%A4", "-call", "call%20"]
)
def test_name_has_a_rule(chat_api, name):
    refused = chat_api.service.put(f"/kinds/{name}", CALL)

    assert (refused.status, refused.code) == (400, "invalid")
    assert refused.json["error"]["details"] == {"field": "name"}


@pytest.mark.parametrize(
    ("definition", "field"),
    [
        ({"sound": "loud"}, "sound"),
        ({"apns": 7}, "apns"),
        ({"members": "yes"}, "members"),
        ({"email": ["x"]}, "email"),
    ],
)
def test_bad_definition_names_its_field(chat_api, definition, field):
    refused = chat_api.service.put("/kinds/call", definition)

    assert (refused.status, refused.code) == (400, "invalid")
    problems = refused.json["error"]["details"]["problems"]
    assert [each["field"] for each in problems] == [field]
    assert refused.json["error"]["message"].startswith(f"{field}: ")
    assert chat_api.service.get("/kinds/call").status == 404


def test_definition_has_a_limit(chat_api):
    body = "x" * 3000
    long = {"patterns": {place: {"body": body} for place in ("default", "de", "fr")}}
    too_long = {
        "patterns": {
            place: {"body": body} for place in ("default", "de", "fr", "ja", "pt", "it")
        }
    }

    assert chat_api.service.put("/kinds/call", long).status == 201
    refused = chat_api.service.put("/kinds/call", too_long)

    assert (refused.status, refused.code) == (400, "invalid")
    assert "16,384" in refused.json["error"]["message"]


def test_number_of_kinds_has_a_limit(chat_api):
    with chat_api.store.write() as session:
        for number in range(kinds.MOST):
            kinds.save(session, f"kind-{number}", LOUD, utc_now())

    refused = chat_api.service.put("/kinds/call", CALL)

    assert (refused.status, refused.code) == (409, "conflict")
    assert chat_api.service.put("/kinds/kind-0", CALL).status == 200


def with_file(store: Datastore, definitions: dict) -> ChatApi:
    """A web worker that has just begun, with these definitions in its file."""
    known = KnownKinds(definitions)
    known.store_file(store)
    return ChatApi(store, kinds=known)


@pytest.mark.parametrize("kind", databases.KINDS)
def test_kinds_of_the_file_come_and_go_with_it(tmp_path, kind):
    with databases.fresh(kind, tmp_path) as store:
        first = with_file(store, {"call": CALL, "alarm": LOUD})
        first.service.put("/kinds/own", LOUD)
        before = first.service.get("/kinds").json["kinds"]
        # The same file again, and a second worker of the same start.
        with_file(store, {"call": CALL, "alarm": LOUD})
        again = first.service.get("/kinds").json["kinds"]
        second = with_file(store, {"call": LOUD, "news": CALL})

        after = second.service.get("/kinds").json["kinds"]

    assert before == again
    assert [(each["name"], each["from_file"], each["members"]) for each in after] == [
        ("call", True, False),
        ("news", True, True),
        ("own", False, False),
    ]


def test_kinds_of_the_file_are_not_changed_by_the_api(tmp_path):
    with databases.fresh("sqlite", tmp_path) as store:
        service = with_file(store, {"call": CALL}).service

        refused = [service.put("/kinds/call", LOUD), service.delete("/kinds/call")]

        assert [(each.status, each.code) for each in refused] == [
            (409, "kind_of_file")
        ] * 2
        assert service.get("/kinds/call").json["definition"] == CALL


def test_file_takes_a_name_from_the_api(tmp_path):
    with databases.fresh("sqlite", tmp_path) as store:
        with_file(store, {}).service.put("/kinds/call", LOUD)

        service = with_file(store, {"call": CALL}).service

        assert service.get("/kinds/call").json["from_file"]
        assert service.get("/kinds/call").json["definition"] == CALL


def test_file_that_could_not_be_stored_is_stored_by_readyz(tmp_path):
    with databases.fresh("sqlite", tmp_path) as store:
        late = ChatApi(store, kinds=KnownKinds({"call": CALL}))

        assert late.service.get("/kinds").json == {"kinds": []}
        assert late.anonymous.get("/readyz").status == 200
        assert late.service.get("/kinds/call").json["from_file"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("no JSON", "JSON"),
        ("[]", "object"),
        ('{"Call": {}}', "'Call'"),
        ('{"call": 7}', "call"),
        (json.dumps({"call": CALL, "alarm": {"apns": 7}}), "alarm: apns: "),
        (json.dumps({f"kind-{n}": {} for n in range(kinds.MOST + 1)}), "201"),
    ],
    ids=["text", "list", "name", "number", "field", "many"],
)
def test_bad_file_is_refused_with_its_kind_and_field(tmp_path, content, told):
    path = tmp_path / "kinds.json"
    path.write_text(content)

    with pytest.raises(kind_documents.BadKindFile, match=told):
        kind_documents.read_file(path)
