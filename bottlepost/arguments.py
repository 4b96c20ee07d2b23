"""What several commands take: a user, a page of a list, fields that the API checks."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import click
from pydantic import BaseModel, ValidationError
from sqlalchemy.orm import Session

from api.schemas import LARGEST_ID, message_of
from bottlepost import database, settings
from bottlepost.printed import fail
from datastore import Datastore, accounts
from models.errors import CallerError

C = TypeVar("C", bound=Callable[..., Any])
M = TypeVar("M", bound=BaseModel)
# In front of a user's id in the app's own backend.
EXTERNAL = "ext:"
LONGEST_PAGE = 10_000
ID = click.IntRange(1, LARGEST_ID)

user_argument: Callable[[C], C] = click.argument("user", metavar="USER")


def page_options(command: C) -> C:
    """--after and --limit, of a list that is ordered by id."""
    after = click.option(
        "--after",
        type=click.IntRange(0, LARGEST_ID),
        default=0,
        help="Begin behind this id, the last one of the page before.",
    )
    limit = click.option(
        "--limit",
        type=click.IntRange(1, LONGEST_PAGE),
        default=50,
        show_default=True,
        help="How many to print.",
    )
    return after(limit(command))


@contextmanager
def opened() -> Iterator[Datastore]:
    """The datastore of the settings; what the caller asked wrongly ends the command."""
    # What its lines in the log are of: "user", also of `bottlepost user add`.
    name = click.get_current_context().find_root().invoked_subcommand
    with database.opened(settings.read(name or "command")) as store, refusals_told():
        yield store


@contextmanager
def refusals_told() -> Iterator[None]:
    """A request that the API would refuse ends the command with the same words."""
    try:
        yield
    except CallerError as problem:
        more = "".join(f" ({name}: {each})" for name, each in problem.details.items())
        fail(f"{problem.message}{more}")


def user_id(session: Session, user: str) -> int:
    """The user (id) that an argument names; raises NotFound."""
    if user.startswith(EXTERNAL):
        return accounts.find_by_external_id(session, user.removeprefix(EXTERNAL)).id
    if not user.isascii() or not user.isdigit() or not 0 < int(user) <= LARGEST_ID:
        raise click.BadParameter(
            f"{user!r} is no number; a user of your backend is {EXTERNAL}ID",
            param_hint="USER",
        )
    accounts.check_users(session, [int(user)])
    return int(user)


def checked(model: type[M], values: Mapping[str, Any]) -> M:
    """The fields as the API takes them; what it would refuse ends the command."""
    given = {name: value for name, value in values.items() if value is not None}
    try:
        return model.model_validate(given)
    except ValidationError as refused:
        first = refused.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise click.UsageError(f"{name}: {message_of(first)}") from None


def tell_of_more(shown: int, limit: int, last: int | None, option: str) -> None:
    """Say how a list goes on; on stderr, so that what is piped is data only."""
    if shown == limit and last is not None:
        click.echo(f"… more may follow: {option} {last}", err=True)
