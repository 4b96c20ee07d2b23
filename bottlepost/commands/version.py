"""`bottlepost version`."""

import platform
from importlib import metadata

import click

from bottlepost.printed import Output, as_json


@click.command("version")
@as_json
def command(*, is_json: bool) -> None:
    """Print the versions of Bottlepost and of Python."""
    Output(is_json=is_json).record(
        {
            "bottlepost": metadata.version("bottlepost"),
            "python": platform.python_version(),
        }
    )
