"""The benchmarks' provider finds the message and the device of the engine's pushes."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from benchmarks import push_engine
from benchmarks.provider import PING, Arrivals, Provider
from notifier.engine import loop
from tests.support import tls
from tests.support.wait import until

# More than the engine reads at a time, and more than a new connection's window holds.
MEMBERS = 1500
ROUND_TRIP_MS = 60.0


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Provider]:
    running = Provider(tmp_path / "provider")
    yield running
    running.stop()


async def test_message_is_complete_when_its_last_device_has_its_push(
    tmp_path: Path, provider: Provider
) -> None:
    run_dir = tmp_path / "server"
    push_engine.fill(run_dir, MEMBERS)
    url = provider.environment["BOTTLEPOST_APNS_URL"]
    settings = push_engine.settings(run_dir, url, str(tls.authority().ca_file))
    arrivals = Arrivals(provider, MEMBERS)
    one_more = Arrivals(provider, MEMBERS + 1)
    started_at = time.monotonic()

    engine = loop.build(settings, owner="test")
    await engine.run(linger_s=0, wake=asyncio.Event())
    until(lambda: provider.pushes() >= MEMBERS)
    arrivals.read()
    one_more.read()

    assert arrivals.complete.keys() == {1}
    assert started_at < arrivals.complete[1] < time.monotonic()
    assert arrivals.repeated == arrivals.lacking({1}) == 0
    assert not one_more.complete
    assert one_more.lacking({1, 2}) == 1 + MEMBERS + 1


def test_payload_names_the_device_of_a_client_that_compresses_its_headers(
    provider: Provider,
) -> None:
    arrivals = Arrivals(provider, devices=2)

    with httpx.Client(http1=False, http2=True, verify=tls.client_context()) as client:
        for device_id in (1, 2, 2):
            url = f"https://127.0.0.1:{provider.port}/3/device/{device_id}"
            payload = {"aps": {}, "message": 5, "device": device_id}
            status = client.post(url, json=payload).status_code
            assert status == 200
    until(lambda: provider.pushes() == 3)
    arrivals.read()

    assert arrivals.complete.keys() == {5}
    assert arrivals.repeated == 1


def test_round_trip_includes_the_delay(tmp_path: Path) -> None:
    far = Provider(tmp_path, ROUND_TRIP_MS)

    round_trip_ms = far.round_trip_ms()
    arrivals = Arrivals(far, devices=1)
    until(far.pushes)
    arrivals.read()
    far.stop()

    assert round_trip_ms >= ROUND_TRIP_MS
    assert PING not in arrivals.complete
