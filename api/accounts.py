"""Users, their tokens and their devices."""

from api.call import Answer, Call
from api.schemas.accounts import (
    CreatedUser,
    Devices,
    NewDevice,
    NewToken,
    NewUser,
    Token,
    device_out,
)
from datastore import accounts
from models.base import utc_now


def create_user(call: Call, body: NewUser) -> Answer:
    """Make a user and their first token."""
    now = utc_now()
    with call.store.write() as session:
        user = accounts.add_user(session, body.name, now)
        token, _ = accounts.issue_token(session, user.id, now)
    created = CreatedUser(
        id=user.id, name=user.name, created_at=user.created_at, token=token
    )
    return Answer(201, created)


def create_token(call: Call, user_id: int, body: NewToken) -> Answer:
    """Make another token for a user."""
    with call.store.write() as session:
        token, row = accounts.issue_token(session, user_id, utc_now())
    issued = Token(
        id=row.id,
        user_id=user_id,
        token=token,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
    return Answer(201, issued)


def register_device(call: Call, body: NewDevice) -> Answer:
    """Make a device the caller's; a known one is renewed and may change hands."""
    with call.store.write() as session:
        device, is_new = accounts.register_device(
            session, call.user.id, **body.model_dump(), now=utc_now()
        )
    return Answer(201 if is_new else 200, device_out(device))


def list_devices(call: Call) -> Answer:
    """The caller's devices."""
    with call.store.read() as session:
        devices = accounts.list_devices(session, call.user.id)
    return Answer(200, Devices(devices=[device_out(device) for device in devices]))


def remove_device(call: Call, device_id: int) -> Answer:
    """Forget a device of the caller: no further push goes to it."""
    with call.store.write() as session:
        accounts.remove_device(session, call.user.id, device_id)
    return Answer(204)
