"""`python -m notifier`: its commands and their mistakes."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from notifier import __main__ as command_line


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["carrier-pigeon"],
        ["polling", "more"],
        ["manager", "walk"],
        ["script", "one"],
        ["rq", "--burst"],
        ["prune"],
    ],
)
def test_wrong_use_exits_with_2(arguments: list[str]) -> None:
    done = CliRunner().invoke(command_line.commands, arguments)

    assert done.exit_code == 2
    assert "Usage: " in done.output


def test_celery_gets_all_further_arguments(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BOTTLEPOST_SERVICE_KEY", "a key nobody needs here")
    monkeypatch.setenv("BOTTLEPOST_RUN_DIR", str(tmp_path))
    # A worker waits for a database that is migrated.
    assert CliRunner().invoke(command_line.commands, ["migrate"]).exit_code == 0
    seen = []

    def run(_settings: object, arguments: tuple[str, ...]) -> int:
        seen.extend(arguments)
        return 3

    monkeypatch.setattr(command_line, "_import", lambda _: SimpleNamespace(run=run))
    arguments = ["worker", "-c", "4", "-Pthreads", "--loglevel=INFO", "--help"]

    done = CliRunner().invoke(command_line.commands, ["celery", *arguments])

    assert (done.exit_code, seen) == (3, arguments)
