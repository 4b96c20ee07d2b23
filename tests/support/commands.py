"""Runs `bottlepost` commands in this process, as a shell would with these settings."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from click.testing import CliRunner

from bottlepost.cli import bottlepost


class Ran(NamedTuple):
    """What a command has printed, and its status."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Commands:
    """Calls commands with one set of variables."""

    def __init__(self, run_dir: Path, url: str, **variables: str) -> None:
        self.environ = {
            "BOTTLEPOST_RUN_DIR": str(run_dir),
            "BOTTLEPOST_DATABASE_URL": url,
            "BOTTLEPOST_SERVICE_KEY": "k" * 16,
            **{f"BOTTLEPOST_{name}": value for name, value in variables.items()},
        }

    def __call__(self, *arguments: object, answers: str = "") -> Ran:
        words = [str(each) for each in arguments]
        done = CliRunner().invoke(bottlepost, words, answers, env=self.environ)
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Ran(done.exit_code, done.stdout, done.stderr)

    def json(self, *arguments: object) -> Any:
        """What a command that succeeds prints as JSON."""
        ran = self(*arguments, "--json")
        assert ran.status == 0, ran
        return ran.json
