"""A phone is one row, in whichever case its app has written Apple's token."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from datastore import Datastore, accounts, device_rows, import_rows
from datastore.hashes import sha256
from models.accounts import Device
from models.base import utc_now
from models.imports import Row

TOKEN = "ab" * 32
MIXED = "aB" * 32
NOW = utc_now()


def add_user(store: Datastore, name: str) -> int:
    with store.write() as session:
        return accounts.add_user(session, name, NOW, external_id=name)[0].id


@pytest.fixture
def ann(store: Datastore) -> int:
    return add_user(store, "Ann")


@pytest.fixture
def bob(store: Datastore) -> int:
    return add_user(store, "Bob")


def add_row(
    store: Datastore, user: int, token: str, *, age_s: float = 0, platform: str = "apns"
) -> int:
    """A row as an older version has written it; returns its id."""
    with store.write() as session:
        device = Device(
            user_id=user,
            platform=platform,
            token=token,
            token_hash=sha256(token),
            environment="production",
            registered_at=NOW - timedelta(seconds=age_s),
        )
        session.add(device)
        session.flush()
        return device.id


def rows(store: Datastore) -> dict[int, tuple[int, str]]:
    """The user and the token of each device."""
    with store.read() as session:
        found = session.scalars(select(Device)).all()
    assert all(device.token_hash == sha256(device.token) for device in found)
    return {device.id: (device.user_id, device.token) for device in found}


def register(store: Datastore, user: int, token: str) -> tuple[int, bool]:
    with store.write() as session:
        device, is_new = accounts.register_device(
            session,
            user,
            platform="apns",
            token=token,
            app=None,
            environment="production",
            locale=None,
            now=utc_now(),
        )
        return device.id, is_new


def join_all(store: Datastore, *, limit: int = 2) -> int:
    """A pass over all devices; returns how many were deleted."""
    after: int | None = 0
    ended = 0
    while after is not None:
        with store.read() as session:
            look = device_rows.look(session, after, limit)
        with store.write() as session:
            ended += device_rows.join_some(session, look.ids)
        after = look.last
    return ended


@pytest.mark.parametrize("old", [TOKEN, TOKEN.upper()], ids=["lower", "upper"])
@pytest.mark.parametrize("new", [TOKEN, TOKEN.upper(), MIXED])
def test_registration_finds_the_row_in_either_case(
    store: Datastore, ann: int, bob: int, old: str, new: str
) -> None:
    phone = add_row(store, ann, old)

    assert register(store, bob, new) == (phone, False)
    assert rows(store) == {phone: (bob, TOKEN)}


def test_registration_joins_two_rows(store: Datastore, ann: int, bob: int) -> None:
    add_row(store, ann, TOKEN, age_s=60)
    newest = add_row(store, bob, TOKEN.upper())

    assert register(store, ann, TOKEN) == (newest, False)
    assert rows(store) == {newest: (ann, TOKEN)}


def test_new_registration_is_in_lower_case(store: Datastore, ann: int) -> None:
    phone, is_new = register(store, ann, MIXED)

    assert is_new
    assert rows(store) == {phone: (ann, TOKEN)}


def test_newest_registration_survives_with_its_user(
    store: Datastore, ann: int, bob: int
) -> None:
    tokens = [TOKEN, TOKEN.upper(), MIXED]
    oldest = [add_row(store, ann, token, age_s=60) for token in tokens[:2]]
    newest = add_row(store, bob, tokens[2])
    other = add_row(store, ann, "cd" * 32)

    assert join_all(store) == 2
    assert set(rows(store)) & set(oldest) == set()
    assert rows(store) == {newest: (bob, TOKEN), other: (ann, "cd" * 32)}


def test_newest_survives_although_it_is_the_first_row(
    store: Datastore, ann: int
) -> None:
    newest = add_row(store, ann, TOKEN.upper())
    add_row(store, ann, TOKEN, age_s=60)

    assert join_all(store) == 1
    assert rows(store) == {newest: (ann, TOKEN)}


def test_state_of_the_survivor_is_kept(store: Datastore, ann: int) -> None:
    phone = add_row(store, ann, TOKEN.upper())
    with store.write() as session:
        device = session.get_one(Device, phone)
        device.disabled_at, device.reason = NOW, "410 Unregistered"

    join_all(store)

    with store.read() as session:
        device = session.get_one(Device, phone)
        assert (device.disabled_at, device.reason) == (NOW, "410 Unregistered")


def test_a_second_pass_changes_nothing(store: Datastore, ann: int) -> None:
    for number in range(5):
        add_row(store, ann, f"{number:02x}AB")
        add_row(store, ann, f"{number:02x}ab", age_s=60)
    ended = join_all(store)
    joined = rows(store)

    assert ended == 5
    assert join_all(store) == 0
    assert rows(store) == joined


@pytest.mark.parametrize(
    ("platform", "tokens"),
    [("fcm", ("AB", "ab")), ("apns", ("Phone-A", "phone-a")), ("apns", ("ABC", "abc"))],
)
def test_other_tokens_are_devices_of_their_own(
    store: Datastore, ann: int, platform: str, tokens: tuple[str, str]
) -> None:
    for token in tokens:
        add_row(store, ann, token, platform=platform)
    before = rows(store)

    assert join_all(store) == 0
    assert rows(store) == before


@pytest.mark.parametrize("old", [TOKEN.upper(), None], ids=["known", "new"])
def test_import_that_an_older_version_has_read_finds_the_phone(
    store: Datastore, ann: int, old: str | None
) -> None:
    if old is not None:
        add_row(store, ann, old)
    values = {"user": "Ann", "platform": "apns", "token": TOKEN.upper()}
    row = Row(1, "device", {**values, "environment": "production", "locale": "de"})

    with store.write() as session:
        put = import_rows.put(session, [row], utc_now())
        again = import_rows.put(session, [row], utc_now())

    assert (put.changed, put.problems) == (1, [])
    assert (again.changed, again.problems) == (0, [])
    join_all(store)
    assert list(rows(store).values()) == [(ann, TOKEN)]
