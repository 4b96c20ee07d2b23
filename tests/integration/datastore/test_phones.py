"""A phone is one row, whichever of its tokens its app has registered, and however."""

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
    assert all(
        device.token_hash == device_rows.hash_of(device.platform, device.token)
        for device in found
    )
    return {device.id: (device.user_id, device.token) for device in found}


def register(
    store: Datastore, user: int, token: str, platform: str = "apns"
) -> tuple[int, bool]:
    with store.write() as session:
        device, is_new = accounts.register_device(
            session,
            user,
            platform=platform,
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


FID = "cXf3_h-0QzWm1a2b3c4d5e"
TOKENS = [FID, f"{FID}:APA91bFirst", f"{FID}:APA91bSecond"]
OTHERS = ["d" + TOKENS[1][1:], "e" + FID[1:], "cXf3_h-0QzW:APA91bFirst"]


@pytest.mark.parametrize("old", TOKENS)
@pytest.mark.parametrize("new", TOKENS)
def test_token_and_id_of_an_installation_are_one_device(
    store: Datastore, ann: int, bob: int, old: str, new: str
) -> None:
    others = [register(store, ann, token, "fcm")[0] for token in OTHERS]
    phone, _ = register(store, ann, old, "fcm")

    assert register(store, bob, new, "fcm") == (phone, False)
    found = rows(store)
    assert found.pop(phone) == (bob, new)
    assert list(found) == others


def test_installations_of_another_platform_are_others(
    store: Datastore, ann: int
) -> None:
    for platform in ("fcm", "apns"):
        assert register(store, ann, FID, platform)[1]


@pytest.mark.parametrize("token", TOKENS)
def test_registration_finds_a_token_that_an_older_version_has_stored(
    store: Datastore, ann: int, bob: int, token: str
) -> None:
    phone = add_row(store, ann, token, platform="fcm")
    join_all(store)

    assert register(store, bob, FID, "fcm") == (phone, False)
    assert rows(store) == {phone: (bob, FID)}


@pytest.mark.parametrize("limit", [1, 9], ids=["one by one", "together"])
@pytest.mark.parametrize("newest", range(3))
def test_newest_of_the_tokens_of_an_installation_survives(
    store: Datastore, ann: int, bob: int, newest: int, limit: int
) -> None:
    ids = [
        add_row(
            store,
            bob if n == newest else ann,
            token,
            platform="fcm",
            age_s=0 if n == newest else 60 + n,
        )
        for n, token in enumerate(TOKENS)
    ]
    phone = add_row(store, ann, TOKEN.upper())
    others = {add_row(store, ann, token, platform="fcm"): token for token in OTHERS}

    assert join_all(store, limit=limit) == 2
    assert join_all(store) == 0
    found = rows(store)
    assert found.pop(ids[newest]) == (bob, TOKENS[newest])
    assert found.pop(phone) == (ann, TOKEN)
    assert found == {device: (ann, token) for device, token in others.items()}


def put(store: Datastore, *tokens: str) -> import_rows.Put:
    values = {"user": "Ann", "platform": "fcm", "environment": "production"}
    lines = [
        Row(n, "device", {**values, "token": token}) for n, token in enumerate(tokens)
    ]
    with store.write() as session:
        return import_rows.put(session, lines, utc_now())


@pytest.mark.parametrize("old", TOKENS)
@pytest.mark.parametrize("new", TOKENS)
def test_import_keeps_what_the_phone_has_registered(
    store: Datastore, ann: int, old: str, new: str
) -> None:
    phone, _ = register(store, ann, old, "fcm")

    assert put(store, new) == (0, [])
    assert rows(store) == {phone: (ann, old)}


def test_import_replaces_a_token_that_is_no_longer_valid(
    store: Datastore, ann: int
) -> None:
    phone, _ = register(store, ann, TOKENS[1], "fcm")
    with store.write() as session:
        device = session.get_one(Device, phone)
        device.disabled_at, device.reason = NOW, "UNREGISTERED"

    same, other, again = (put(store, token) for token in (*TOKENS[1:], TOKENS[2]))

    assert [each.changed for each in (same, other, again)] == [0, 1, 0]
    assert rows(store) == {phone: (ann, TOKENS[2])}
    with store.read() as session:
        device = session.get_one(Device, phone)
        assert (device.disabled_at, device.reason) == (None, None)


def test_import_of_both_makes_one_device(store: Datastore, ann: int) -> None:
    both = put(store, *TOKENS)
    again = put(store, *TOKENS)

    assert (both.changed, again.changed) == (1, 0)
    assert list(rows(store).values()) == [(ann, TOKENS[-1])]
