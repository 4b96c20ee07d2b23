"""`bottlepost openapi`."""

import json

import click

import api
from api import openapi


@click.command("openapi")
@click.option("--indent", type=click.IntRange(0, 8), default=2, show_default=True)
def command(*, indent: int) -> None:
    """Print the API's description as an OpenAPI document (JSON).

    It is the same as that of GET /openapi.json, and needs no database and no settings.
    """
    document = openapi.document(api.DESCRIBED)
    click.echo(json.dumps(document, indent=indent or None, ensure_ascii=False))
