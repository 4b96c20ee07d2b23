"""`bottlepost user`: who may write and read."""

from typing import Any

import click
from sqlalchemy.orm import Session

from api.schemas.accounts import NewUser
from bottlepost.arguments import (
    checked,
    opened,
    page_options,
    tell_of_more,
    user_argument,
    user_id,
)
from bottlepost.logs import audit
from bottlepost.printed import Output, as_json, confirm
from datastore import accounts
from models.accounts import User
from models.base import utc_now

COLUMNS = ("id", "external_id", "name", "created_at")


@click.group("user")
def command() -> None:
    """List users, add one, or end a user's access.

    USER is the number of a user, or ext:ID with the id of your backend.
    """


@command.command("list")
@page_options
@click.option("--name", help="Only users whose name contains this.")
@as_json
def show(*, after: int, limit: int, name: str | None, is_json: bool) -> None:
    """List users by their id."""
    with opened() as store, store.read() as session:
        found = accounts.list_users(session, after=after, limit=limit, name=name)
    Output(is_json=is_json).rows(COLUMNS, [_row(user) for user in found])
    tell_of_more(len(found), limit, found[-1].id if found else None, "--after")


@command.command()
@click.argument("name")
@click.option("--external-id", help="The id of the user in your backend.")
@click.option("--avatar-url", help="Where the user's picture is (https).")
@as_json
def add(
    *, name: str, external_id: str | None, avatar_url: str | None, is_json: bool
) -> None:
    """Add a user; one who has the external id already stays unchanged.

    A token for the user: bottlepost token add USER.
    """
    new = checked(
        NewUser,
        {"name": name, "external_id": external_id, "avatar_url": avatar_url},
    )
    with opened() as store, store.write() as session:
        user, is_new = accounts.add_user(
            session,
            new.name,
            utc_now(),
            external_id=new.external_id,
            avatar_url=new.avatar_url,
        )
    audit.command("user add", user=user.id)
    Output(is_json=is_json).record({**_row(user), "is_new": is_new})


@command.command()
@user_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
def end(*, user: str, yes: bool, is_json: bool) -> None:
    """End all tokens of USER, and remove all devices.

    Nobody can act as this user any more with a token of ours, and nothing is pushed to
    the user. What the user has written stays.
    """
    if not yes:
        confirm(f"End all tokens and remove all devices of {user}?")
    with opened() as store, store.write() as session:
        number = user_id(session, user)
        tokens, devices = _end(session, number)
    audit.command("user end", user=number, tokens=tokens, devices=devices)
    Output(is_json=is_json).done(
        f"ended: {tokens} tokens; removed: {devices} devices",
        tokens=tokens,
        devices=devices,
    )


def _end(session: Session, number: int) -> tuple[int, int]:
    now = utc_now()
    tokens = [
        token
        for token in accounts.list_tokens(session, number)
        if token.revoked_at is None
    ]
    for token in tokens:
        accounts.revoke_token(session, number, token.id, now)
    devices = accounts.list_devices(session, number)
    for device in devices:
        accounts.remove_device(session, number, device.id)
    return len(tokens), len(devices)


def _row(user: User) -> dict[str, Any]:
    return {name: getattr(user, name) for name in COLUMNS}
