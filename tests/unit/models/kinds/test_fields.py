"""Every field of the providers: what a kind may say, and what the sandbox thinks."""

import json

import pytest

from models import kinds
from models.errors import Invalid
from tests import field_table
from tests.support import kind_requests
from tests.support.kind_fields import Field
from tests.support.paths import ROOT

FIELDS = [pytest.param(field, id=field.name) for field in field_table.FIELDS]


@pytest.mark.parametrize("field", FIELDS)
def test_field(field: Field) -> None:
    for value in field.right:
        _is_taken(field, value)
    for value in (*field.wrong, *field.unseen):
        _is_refused(field, value)
    for value in field.wrong:
        said = kind_requests.refusal(field.definition(value))
        assert said is not None, f"the sandbox takes {value!r}"


def _is_taken(field: Field, value: object) -> None:
    canonical = kinds.check(field.definition(value))

    assert kinds.check(canonical) == canonical
    assert json.loads(json.dumps(canonical)) == canonical
    assert kind_requests.refusal(canonical) is None, f"the sandbox refuses {value!r}"


def _is_refused(field: Field, value: object) -> None:
    expected = field.problem or field.path

    with pytest.raises(Invalid) as refused:
        kinds.check(field.definition(value))

    named = [each["field"] for each in refused.value.details["problems"]]
    assert any(f"{name}.".startswith(f"{expected}.") for name in named), (value, named)


def test_every_row_has_a_value_and_a_name_of_its_own() -> None:
    fields = field_table.FIELDS

    assert [f.name for f in fields if not (f.right or f.wrong or f.unseen)] == []
    assert len({f.name for f in fields}) == len(fields)


def test_the_tests_of_what_bottlepost_sets_exist() -> None:
    missing = [
        each.test
        for section in field_table.SECTIONS
        for each in section.elsewhere
        if not _has_test(each.test)
    ]

    assert missing == []


def _has_test(test: str) -> bool:
    path, _, name = test.partition("::")
    file = ROOT / "tests" / path
    return file.exists() and f"def {name}(" in file.read_text()


def test_the_page_has_the_table_of_the_tests() -> None:
    page = field_table.PAGE.read_text()

    assert field_table.inserted(page) == page, "run python -m tests.field_table"
    assert "| |" not in field_table.table(), "an empty cell"
