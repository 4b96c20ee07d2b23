"""Many small conversations, far from the provider.

    python -m benchmarks.small [--quick] [--json] [--rate 200] [--seconds 20]

Messages are sent at a fixed rate to conversations of five devices, while every response
of the provider takes 80 ms. It shows whether small chats wait for each other's round
trips.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from benchmarks import stages
from benchmarks.report import Report, median, options, percentile
from benchmarks.stages import StageSet
from tests.support import chats
from tests.support.running_system import Conversation
from tests.support.wait import until

DEVICES = 5
CONVERSATIONS = 100
ROUND_TRIP_S = 0.080
SENDERS = 8
QUICK_S = 5


def main() -> None:
    chosen = options(__doc__ or "", rate=200, seconds=20)
    seconds = QUICK_S if chosen.quick else chosen.seconds
    report = Report("Small chats: five devices each, a round trip of 80 ms")
    with stages.running(["process"]) as stage_set:
        measure(stage_set, chosen.rate, seconds, report)
    report.print(as_json=chosen.json)


def measure(stage_set: StageSet, rate: int, seconds: int, report: Report) -> None:
    stage = stage_set.stages["process"]
    conversations = [stage.conversation(DEVICES) for _ in range(CONVERSATIONS)]
    stages.warm_up(stage_set, stage, conversations[0])
    stage_set.sandbox.control(latency_ms=ROUND_TRIP_S * 1000)
    sent, elapsed_s = _send_at_rate(conversations, rate, seconds)
    until(lambda: not chats.open_jobs(stage.store), 120, what="for the pushes")
    last = []
    for message_id, sent_at in sent.items():
        arrived = stage_set.arrivals.wait(message_id, DEVICES)
        # The sandbox delays the response by the whole round trip.
        last.append(arrived[-1] + ROUND_TRIP_S - sent_at)
    report.row(
        messages=len(sent),
        per_s=len(sent) / elapsed_s,
        p50_ms=median(last) * 1000,
        p95_ms=percentile(last, 95) * 1000,
        p99_ms=percentile(last, 99) * 1000,
    )
    trips = median(last) / ROUND_TRIP_S
    report.goal("send → last push answered, p50 in round trips", trips, at_most=1.5)


def _send_at_rate(
    conversations: list[Conversation], rate: int, seconds: int
) -> tuple[dict[int, float], float]:
    """Message → the time it was sent; each is sent at its time, without waiting."""
    started_at = time.monotonic()
    never = threading.Event()

    def send_share(k: int) -> list[tuple[int, float]]:
        sent = []
        for n in range(k, rate * seconds, SENDERS):
            never.wait(max(0.0, started_at + n / rate - time.monotonic()))
            message_id, sent_at, _ = stages.send(conversations[n % len(conversations)])
            sent.append((message_id, sent_at))
        return sent

    with ThreadPoolExecutor(SENDERS) as senders:
        shares = list(senders.map(send_share, range(SENDERS)))
    elapsed_s = time.monotonic() - started_at
    return dict(pair for share in shares for pair in share), elapsed_s


if __name__ == "__main__":
    main()
