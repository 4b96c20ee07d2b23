"""A filled database is upgraded while senders post to a server of the old version."""

from pathlib import Path

import pytest

from datastore import Datastore, schema_check
from tests.support import databases, upgrades
from tests.support.matrix import some_of

# `python -m benchmarks.upgrade` takes a million.
MESSAGES = 5_000
REVISIONS = upgrades.revisions()
CASES = [(each, kind) for each in REVISIONS for kind in ("sqlite", "postgresql")]
# The longest way, and the one from here to the next version.
ALWAYS = [(REVISIONS[0], "postgresql"), (REVISIONS[-1], "sqlite")]


@pytest.mark.parametrize(("revision", "kind"), some_of(CASES, ALWAYS))
def test_no_sender_gets_an_error(tmp_path: Path, kind: str, revision: str) -> None:
    url = databases.empty_url(kind, tmp_path)
    upgrades.make_filled(url, revision, MESSAGES)
    try:
        with upgrades.versions(revision, tmp_path) as (old, following):
            found = upgrades.upgrade_under_load(url, tmp_path, old, following)
    except LookupError as problem:
        pytest.skip(str(problem))

    assert found.alone.failures == {}
    assert found.during.failures == {}
    assert found.after.failures == {}
    assert len(found.during.times) > 1
    store = Datastore(url)
    with store.engine.connect() as connection:
        now = schema_check.revision(connection)
    store.close()
    is_real = following == upgrades.ROOT
    assert now == (schema_check.newest() if is_real else upgrades.NEXT)
