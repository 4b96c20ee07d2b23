"""What the API says about the fields of a body that it refuses."""

import json
import re

import pytest
from pydantic import TypeAdapter, ValidationError

import api.schemas.chats
import api.schemas.jobs
import api.schemas.kinds
import api.schemas.messages  # noqa: F401 - they define what a body may be
from api.schemas import In, message_of
from api.schemas.accounts import NewUser
from api.schemas.imports import AnyRow

SOME = (5, -1, 1.5, 10**30, True, None, "", "x", "a b", "y" * 9999, [], {}, [{}])
FOREIGN = re.compile("(Input|String|List|Value|Field|Dictionary|Unable|Extra) ")


def problems(adapter: TypeAdapter, value: object) -> dict[str, str]:
    try:
        adapter.validate_json(json.dumps(value))
    except ValidationError as refused:
        found = refused.errors(include_url=False)
        return {".".join(map(str, each["loc"])): message_of(each) for each in found}
    return {}


@pytest.mark.parametrize("model", In.__subclasses__(), ids=lambda model: model.__name__)
def test_every_problem_is_told_in_our_words(model):
    adapter = TypeAdapter(model)
    bodies = [*SOME, *({name: each} for name in model.model_fields for each in SOME)]

    told = [text for body in bodies for text in problems(adapter, body).values()]

    assert told
    assert [text for text in told if FOREIGN.match(text)] == []


def test_a_problem_says_what_is_right():
    user = problems(TypeAdapter(NewUser), {"name": "", "external_id": "a b", "age": 5})
    rows = [problems(TypeAdapter(AnyRow), row) for row in ({"type": "x"}, {}, 5)]

    assert user == {
        "name": "must not be empty",
        "external_id": "must be 1 to 100 printable ASCII characters without spaces",
        "age": "is unknown",
    }
    assert rows[0] == {
        "": "type must be one of 'user', 'conversation', 'device', 'member'"
    }
    assert rows[1:] == [{"": "type is missing"}, {"": "must be an object"}]
