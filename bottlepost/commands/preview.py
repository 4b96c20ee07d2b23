"""`bottlepost preview`."""

import json
from pathlib import Path
from typing import Any, BinaryIO

import click

from bottlepost.database import opened
from bottlepost.printed import as_json, fail
from bottlepost.settings import read as read_settings
from config import Settings
from datastore import kind_documents, kinds
from models.errors import CallerError
from notifier.preview import printed


@click.command("preview")
@click.argument("kind", default="message")
@click.option("--locale", help="The locale of the device, such as de-AT.")
@click.option(
    "--mentioned", is_flag=True, help="The device's owner is mentioned in the message."
)
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    type=click.Choice(["apns", "fcm", "webpush", "email"]),
    help="One or more; all by default.",
)
@click.option("--message", type=click.File("rb"), help="A sample message as JSON.")
@click.option(
    "--file",
    "kinds_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Take the kinds from this file, and not from the database.",
)
@click.option("--raw", is_flag=True, help="Print the bodies as they are, unindented.")
@as_json
def command(
    *,
    kind: str,
    locale: str | None,
    mentioned: bool,
    platforms: tuple[str, ...],
    message: BinaryIO | None,
    kinds_file: Path | None,
    raw: bool,
    is_json: bool,
) -> None:
    """Print the requests of a sample message of a KIND.

    Without a KIND it is that of all messages without one. Nothing is sent, and keys and
    tokens are left out.
    """
    settings = read_settings("preview")
    try:
        content = None if message is None else message.read()
        wanted = printed.wanted(kind, locale, mentioned, platforms, content)
        if kinds_file is None:
            defined = _kinds_of_database(settings)
        else:
            defined = kind_documents.read_file(kinds_file)
        previews = printed.made(settings, defined, wanted)
    except (ValueError, CallerError) as problem:
        fail(str(problem))
    if is_json:
        click.echo(json.dumps(printed.records(previews), ensure_ascii=False))
    else:
        print(printed.text(previews, is_raw=raw), end="")


def _kinds_of_database(settings: Settings) -> dict[str, dict[str, Any]]:
    with opened(settings) as store, store.read() as session:
        return kinds.all(session)
