"""Whatever a service sends as a definition, the answer is a definition or Invalid."""

from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models import kinds
from models.errors import Invalid
from tests import field_table
from tests.support.kind_fields import Field

FIELDS = st.sampled_from(field_table.FIELDS)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.sampled_from(["{text}", "{", "https://a/{text}", "5", "1s", "#000000"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["title", "body", "count", "a"]), inner)
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(FIELDS, VALUES)
def test_any_value_of_a_field_is_taken_or_refused(field: Field, value: Any) -> None:
    for is_partial in (False, True):
        try:
            found = kinds.check(field.definition(value), partial=is_partial)
        except Invalid:
            continue
        assert kinds.check(found, partial=is_partial) == found


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(FIELDS, FIELDS)
def test_right_changes_of_a_kind_are_taken_or_refused(one: Field, two: Field) -> None:
    """A kind with its changes is again one that may be saved, if they are taken."""
    for before, after in zip(one.right, two.right, strict=False):
        kind, changes = kinds.check(one.definition(before)), two.definition(after)
        changes.pop("members", None)
        try:
            canonical = kinds.check_changes(kind, changes)
        except Invalid:
            continue
        merged = kinds.merge(kind, canonical)
        kinds.check({**merged, "members": False})


@given(VALUES)
def test_what_is_no_definition_is_refused(value: Any) -> None:
    with suppress(Invalid):
        assert kinds.check(value) == {"members": False}
