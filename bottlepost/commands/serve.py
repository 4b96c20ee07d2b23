"""`bottlepost serve`."""

import click

import server


@click.command("serve")
def command() -> None:
    """Run the web server, with its pushes behind the answers.

    The settings are variables of the environment: BOTTLEPOST_HOST, BOTTLEPOST_PORT and
    those of docs/configuration.md. An old database is brought to the newest schema
    first, unless BOTTLEPOST_MIGRATE is "check".
    """
    server.main()
