"""Pushes from many processes, with certificates, proxies and arbitrary messages."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
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
from tests.support.channel_service import push_to
from tests.support.connect_proxy import Proxy
from tests.support.notifications import make_notification
from tests.support.sandbox import Sandbox
from tests.support.sandbox_provider import SandboxProvider, targets

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

    module = "tests.support.push_child"
    with child_processes.running(PROCESSES, [module], environ) as running:
        first = child_processes.ask_all(running, "aa01")
        at_first = sandbox.stats()
        sandbox.control(expire_provider_tokens=True)
        second = child_processes.ask_all(running, "aa02")
        after_expiry = sandbox.stats()

    assert first == second == {"accepted accepted"}
    assert (at_first["apns_jwts_seen"], at_first["oauth_tokens_issued"]) == (1, 1)
    assert (after_expiry["apns_jwts_seen"], after_expiry["oauth_tokens_issued"]) == (
        2,
        2,
    )


async def test_a_certificate_is_proof_enough(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.reset()
    async with aclosing(SandboxProvider(sandbox, "apns", tmp_path)) as provider:
        provider.configure(
            apns_key_file=None,
            apns_key_id=None,
            apns_team_id=None,
            apns_cert_file=sandbox.apns_cert_file,
        )

        kinds = await provider.kinds("aa01", "aa02")

    assert kinds == ["accepted", "accepted"]
    assert sandbox.stats()["apns_jwts_seen"] == 0


@pytest.mark.parametrize("platform", ["apns", "fcm"])
async def test_a_server_of_unknown_authority_is_sent_nothing(
    sandbox: Sandbox, tmp_path: Path, platform: str
) -> None:
    sandbox.reset()
    async with aclosing(SandboxProvider(sandbox, platform, tmp_path)) as provider:
        provider.configure(ca_file=tls.authority().ca_file)

        (outcome,) = await provider.push("aa01")

    assert outcome.kind is Kind.LATER
    assert sandbox.inbox(all=1) == []


async def test_a_key_that_is_not_apples_keeps_the_devices(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.reset()
    async with aclosing(SandboxProvider(sandbox, "apns", tmp_path)) as provider:
        provider.configure(apns_key_file=tls.server_identity().key)

        outcomes = await provider.push("aa01")

    assert [(o.kind, o.reason) for o in outcomes] == [
        ("credentials", "InvalidProviderToken")
    ]


async def test_an_account_that_is_not_googles_keeps_the_devices(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.reset()
    other = tmp_path / "account.json"
    other.write_text(other_account(sandbox))

    async with aclosing(SandboxProvider(sandbox, "fcm", tmp_path)) as provider:
        provider.configure(fcm_credentials_file=other)

        (outcome,) = await provider.push("aa01")

    assert outcome.kind is Kind.CREDENTIALS
    assert "invalid_grant" in outcome.reason


def other_account(sandbox: Sandbox) -> str:
    """A service account that the sandbox does not know."""
    path = Path(sandbox.environment["BOTTLEPOST_FCM_CREDENTIALS_FILE"])
    return path.read_text().replace("@", "@not-", 1)


@pytest.mark.parametrize("platform", ["apns", "fcm"])
async def test_providers_are_reached_through_a_proxy(
    sandbox: Sandbox, tmp_path: Path, platform: str
) -> None:
    sandbox.reset()
    async with (
        connect_proxy.serve(Proxy("me:secret")) as proxy,
        aclosing(SandboxProvider(sandbox, platform, tmp_path)) as provider,
    ):
        provider.configure(push_proxy=f"http://me:secret@127.0.0.1:{proxy.port}")

        (outcome,) = await provider.push("aa01")

    assert outcome.kind is Kind.ACCEPTED
    assert set(proxy.targets) == {sandbox.url.removeprefix("https://")}


PAGE = b"Content-Type: text/html\r\nContent-Length: 5\r\n\r\n<html"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"407 Sign in here", "the proxy answers 407: proxy authentication required"),
        (b"403 Filtered", "the proxy answers 403: forbidden"),
        (b"502 Bad", "the proxy answers 502: bad gateway"),
        (b"504", "the proxy answers 504: gateway timeout"),
        (b"599 Own words", "the proxy answers 599"),
    ],
    ids=["407", "403", "502", "504", "599"],
)
@pytest.mark.parametrize("platform", ["apns", "fcm"])
async def test_a_refusal_of_the_proxy_is_the_operators_trouble(
    sandbox: Sandbox, tmp_path: Path, platform: str, line: bytes, words: str
) -> None:
    sandbox.reset()
    refusal = b"HTTP/1.1 " + line + b"\r\n" + PAGE
    async with (
        connect_proxy.serve(Proxy(answer=refusal)) as proxy,
        aclosing(SandboxProvider(sandbox, platform, tmp_path)) as provider,
    ):
        provider.configure(push_proxy=f"http://127.0.0.1:{proxy.port}")

        (refused,) = await provider.push("aa01")
        standing = provider.troubles.standing()
        proxy.answer = None
        outcomes = await push_until_taken(provider)

    assert refused.kind is Kind.LATER
    assert refused.reason.endswith(words)
    assert [why.endswith(words) for why in standing.values()] == [True]
    assert outcomes[-1].kind is Kind.ACCEPTED
    assert provider.troubles.standing() == {}


async def push_until_taken(provider: SandboxProvider) -> list[Outcome]:
    """Push until the pauses of the transport and of the breaker are over."""
    outcomes = await provider.push("aa01")
    async with asyncio.timeout(20):
        while outcomes[-1].kind is not Kind.ACCEPTED:
            await asyncio.sleep(outcomes[-1].retry_after_s or 0.05)
            outcomes += await provider.push("aa01")
    return outcomes


NOTIFICATIONS = st.builds(
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
    provider = SandboxProvider(sandbox, platform, tmp_path)

    # Hypothesis calls no coroutines, so all pushes share the loop of this runner.
    with asyncio.Runner() as runner:

        @settings(max_examples=60, deadline=None, database=None)
        @given(NOTIFICATIONS)
        def push(notification: Notification) -> None:
            outcome = runner.run(push_one(provider, notification))
            assert outcome.kind is Kind.ACCEPTED, outcome

        push()
        runner.run(provider.aclose())


async def push_one(provider: SandboxProvider, notification: Notification) -> Outcome:
    (outcome,) = await push_to(provider.channel, targets("aa01"), notification)
    return outcome
