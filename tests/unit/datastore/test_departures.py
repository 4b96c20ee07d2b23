"""The table of those who left is read in few places."""

import re

from tests.support.paths import ROOT


def test_few_modules_read_the_table():
    """So no other query can take a user who left for a member.

    Exports and deletions look for the rows of one user.
    """
    readers = {
        path.relative_to(ROOT).as_posix()
        for folder in ("api", "datastore", "notifier", "web", "demo", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"\bDeparture\b|[\"' ]departure\b[\"' ]", path.read_text())
    }

    assert readers == {
        "datastore/deletion_stages.py",
        "datastore/departures.py",
        "datastore/exports.py",
        "datastore/migrations/versions/0006_departures.py",
    }
