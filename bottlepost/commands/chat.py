"""`bottlepost chat`: the conversations."""

from typing import Any

import click

from api.schemas.chats import NewChat
from api.seats import SEATS_PER_TURN
from bottlepost.arguments import (
    ID,
    checked,
    opened,
    page_options,
    tell_of_more,
    user_id,
)
from bottlepost.logs import audit
from bottlepost.printed import Output, as_json, confirm
from datastore import accounts, chats, listings
from models.base import utc_now
from models.chats import Chat

COLUMNS = ("id", "external_id", "name", "members", "messages", "created_at")


@click.group("chat")
def command() -> None:
    """List conversations and their members, add one, or end one."""


@command.command("list")
@page_options
@as_json
def show(*, after: int, limit: int, is_json: bool) -> None:
    """List the conversations that have not ended."""
    with opened() as store, store.read() as session:
        found = listings.chats(session, after=after, limit=limit)
    rows = [_row(chat, members) for chat, members in found]
    Output(is_json=is_json).rows(COLUMNS, rows)
    tell_of_more(len(rows), limit, rows[-1]["id"] if rows else None, "--after")


@command.command()
@click.argument("chat_id", metavar="ID", type=ID)
@page_options
@as_json
def members(*, chat_id: int, after: int, limit: int, is_json: bool) -> None:
    """List the members of a conversation."""
    with opened() as store, store.read() as session:
        chats.get(session, chat_id)
        found = chats.members(session, chat_id, after=after, limit=limit)
    columns = ("id", "name", "role", "read_seq")
    rows = [{name: getattr(each, name) for name in columns} for each in found]
    Output(is_json=is_json).rows(columns, rows)
    tell_of_more(len(rows), limit, found[-1].id if found else None, "--after")


@command.command()
@click.argument("name")
@click.argument("users", metavar="[USER]...", nargs=-1)
@click.option("--owner", help="The user who may rename and end it.")
@click.option("--external-id", help="The id of the conversation in your backend.")
@as_json
def add(
    *,
    name: str,
    users: tuple[str, ...],
    owner: str | None,
    external_id: str | None,
    is_json: bool,
) -> None:
    """Begin a conversation of these users; a known external id changes nothing.

    USER is the number of a user, or ext:ID with the id of your backend.
    """
    if len(users) > SEATS_PER_TURN:
        raise click.UsageError(
            f"At most {SEATS_PER_TURN} users at once; import more of them."
        )
    new = checked(NewChat, {"name": name, "external_id": external_id})
    with opened() as store, store.write() as session:
        ids = {user_id(session, user) for user in users}
        owner_id = None if owner is None else user_id(session, owner)
        accounts.check_users(session, sorted(ids))
        chat, is_new = chats.create(
            session,
            new.name,
            owner_id=owner_id,
            user_ids=sorted(ids),
            now=utc_now(),
            external_id=new.external_id,
        )
        count = chats.count_members(session, chat.id)
    audit.command("chat add", conversation=chat.id)
    Output(is_json=is_json).record({**_row(chat, count), "is_new": is_new})


@command.command()
@click.argument("chat_id", metavar="ID", type=ID)
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
def end(*, chat_id: int, yes: bool, is_json: bool) -> None:
    """End a conversation: it is no longer shown, and its messages are not pushed."""
    if not yes:
        confirm(f"End conversation {chat_id} for all its members?")
    with opened() as store, store.write() as session:
        chats.get(session, chat_id, for_update=True)
        chats.remove(session, chat_id, utc_now())
    audit.command("chat end", conversation=chat_id)
    Output(is_json=is_json).done(f"conversation {chat_id} has ended", id=chat_id)


def _row(chat: Chat, members: int) -> dict[str, Any]:
    return {
        "id": chat.id,
        "external_id": chat.external_id,
        "name": chat.name,
        "members": members,
        "messages": chat.last_seq,
        "created_at": chat.created_at,
    }
