"""What the providers see of many processes, certificates and strange messages."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datastore import Datastore
from datastore.migrations import upgrade
from models.pushes import MESSAGE, READ, WITHDRAW, Notification
from notifier.outcome import Kind, Outcome
from tests.support import child_processes, connect_proxy, tls
from tests.support import sandbox as sandboxes
from tests.support.connect_proxy import Proxy
from tests.support.providers import Provider, push_to
from tests.support.pushes import make_notification
from tests.support.sandbox import Sandbox

PROCESSES = 3


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    # As strict as Apple: two provider tokens within 20 minutes are one too many.
    run_dir = tmp_path_factory.mktemp("sandbox")
    with sandboxes.running(run_dir, token_update_s=1200) as sandbox:
        yield sandbox


def test_many_processes_show_one_token_for_each_lifetime(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    environ = {
        **sandbox.environment,
        "BOTTLEPOST_RUN_DIR": str(tmp_path),
        "BOTTLEPOST_SERVICE_KEY": "k" * 16,
        "BOTTLEPOST_DATABASE_URL": f"sqlite:///{tmp_path}/test.db",
    }
    store = Datastore(environ["BOTTLEPOST_DATABASE_URL"])
    upgrade(store)
    store.close()

    with child_processes.running(
        PROCESSES, ["tests.support.pusher"], environ
    ) as pushers:
        first = child_processes.ask_all(pushers, "aa01")
        at_first = sandbox.stats()
        sandbox.control(expire_provider_tokens=True)
        second = child_processes.ask_all(pushers, "aa02")
        after_expiry = sandbox.stats()

    assert first == second == {"accepted accepted"}
    assert (at_first["apns_jwts_seen"], at_first["oauth_tokens_issued"]) == (1, 1)
    assert (after_expiry["apns_jwts_seen"], after_expiry["oauth_tokens_issued"]) == (
        2,
        2,
    )


def test_a_certificate_is_proof_enough(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.reset()
    provider = Provider(sandbox, "apns", tmp_path)

    outcomes = provider.push(
        "aa01",
        "aa02",
        BOTTLEPOST_APNS_KEY_FILE="",
        BOTTLEPOST_APNS_KEY_ID="",
        BOTTLEPOST_APNS_TEAM_ID="",
        BOTTLEPOST_APNS_CERT_FILE=str(sandbox.apns_cert_file),
    )

    assert [outcome.kind for outcome in outcomes] == ["accepted", "accepted"]
    assert sandbox.stats()["apns_jwts_seen"] == 0


@pytest.mark.parametrize("platform", ["apns", "fcm"])
def test_a_server_of_unknown_authority_is_sent_nothing(
    sandbox: Sandbox, tmp_path: Path, platform: str
) -> None:
    sandbox.reset()
    provider = Provider(sandbox, platform, tmp_path)

    (outcome,) = provider.push("aa01", BOTTLEPOST_CA_FILE=str(tls.authority().ca_file))

    assert outcome.kind is Kind.LATER
    assert sandbox.inbox(all=1) == []


def test_a_key_that_is_not_apples_keeps_the_devices(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.reset()
    provider = Provider(sandbox, "apns", tmp_path)

    outcomes = provider.push(
        "aa01", BOTTLEPOST_APNS_KEY_FILE=str(tls.server_identity().key)
    )

    assert [(o.kind, o.reason) for o in outcomes] == [
        ("credentials", "InvalidProviderToken")
    ]


def test_an_account_that_is_not_googles_keeps_the_devices(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.reset()
    path = Path(sandbox.environment["BOTTLEPOST_FCM_CREDENTIALS_FILE"])
    other = tmp_path / "account.json"
    other.write_text(path.read_text().replace("@", "@not-", 1))

    (outcome,) = Provider(sandbox, "fcm", tmp_path).push(
        "aa01", BOTTLEPOST_FCM_CREDENTIALS_FILE=str(other)
    )

    assert outcome.kind is Kind.CREDENTIALS
    assert "invalid_grant" in outcome.reason


@pytest.mark.parametrize("platform", ["apns", "fcm"])
def test_providers_are_reached_through_a_proxy(
    sandbox: Sandbox, tmp_path: Path, platform: str
) -> None:
    sandbox.reset()
    provider = Provider(sandbox, platform, tmp_path)

    async def push() -> tuple[list[Outcome], set[str]]:
        async with connect_proxy.serve(Proxy("me:secret")) as proxy:
            url = f"http://me:secret@127.0.0.1:{proxy.port}"
            channel = provider.open(BOTTLEPOST_PUSH_PROXY=url)
            try:
                outcomes = await push_to(channel, ["aa01"], make_notification())
            finally:
                await channel.close()
            return outcomes, set(proxy.targets)

    (outcome,), targets = asyncio.run(push())

    assert outcome.kind is Kind.ACCEPTED
    assert targets == {sandbox.url.removeprefix("https://")}


NOTES = st.builds(
    make_notification,
    text=st.text(st.characters(codec=None), max_size=4000),
    sender_name=st.text(st.characters(codec=None), max_size=100),
    chat_name=st.text(st.characters(codec=None), max_size=100),
    kind=st.sampled_from([MESSAGE, WITHDRAW, READ]),
    silent=st.booleans(),
    data=st.dictionaries(
        st.text('abcä"\\\n', min_size=1, max_size=8),
        st.text(st.characters(codec=None), max_size=40),
        max_size=4,
    ),
    message_id=st.integers(1, 2**63 - 1),
    expires_at=st.datetimes(datetime(1970, 1, 2), timezones=st.just(UTC)),
)


@pytest.mark.parametrize("platform", ["apns", "fcm"])
def test_any_message_makes_a_push_that_is_taken(
    sandbox: Sandbox, tmp_path: Path, platform: str
) -> None:
    sandbox.reset()
    provider = Provider(sandbox, platform, tmp_path)

    with asyncio.Runner() as runner:

        async def open_channel() -> object:
            return provider.open()

        channel = runner.run(open_channel())

        @settings(max_examples=60, deadline=None, database=None)
        @given(NOTES)
        def push(notification: Notification) -> None:
            (outcome,) = runner.run(push_to(channel, ["aa01"], notification))
            assert outcome.kind is Kind.ACCEPTED, outcome

        push()
        runner.run(channel.close())
