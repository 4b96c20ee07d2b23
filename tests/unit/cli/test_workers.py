"""`bottlepost worker …` and other commands: their mistakes, and what workers say."""

import logging
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from bottlepost.cli import bottlepost
from bottlepost.commands import worker as workers


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["carrier-pigeon"],
        ["worker", "carrier-pigeon"],
        ["worker", "polling", "more"],
        ["worker", "manager", "walk"],
        ["worker", "script", "one"],
        ["worker", "rq", "--burst"],
        ["prune"],
        ["openapi", "--indent", "-1"],
    ],
)
def test_wrong_use_exits_with_2(arguments: list[str]) -> None:
    done = CliRunner().invoke(bottlepost, arguments)

    assert done.exit_code == 2
    assert "Usage: " in done.output


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BOTTLEPOST_SERVICE_KEY", "a key nobody needs here")
    monkeypatch.setenv("BOTTLEPOST_RUN_DIR", str(tmp_path))
    # A worker waits for a database that is migrated.
    assert CliRunner().invoke(bottlepost, ["migrate"]).exit_code == 0


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("command", ["polling", "rq", "celery", "script 1"])
def test_a_worker_says_at_its_start_which_settings_it_has(
    command: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("BOTTLEPOST_PUSH_PREVIEW", "sender")
    worker = SimpleNamespace(run=lambda *_: 0)
    monkeypatch.setattr(workers, "_import", lambda _: worker)

    done = CliRunner().invoke(bottlepost, ["worker", *command.split()])

    assert done.exit_code == 0
    assert re.search(r"settings [0-9a-f]{12}: preview sender, ", caplog.text)
    assert "a key nobody needs" not in caplog.text


@pytest.mark.usefixtures("environment")
def test_celery_gets_all_further_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def run(_settings: object, arguments: tuple[str, ...]) -> int:
        seen.extend(arguments)
        return 3

    monkeypatch.setattr(workers, "_import", lambda _: SimpleNamespace(run=run))
    arguments = ["worker", "-c", "4", "-Pthreads", "--loglevel=INFO", "--help"]

    done = CliRunner().invoke(bottlepost, ["worker", "celery", *arguments])

    assert (done.exit_code, seen) == (3, arguments)
