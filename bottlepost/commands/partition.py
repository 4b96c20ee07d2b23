"""`bottlepost partition`."""

import click

from bottlepost.database import opened
from bottlepost.logs import audit
from bottlepost.printed import Output, as_json, fail
from bottlepost.settings import read as read_settings
from notifier import partition


@click.command("partition")
@as_json
def command(*, is_json: bool) -> None:
    """Keep push jobs in partitions by month (PostgreSQL only).

    `bottlepost prune` then drops old months as a whole. Running it again changes
    nothing.
    """
    settings = read_settings("partition")
    with opened(settings):
        try:
            is_new = partition.run(settings)
        except partition.Unsupported:
            fail("only PostgreSQL has partitions")
    words = f"push jobs are {'now' if is_new else 'already'} partitioned by month"
    audit.command("partition")
    Output(is_json=is_json).done(words, partitioned=True, changed=is_new)
