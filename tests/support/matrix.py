"""Cases of a table, of which `make test` runs those that differ most.

The other ones are the same guarantee on one more host, dispatcher or database, each
with processes of its own: `make test-matrix` runs them.
"""

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def some_of(cases: Iterable[Any], always: Collection[Any]) -> list[Any]:
    """The cases as parameters; those that `always` does not name are of the matrix."""
    listed = list(cases)
    if unknown := [case for case in always if case not in listed]:
        raise ValueError(f"no such case: {unknown}")

    def parameter(case: Any) -> Any:
        values = case if isinstance(case, tuple) else (case,)
        marks = () if case in always else (pytest.mark.matrix,)
        return pytest.param(*values, marks=marks)

    return [parameter(case) for case in listed]
