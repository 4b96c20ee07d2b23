"""The table of those who left is read in one place."""

import re

from tests.support.paths import ROOT


def test_one_module_alone_reads_the_table():
    """So no other query can take a user who left for a member."""
    readers = {
        path.relative_to(ROOT).as_posix()
        for folder in ("api", "datastore", "notifier", "web", "demo", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"\bDeparture\b|[\"' ]departure\b[\"' ]", path.read_text())
    }

    assert readers == {
        "datastore/departures.py",
        "datastore/migrations/versions/0006_departures.py",
    }
