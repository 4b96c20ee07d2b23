"""`bottlepost doctor`."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator

import click

from bottlepost import database
from bottlepost.checks import (
    WRONG,
    Finding,
    data,
    keys,
    ok,
    providers,
    this_host,
    wake_ups,
    wrong,
)
from bottlepost.commands import send_test
from bottlepost.printed import Output, as_json
from bottlepost.settings import read as read_settings
from config import Settings, SettingsError, fingerprint
from models.errors import CallerError

COLUMNS = Finding._fields


@click.command("doctor")
@click.option(
    "--push",
    "user",
    metavar="USER",
    help="Also push a test message to the devices of this user.",
)
@click.option("--offline", is_flag=True, help="Connect to no provider.")
@as_json
def command(*, user: str | None, offline: bool, is_json: bool) -> None:
    """Check all that pushes need, and say what helps where it is wrong.

    It changes nothing and pushes nothing, unless --push asks for it. Providers are
    asked at the addresses of the settings. Status 1: something is wrong.
    """
    found = list(_findings(user, offline=offline))
    Output(is_json=is_json).rows(COLUMNS, [each._asdict() for each in found])
    if any(each.state == WRONG for each in found):
        raise SystemExit(1)


def _findings(user: str | None, *, offline: bool) -> Iterator[Finding]:
    try:
        settings = read_settings("doctor")
    except SettingsError as problem:
        yield wrong("settings", str(problem), "see docs/configuration.md")
        return
    # Findings say the same in a line each.
    logging.getLogger("notifier").setLevel(logging.CRITICAL)
    yield ok("settings", fingerprint.summary(settings))
    parts: list[Callable[[Settings], Iterable[Finding]]]
    parts = [this_host.check, data.check, keys.check, wake_ups.check]
    if not offline:
        parts.append(_providers)
    for part in parts:
        yield from part(settings)
    if user is not None:
        yield from _push(settings, user)


def _providers(settings: Settings) -> list[Finding]:
    return asyncio.run(_collected(providers.check(settings)))


async def _collected(found: AsyncIterator[Finding]) -> list[Finding]:
    return [each async for each in found]


def _push(settings: Settings, user: str) -> Iterator[Finding]:
    try:
        with database.opened(settings) as store:
            rows, hint = send_test.push(store, settings, user, send_test.WAIT_S)
    except CallerError as problem:
        yield wrong("test push", problem.message, "bottlepost user list shows users")
        return
    for row in rows:
        text = f"device {row['device']} ({row['platform']}): {row['outcome']}"
        if row["outcome"] == send_test.ACCEPTED:
            yield ok("test push", text)
        else:
            more = f"{text}, {row['reason']}" if row["reason"] else text
            yield wrong("test push", more, hint or "see docs/providers.md")
    if not rows:
        yield wrong("test push", hint or "no device", "register one with the app")
