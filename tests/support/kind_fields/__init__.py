"""The fields of notifications, with values that are right and wrong.

`docs/notifications.md` has the same table; `python -m tests.field_table` writes it.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Field(NamedTuple):
    """A field that a kind may set, or may not because Bottlepost sets it."""

    # Where it is in a definition.
    path: str
    rule: str
    right: tuple[Any, ...]
    # What neither we nor the provider takes.
    wrong: tuple[Any, ...] = ()
    # What only we refuse, because the provider does not look or cannot see it.
    unseen: tuple[Any, ...] = ()
    # What else is in the definition.
    beside: Mapping[str, Any] = {}
    # The field that the problem is about, if it is another one.
    problem: str | None = None
    # Tells rows of the same field apart.
    about: str = ""

    @property
    def name(self) -> str:
        return f"{self.path} ({self.about})" if self.about else self.path

    @property
    def block(self) -> str:
        return self.path.partition(".")[0]

    def definition(self, value: Any) -> dict[str, Any]:
        """A definition with this value."""
        return put(self.beside, self.path.split("."), value)


class Elsewhere(NamedTuple):
    """A field that Bottlepost sets by itself; its test is with the code that does."""

    name: str
    rule: str
    # `path::function`, from tests/ on.
    test: str


def put(there: Mapping[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    """A copy with the value at the path."""
    first, *rest = path
    inner = there.get(first, {})
    return {**there, first: put(inner, rest, value) if rest else value}
