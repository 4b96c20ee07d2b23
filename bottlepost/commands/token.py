"""`bottlepost token`: the bearer tokens of users."""

from datetime import timedelta
from typing import Any

import click

from bottlepost.arguments import ID, opened, user_argument, user_id
from bottlepost.logs import audit
from bottlepost.printed import Output, as_json
from datastore import accounts
from models.accounts import ApiToken
from models.base import utc_now

COLUMNS = ("id", "created_at", "expires_at", "revoked_at")
MOST_DAYS = 3660


@click.group("token")
def command() -> None:
    """List, add and end the tokens of a user.

    USER is the number of a user, or ext:ID with the id of your backend.
    """


@command.command("list")
@user_argument
@as_json
def show(*, user: str, is_json: bool) -> None:
    """List the tokens of USER, without their secret part."""
    with opened() as store, store.read() as session:
        found = accounts.list_tokens(session, user_id(session, user))
    Output(is_json=is_json).rows(COLUMNS, [_row(token) for token in found])


@command.command()
@user_argument
@click.option(
    "--days",
    type=click.IntRange(1, MOST_DAYS),
    help="After how many days it expires.  [default: never]",
)
@as_json
def add(*, user: str, days: int | None, is_json: bool) -> None:
    """Make a token for USER, and print it: it is shown only now."""
    now = utc_now()
    expires_at = None if days is None else now + timedelta(days=days)
    with opened() as store, store.write() as session:
        number = user_id(session, user)
        token, row = accounts.issue_token(session, number, now, expires_at=expires_at)
    audit.command("token add", user=number, token=row.id)
    Output(is_json=is_json).record(
        {"id": row.id, "user_id": number, "token": token, "expires_at": expires_at}
    )


@command.command()
@user_argument
@click.argument("token_id", metavar="[ID]", type=ID, required=False)
@click.option("--all", "is_all", is_flag=True, help="End every token of USER.")
@as_json
def end(*, user: str, token_id: int | None, is_all: bool, is_json: bool) -> None:
    """End a token of USER at once, by its id."""
    if is_all == (token_id is not None):
        raise click.UsageError("Name the id of a token, or --all.")
    now = utc_now()
    with opened() as store, store.write() as session:
        number = user_id(session, user)
        ids = [token_id] if token_id is not None else []
        if is_all:
            found = accounts.list_tokens(session, number)
            ids = [token.id for token in found if token.revoked_at is None]
        for each in ids:
            accounts.revoke_token(session, number, each, now)
    audit.command("token end", user=number, tokens=len(ids))
    Output(is_json=is_json).done(f"ended: {len(ids)} tokens", ids=ids)


def _row(token: ApiToken) -> dict[str, Any]:
    return {name: getattr(token, name) for name in COLUMNS}
