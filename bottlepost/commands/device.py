"""`bottlepost device`: where pushes go."""

from typing import Any

import click

from api.schemas.accounts import NewDevice
from bottlepost.arguments import (
    ID,
    checked,
    opened,
    page_options,
    tell_of_more,
    user_argument,
    user_id,
)
from bottlepost.logs import audit
from bottlepost.printed import Output, as_json
from datastore import accounts, listings, operator_views
from models.accounts import Device
from models.base import utc_now

COLUMNS = ("id", "user_id", "platform", "app", "locale", "disabled_at", "reason")
# In JSON. Not the token: who has it could be pushed to by others.
ALL_COLUMNS = (*COLUMNS, "environment", "registered_at")
PLATFORMS = click.Choice(["apns", "fcm", "webpush", "email"])


@click.group("device")
def command() -> None:
    """List devices, register one, or remove one.

    USER is the number of a user, or ext:ID with the id of your backend.
    """


@command.command("list")
@click.argument("user", metavar="[USER]", required=False)
@click.option("--platform", type=PLATFORMS, help="Only devices of this one.")
@page_options
@as_json
def show(
    *, user: str | None, platform: str | None, after: int, limit: int, is_json: bool
) -> None:
    """List the devices of USER, or of everybody."""
    with opened() as store, store.read() as session:
        found = listings.devices(
            session,
            after=after,
            limit=limit,
            user_id=None if user is None else user_id(session, user),
            platform=platform,
        )
    Output(is_json=is_json).rows(COLUMNS, [_row(device) for device in found])
    tell_of_more(len(found), limit, found[-1].id if found else None, "--after")


@command.command()
@user_argument
@click.argument("platform", type=PLATFORMS)
@click.argument("token")
@click.option("--app", help="The app's APNs topic, if it is not that of the settings.")
@click.option(
    "--environment",
    type=click.Choice(["production", "sandbox"]),
    default="production",
    show_default=True,
    help="Of APNs.",
)
@click.option("--locale", help="The language of the device, such as de-AT.")
@as_json
def add(
    *,
    user: str,
    platform: str,
    token: str,
    app: str | None,
    environment: str,
    locale: str | None,
    is_json: bool,
) -> None:
    """Register a device for USER: its PLATFORM and the TOKEN of the provider.

    Of a browser, the token is its PushSubscription as JSON; of mail, the address.
    """
    fields = {
        "platform": platform,
        "token": token,
        "app": app,
        "environment": environment,
        "locale": locale,
    }
    new = checked(NewDevice, fields)
    with opened() as store, store.write() as session:
        device, is_new = accounts.register_device(
            session, user_id(session, user), **new.model_dump(), now=utc_now()
        )
    audit.command("device add", user=device.user_id, device=device.id)
    Output(is_json=is_json).record({**_row(device), "is_new": is_new})


@command.command()
@click.argument("device_id", metavar="ID", type=ID)
@as_json
def end(*, device_id: int, is_json: bool) -> None:
    """Remove a device; it gets no more pushes until an app registers it again."""
    with opened() as store, store.write() as session:
        number = operator_views.find_device(session, device_id).user_id
        accounts.remove_device(session, number, device_id)
    audit.command("device end", user=number, device=device_id)
    Output(is_json=is_json).done(
        f"device {device_id} of user {number} is removed", id=device_id, user_id=number
    )


def _row(device: Device) -> dict[str, Any]:
    return {name: getattr(device, name) for name in ALL_COLUMNS}
