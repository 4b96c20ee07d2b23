"""Users, their tokens and their devices."""

from contextlib import suppress
from datetime import timedelta

from api.context import RequestContext, Result
from api.schemas.accounts import (
    EMAIL,
    ChangedUser,
    CreatedUser,
    DeviceOut,
    Devices,
    Logout,
    NewDevice,
    NewToken,
    NewUser,
    Token,
    TokenOut,
    Tokens,
    UserOut,
    UserQuery,
    WebpushKey,
    device_out,
)
from datastore import accounts
from models.base import utc_now
from models.errors import Forbidden, NotFound


def create_user(context: RequestContext, body: NewUser) -> Result[CreatedUser]:
    """Make a user and their first token.

    A user who has this external_id already stays as they are, and gets another token.
    """
    now = utc_now()
    with context.store.write() as session:
        user, is_new = accounts.add_user(
            session, body.name, now, external_id=body.external_id
        )
        token, _ = accounts.issue_token(session, user.id, now)
    shown = UserOut.model_validate(user, from_attributes=True)
    created = CreatedUser(**shown.model_dump(), token=token)
    return Result(201 if is_new else 200, created)


def find_user(context: RequestContext, query: UserQuery) -> Result[UserOut]:
    """The user whom your backend, and an import, knows by this name."""
    with context.store.read() as session:
        user = accounts.find_by_external_id(session, query.external_id)
    return Result(200, UserOut.model_validate(user, from_attributes=True))


def rename_user(
    context: RequestContext, user_id: int, body: ChangedUser
) -> Result[UserOut]:
    """Give a user another name; notifications that are out keep the old one."""
    with context.store.write() as session:
        user = accounts.rename_user(session, user_id, body.name)
    return Result(200, UserOut.model_validate(user, from_attributes=True))


def create_token(
    context: RequestContext, user_id: int, body: NewToken
) -> Result[Token]:
    """Make another token for a user."""
    now = utc_now()
    ends = now + timedelta(seconds=body.expires_in) if body.expires_in else None
    with context.store.write() as session:
        token, row = accounts.issue_token(session, user_id, now, expires_at=ends)
    issued = Token(
        id=row.id,
        user_id=user_id,
        token=token,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
    return Result(201, issued)


def list_tokens(context: RequestContext, user_id: int) -> Result[Tokens]:
    """A user's tokens, without what is secret about them."""
    with context.store.read() as session:
        tokens = accounts.list_tokens(session, user_id)
    listed = [TokenOut.model_validate(row, from_attributes=True) for row in tokens]
    return Result(200, Tokens(tokens=listed))


def revoke_token(context: RequestContext, user_id: int, token_id: int) -> Result[None]:
    """End a token before its time."""
    with context.store.write() as session:
        accounts.revoke_token(session, user_id, token_id, utc_now())
    return Result(204)


def log_out(context: RequestContext, body: Logout) -> Result[None]:
    """End the token of this very request, and forget the device it was used on.

    A device that the caller does not have, or no longer, stays as it is. A token that
    the app itself has issued stays valid until it expires.
    """
    user = context.user
    with context.store.write() as session:
        if body.device_id is not None:
            # Who wants to log out must not stay logged in for a device that is gone.
            with suppress(NotFound):
                accounts.remove_device(session, user.id, body.device_id)
        if user.token_id is not None:
            accounts.revoke_token(session, user.id, user.token_id, utc_now())
    return Result(204)


def register_device(context: RequestContext, body: NewDevice) -> Result[DeviceOut]:
    """Make a device the caller's; a known one is renewed and may change hands.

    A mail address is for the service to register, since a user could name anybody's.
    """
    if body.platform == EMAIL:
        raise Forbidden(
            "A mail address is registered with the service key: "
            f"POST /users/{context.user.id}/devices."
        )
    return give_device(context, context.user.id, body)


def give_device(
    context: RequestContext, user_id: int, body: NewDevice
) -> Result[DeviceOut]:
    """Make a device a user's; a known one is renewed and may change hands.

    The only way for a mail address: be sure that it is the user's own.
    """
    with context.store.write() as session:
        device, is_new = accounts.register_device(
            session, user_id, **body.model_dump(), now=utc_now()
        )
    return Result(201 if is_new else 200, device_out(device))


def list_devices(context: RequestContext) -> Result[Devices]:
    """The caller's devices."""
    return devices_of(context, context.user.id)


def devices_of(context: RequestContext, user_id: int) -> Result[Devices]:
    """A user's devices."""
    with context.store.read() as session:
        devices = accounts.list_devices(session, user_id)
    return Result(200, Devices(devices=[device_out(device) for device in devices]))


def remove_device(context: RequestContext, device_id: int) -> Result[None]:
    """Forget a device of the caller: no further push goes to it."""
    return take_device(context, context.user.id, device_id)


def take_device(context: RequestContext, user_id: int, device_id: int) -> Result[None]:
    """Forget a device of a user, for example an address from which mail comes back."""
    with context.store.write() as session:
        accounts.remove_device(session, user_id, device_id)
    return Result(204)


def webpush_key(context: RequestContext) -> Result[WebpushKey]:
    """The key with which browsers subscribe to our pushes."""
    if context.app.webpush_key is None:
        raise NotFound("This server does not push to browsers.")
    return Result(200, WebpushKey(public_key=context.app.webpush_key))
