"""How soon the first push is at the provider, from just before the request is sent.

    python -m benchmarks.latency [--quick] [--json] [--messages 300]

One message at a time to a conversation of five devices, with a warm PushProcess. Both
clocks, the sender's and the sandbox's, are this machine's.
"""

from benchmarks import stages
from benchmarks.report import Report, median, options, percentile
from benchmarks.stages import Theatre
from tests.support import chats
from tests.support.wait import until

DEVICES = 5
QUICK = 60


def main() -> None:
    chosen = options(__doc__ or "", messages=300)
    report = Report("Latency: from the send to the push at the provider, on loopback")
    with stages.running(["process"]) as theatre:
        measure(theatre, QUICK if chosen.quick else chosen.messages, report)
    report.print(as_json=chosen.json)


def measure(theatre: Theatre, messages: int, report: Report) -> None:
    stage = theatre.stages["process"]
    conversation = stage.conversation(DEVICES)
    stages.warm_up(theatre, stage, conversation)
    moments: dict[str, list[float]] = {"answer": [], "first push": [], "last push": []}
    for _ in range(messages):
        message_id, sent_at, took_s = stages.send(conversation)
        arrived = theatre.arrivals.wait(message_id, DEVICES)
        moments["answer"].append(took_s)
        moments["first push"].append(arrived[0] - sent_at)
        moments["last push"].append(arrived[-1] - sent_at)
        # The chat's next message waits until this one is recorded.
        until(lambda: not chats.open_jobs(stage.store), what="for the job's end")
    for name, found in moments.items():
        report.row(
            send_to=name,
            p50_ms=median(found) * 1000,
            p95_ms=percentile(found, 95) * 1000,
            p99_ms=percentile(found, 99) * 1000,
        )
    first_ms = median(moments["first push"]) * 1000
    report.goal("send → first push, warm, p50 in ms", first_ms, at_most=10)


if __name__ == "__main__":
    main()
