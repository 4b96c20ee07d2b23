"""A measurement of our own transport, in a process of its own.

    python -m benchmarks.push_transport URL CA_FILE --pushes 100000

Prints pushes per second and the CPU time of a push, as JSON.
"""

import argparse
import asyncio
import json
import ssl
import time
import uuid
from collections.abc import Sequence

import uvloop

from benchmarks.pushing import BODY, HEADERS, TOKENS
from notifier.http2 import Client, Head, Request, Response, literal

# As large as the batches of the engine.
BATCH = 1000


def _requests(*, own_ids: bool) -> list[Request]:
    paths = [f"/3/device/{token}".encode() for token in TOKENS]
    if not own_ids:
        return [Request(BODY, path) for path in paths]
    return [Request(BODY, p, literal("apns-id", str(uuid.uuid4()))) for p in paths]


def _head(*, own_ids: bool) -> Head:
    fields = {k: v for k, v in HEADERS.items() if not (own_ids and k == "apns-id")}
    return Head(headers=tuple(fields.items()))


async def measure(chosen: argparse.Namespace) -> dict[str, float]:
    """Wall clock and CPU time of a push, after a warm-up of the connections."""
    tls = ssl.create_default_context(cafile=chosen.ca_file)
    client = Client(chosen.url, tls=tls, max_connections=chosen.connections)
    head, requests = _head(own_ids=chosen.own_ids), _requests(own_ids=chosen.own_ids)
    statuses = [0] * 600

    def count(index: int, response: Response) -> None:
        statuses[response.status] += 1

    await _send(client, head, requests, chosen.warm_up, count)
    statuses[200] = 0
    wall, cpu = time.perf_counter(), time.process_time()
    await _send(client, head, requests, chosen.pushes, count)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    await client.close()
    if statuses[200] != chosen.pushes:
        raise SystemExit(f"only {statuses[200]} of {chosen.pushes} were accepted")
    return {"pushes_per_s": chosen.pushes / wall, "cpu_us": cpu / chosen.pushes * 1e6}


async def _send(
    client: Client, head: Head, requests: Sequence[Request], pushes: int, count: object
) -> None:
    batch = list(requests) * (BATCH // len(requests))
    # Batches overlap, as those of several jobs do.
    left = pushes // BATCH

    async def work() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await client.send(head, batch, count)  # type: ignore[arg-type]

    await asyncio.gather(*(work() for _ in range(16)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("ca_file")
    parser.add_argument("--pushes", type=int, default=100_000)
    parser.add_argument("--warm-up", type=int, default=2_000)
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--own-ids", action="store_true")
    parser.add_argument("--uvloop", action="store_true")
    chosen = parser.parse_args()
    run = uvloop.run if chosen.uvloop else asyncio.run
    print(json.dumps(run(measure(chosen))))


if __name__ == "__main__":
    main()
