"""Prepared statements about several rows at once: a list of ids, or many changes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import BindParameter, bindparam

from datastore.prepared import Link, Prepared, Row
from models.base import BigId

# A list is filled up to one of these lengths by repeating its last id, and a longer one
# is cut. So a database prepares few statements, whatever the lists.
LENGTHS = (1, 4, 16, 64, 256)

Ids = Sequence[BindParameter[int]]
NOTHING: Mapping[str, Any] = {}


class PreparedForIds:
    """A statement about rows of given ids, built by a function of their parameters.

    It runs once for each part of a long list. The ids are in order, so that statements
    that lock rows lock them in the same order everywhere.
    """

    def __init__(self, statement: Callable[[Ids], Any]) -> None:
        self._statement = statement
        self._of_length: dict[int, Prepared] = {}

    def all(
        self, link: Link, ids: Sequence[int], values: Mapping[str, Any] = NOTHING
    ) -> list[Row]:
        """The rows of all parts of the list."""
        rows: list[Row] = []
        for prepared, parameters in self._parts(ids, values):
            rows += prepared.all(link, parameters)
        return rows

    def run(
        self, link: Link, ids: Sequence[int], values: Mapping[str, Any] = NOTHING
    ) -> None:
        """Run it for its effect."""
        for prepared, parameters in self._parts(ids, values):
            prepared.count(link, parameters)

    def _parts(
        self, ids: Sequence[int], values: Mapping[str, Any]
    ) -> Iterator[tuple[Prepared, dict[str, Any]]]:
        ordered = sorted(ids)
        for start in range(0, len(ordered), LENGTHS[-1]):
            part = ordered[start : start + LENGTHS[-1]]
            length = next(each for each in LENGTHS if each >= len(part))
            part += part[-1:] * (length - len(part))
            parameters = {_name(place): each for place, each in enumerate(part)}
            yield self._prepared(length), {**values, **parameters}

    def _prepared(self, length: int) -> Prepared:
        prepared = self._of_length.get(length)
        if prepared is None:
            ids = [bindparam(_name(place), type_=BigId) for place in range(length)]
            prepared = self._of_length[length] = Prepared(self._statement(ids))
        return prepared


def _name(place: int) -> str:
    return f"id_{place}"
