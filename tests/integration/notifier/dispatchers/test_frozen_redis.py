"""A Redis that says nothing more: no client of ours waits for it without an end."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from notifier.dispatchers import celery_queue, rq_queue, script_status
from tests.support import databases, frozen_proxy
from tests.support.frozen_proxy import FrozenProxy
from tests.support.redis_server import RedisServer


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[FrozenProxy]:
    server = RedisServer(tmp_path)
    try:
        with frozen_proxy.forwarding(frozen_proxy.target_of(server.url)) as proxy:
            yield proxy
    finally:
        server.stop()


def rq(settings: Any) -> Callable[[], object]:
    link = rq_queue.RedisLink(settings)
    return lambda: link.send([1])


def celery(settings: Any) -> Callable[[], object]:
    link = celery_queue.BrokerLink(settings)
    return lambda: link.send([1])


def script(settings: Any) -> Callable[[], object]:
    publisher = script_status.StatusPublisher(settings)
    return lambda: publisher.publish([1])


@pytest.mark.parametrize("connect", [rq, celery, script])
def test_a_silent_redis_is_an_error_and_no_hang(
    connect: Callable[[Any], Callable[[], object]], proxy: FrozenProxy, tmp_path: Path
) -> None:
    url = f"redis://127.0.0.1:{proxy.port}/0"
    settings = SimpleNamespace(
        redis_url=url,
        broker_url=url,
        watchdog_s=15.0,
        pool_size=1,
        script_expiry_s=60,
        database_url=databases.fresh_url("sqlite", tmp_path),
        database_timeout_s=10.0,
        database_connections=9,
    )
    send = connect(settings)
    send()

    proxy.freeze()

    with pytest.raises(Exception, match=r"(?i)time|out"):
        send()
    proxy.thaw(cut=True)
