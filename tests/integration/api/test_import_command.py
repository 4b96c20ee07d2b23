"""`bottlepost import`: the same rows as by HTTP, with an engine of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select

from datastore import Datastore
from models.chats import Member
from models.imports import ImportChunk, ImportJob
from tests.support import databases
from tests.support.paths import ROOT

ROWS = (
    {"type": "user", "external_id": "u-1", "name": "Ann"},
    {"type": "conversation", "external_id": "c-1", "name": "Lunch"},
    {"type": "member", "conversation": "c-1", "user": "u-1", "role": "owner"},
)
BAD = {"type": "member", "conversation": "c-1", "user": "u-9"}


def run(
    url: str, directory: Path, *arguments: object
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bottlepost", "import", *map(str, arguments)],
        cwd=ROOT,
        env={
            **os.environ,
            "BOTTLEPOST_DATABASE_URL": url,
            "BOTTLEPOST_RUN_DIR": str(directory),
            "BOTTLEPOST_SERVICE_KEY": "k" * 16,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def file_of(directory: Path, *rows: object) -> Path:
    path = directory / "crew.ndjson"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("kind", databases.KINDS)
def test_it_imports_and_waits_for_the_end(tmp_path: Path, kind: str) -> None:
    url = databases.fresh_url(kind, tmp_path)

    done = run(url, tmp_path, file_of(tmp_path, *ROWS), "--json")

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["state"], found["done"], found["failed"]) == ("completed", 3, 0)
    store = Datastore(url)
    with store.read() as session:
        assert len(session.scalars(select(Member)).all()) == 1
    store.close()


def test_bad_lines_are_told_with_status_1(tmp_path: Path) -> None:
    url = databases.fresh_url("sqlite", tmp_path)

    done = run(url, tmp_path, file_of(tmp_path, *ROWS, BAD))

    assert done.returncode == 1
    assert "line 4: user: no user has this external id" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_wrong_file_leaves_nothing(tmp_path: Path) -> None:
    url = databases.fresh_url("sqlite", tmp_path)
    empty, csv = file_of(tmp_path), tmp_path / "crew.csv"
    csv.write_text("what,ever\n1,2\n")
    unnamed = tmp_path / "crew.txt"
    unnamed.write_text("")

    results = [run(url, tmp_path, each) for each in (empty, csv, unnamed)]

    assert [each.returncode for each in results] == [1, 1, 2]
    assert "has no rows" in results[0].stderr
    assert "--format" in results[2].stderr
    assert not [each for each in results if "Traceback" in each.stderr]
    store = Datastore(url)
    with store.read() as session:
        assert session.scalars(select(ImportJob)).all() == []
        assert session.scalars(select(ImportChunk)).all() == []
    store.close()
