"""The time from just before a send to the arrival of its pushes at the provider.

    python -m benchmarks.latency [--quick] [--json] [--messages 300]

One message at a time goes to a conversation of five devices, with a warm PushProcess.
The sender and the sandbox use the same clock.
"""

from benchmarks import stages
from benchmarks.report import Report, median, options, percentile
from benchmarks.stages import StageSet
from tests.support import chats
from tests.support.wait import until

DEVICES = 5
QUICK = 60


def main() -> None:
    chosen = options(__doc__ or "", messages=300)
    report = Report("Latency: from the send to the push at the provider, on loopback")
    with stages.running(["process"]) as stage_set:
        measure(stage_set, QUICK if chosen.quick else chosen.messages, report)
    report.print(as_json=chosen.json)


def measure(stage_set: StageSet, messages: int, report: Report) -> None:
    stage = stage_set.stages["process"]
    conversation = stage.conversation(DEVICES)
    stages.warm_up(stage_set, stage, conversation)
    times_s: dict[str, list[float]] = {"answer": [], "first push": [], "last push": []}
    for _ in range(messages):
        message_id, sent_at, took_s = stages.send(conversation)
        arrived = stage_set.arrivals.wait(message_id, DEVICES)
        times_s["answer"].append(took_s)
        times_s["first push"].append(arrived[0] - sent_at)
        times_s["last push"].append(arrived[-1] - sent_at)
        # The chat's next message would wait until this one is recorded.
        until(lambda: not chats.open_jobs(stage.store), what="for the job's end")
    for name, found in times_s.items():
        report.row(
            send_to=name,
            p50_ms=median(found) * 1000,
            p95_ms=percentile(found, 95) * 1000,
            p99_ms=percentile(found, 99) * 1000,
        )
    first_ms = median(times_s["first push"]) * 1000
    report.goal("send → first push, warm, p50 in ms", first_ms, at_most=10)


if __name__ == "__main__":
    main()
