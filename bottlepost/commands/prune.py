"""`bottlepost prune`."""

import click

from bottlepost.database import opened
from bottlepost.logs import audit
from bottlepost.printed import Output, as_json, progress
from bottlepost.settings import read as read_settings
from notifier import prune

MAX_DAYS = 36_500


@click.command("prune")
@click.option(
    "--days",
    # The dashboard shows the last day.
    type=click.IntRange(1, MAX_DAYS),
    required=True,
    help="How long ago the jobs ended.",
)
@click.option(
    "--minutes",
    type=click.IntRange(1),
    help="Leave the rest to the next run after so long.  [default: no limit]",
)
@as_json
def command(*, days: int, minutes: int | None, is_json: bool) -> None:
    """Delete jobs that ended long ago, and old messages.

    It may run beside everything else, by a timer, and be stopped at any moment. How
    long messages are kept is the setting BOTTLEPOST_MESSAGE_DAYS, or a conversation's
    own number of days.
    """
    settings = read_settings("prune")
    # How many there are, only a read of all of them would tell.
    with opened(settings), progress("deleting what is old", None) as gone:
        pruned = prune.run(settings, days=days, minutes=minutes, tell=gone)
    audit.command("prune", days=days, **pruned._asdict())
    output = Output(is_json=is_json)
    if pruned.partitions and not is_json:
        print(f"partitions of push jobs that are gone: {pruned.partitions}")
    output.done(
        f"{pruned.pushes} push jobs and {pruned.imports} imports that ended before"
        f" are gone, {pruned.messages} old messages,"
        f" and {pruned.client_ids} client ids",
        **pruned._asdict(),
    )
