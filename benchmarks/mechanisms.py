"""All dispatchers compared with each other.

    python -m benchmarks.mechanisms [--quick] [--json] [--only process,celery]
                                    [--database postgresql]

Each dispatcher runs under its real host with its real workers. All of them run at once
and are measured in turn. In each turn messages are sent one by one and timed until
their pushes are at the provider; then four clients post as fast as they get answers. At
the end each worker gets SIGKILL during a message to 200 devices. A quick run covers
only some dispatchers.
"""

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException

from benchmarks import processes, stages
from benchmarks.clients import LoadSender, post_for
from benchmarks.report import Report, median, options, percentile
from benchmarks.stages import COLD_CELERY, OFF, OFF_UWSGI, StageSet
from notifier import dispatchers
from tests.support import chats
from tests.support.client import Reply
from tests.support.dispatcher_host import KINDS, DispatcherHost
from tests.support.running_system import Conversation
from tests.support.wait import until

DEVICES = 5
CONVERSATIONS = 20
CLIENTS = 4
KILLED_DEVICES = 200
KILL_AFTER = 20
SETTLE_S = 300.0
PAUSE_S = 0.03
# The first push of a warm PushProcess on a quiet machine.
BEHIND_ANSWER_MS = 2.5
# All dispatchers, the same hosts without any, and Celery without warm engines.
OURS = [name for name in KINDS if name in dispatchers.DISPATCHERS]
NAMES = [OFF, OFF_UWSGI, *OURS, COLD_CELERY]
QUICK = [OFF, "process", "polling", "celery", COLD_CELERY]


@dataclass
class Measured:
    """The measurements of one dispatcher."""

    single_s: list[float] = field(default_factory=list)
    answers_s: list[float] = field(default_factory=list)
    per_s: list[float] = field(default_factory=list)
    first_s: list[float] = field(default_factory=list)
    last_s: list[float] = field(default_factory=list)
    # The time from a message's answer to its first push.
    behind_s: list[float] = field(default_factory=list)
    cpu_s: float = 0.0
    messages: int = 0
    idle_mib: float = 0.0
    load_mib: float = 0.0
    lost: int = 0
    repeated: int = 0


def main() -> None:
    chosen = options(__doc__ or "", only="", database="sqlite")
    wanted = chosen.only.split(",") if chosen.only else QUICK if chosen.quick else NAMES
    names = [name for name in NAMES if name in wanted]
    rounds, one_by_one, seconds = (1, 10, 1.0) if chosen.quick else (3, 30, 2.0)
    report = Report(f"Dispatchers: {chosen.database}, conversations of five devices")
    found = {name: Measured() for name in names}
    with stages.running(names, chosen.database) as stage_set:
        conversations = {name: _prepare(stage_set, name) for name in names}
        for name in names:
            found[name].idle_mib = processes.memory_mib(stage_set.stages[name].run_dir)
        for turn in range(rounds):
            # The order is reversed each turn, so that no position is an advantage.
            for name in names[:: -1 if turn % 2 else 1]:
                _send_one_by_one(
                    stage_set, name, conversations[name][0], one_by_one, found[name]
                )
                _send_at_once(
                    stage_set.stages[name], conversations[name], seconds, found[name]
                )
                print(f"turn {turn + 1} of {rounds}: {name}", flush=True)
        for name in names:
            if not name.startswith(OFF):
                _kill(stage_set.stages[name], found[name])
    _sum_up(report, found)
    report.print(as_json=chosen.json)


def _prepare(stage_set: StageSet, name: str) -> list[Conversation]:
    stage = stage_set.stages[name]
    conversations = [stage.conversation(DEVICES) for _ in range(CONVERSATIONS)]
    if not name.startswith(OFF):
        stages.warm_up(stage_set, stage, conversations[0])
    return conversations


def _send_one_by_one(
    stage_set: StageSet,
    name: str,
    conversation: Conversation,
    messages: int,
    figures: Measured,
) -> None:
    stage_set.arrivals.clear()
    for _ in range(messages):
        message_id, sent_at, took_s = stages.send(conversation)
        figures.single_s.append(took_s)
        if name.startswith(OFF):
            # The others pause too, while they push.
            threading.Event().wait(PAUSE_S)
            continue
        arrived = stage_set.arrivals.wait(message_id, DEVICES)
        figures.first_s.append(arrived[0] - sent_at)
        figures.last_s.append(arrived[-1] - sent_at)
        figures.behind_s.append(arrived[0] - sent_at - took_s)
        # The chat's next message would wait until this one is recorded.
        _settle(stage_set.stages[name])
    # An open connection occupies a thread of uWSGI.
    conversation.sender.close()


def _send_at_once(
    stage: DispatcherHost,
    conversations: list[Conversation],
    seconds: float,
    figures: Measured,
) -> None:
    senders = [
        LoadSender(conversation.sender.token or "", conversation.id)
        for conversation in conversations
    ]
    before_s = processes.cpu_s(stage.run_dir)
    with processes.MemoryWatch(stage.run_dir) as memory:
        load = post_for(seconds, stage.server.port, senders, CLIENTS)
        _settle(stage)
    figures.cpu_s += processes.cpu_s(stage.run_dir) - before_s
    figures.messages += len(load.latencies_s)
    figures.answers_s += load.latencies_s
    figures.per_s.append(load.per_second)
    figures.load_mib = max(figures.load_mib, memory.most_mib)


def _settle(stage: DispatcherHost) -> None:
    if stage.name.startswith(OFF):
        return
    until(lambda: not chats.open_jobs(stage.store), SETTLE_S, what=f"for {stage.name}")


def _kill(stage: DispatcherHost, figures: Measured) -> None:
    """Send SIGKILL to the process that pushes, in the middle of a message."""
    stage.sandbox.reset()
    conversation = stage.conversation(KILLED_DEVICES)
    stage.sandbox.control(latency_ms=100, max_concurrent_streams=10)
    with ThreadPoolExecutor(1) as aside:
        # `inline` answers after all pushes, or never if its host is killed.
        posted = aside.submit(until, lambda: _post(conversation), 60)
        until(lambda: stage.sandbox.summary()["accepted"] >= KILL_AFTER, 60)
        stage.kill_engine()
        stage.sandbox.control(latency_ms=0, max_concurrent_streams=1000)
        stage.wait_until_ended(conversation, posted.result(), 60)
    pushed = stage.pushed(conversation)
    figures.lost = len(conversation.tokens - pushed.keys())
    figures.repeated = pushed.total() - len(pushed)


def _post(conversation: Conversation) -> Reply | None:
    with suppress(OSError, HTTPException):
        return conversation.post("killed", client_id="killed")
    return None


def _sum_up(report: Report, found: Mapping[str, Measured]) -> None:
    for name, figures in found.items():
        report.row(
            dispatcher=name,
            single_p50_ms=median(figures.single_s) * 1000,
            answer_p50_ms=median(figures.answers_s) * 1000,
            answer_p99_ms=percentile(figures.answers_s, 99) * 1000,
            sends_per_s=median(figures.per_s),
            first_push_ms=_median_ms(figures.first_s),
            behind_answer_ms=_median_ms(figures.behind_s),
            last_push_ms=_median_ms(figures.last_s),
            cpu_ms_per_message=figures.cpu_s / figures.messages * 1000,
            idle_mib=figures.idle_mib,
            load_mib=figures.load_mib,
            lost=figures.lost,
            repeated=figures.repeated,
        )
    lost = sum(figures.lost for figures in found.values())
    report.goal("pushes lost by a SIGKILL, all dispatchers", lost, at_most=0)
    _check_behind(report, found)
    if {"process", OFF, "celery", COLD_CELERY} <= found.keys():
        _check_goals(report, found)


def _check_behind(report: Report, found: Mapping[str, Measured]) -> None:
    """How soon behind its answer a message is pushed; `inline` answers last of all."""
    behind = {
        name: median(figures.behind_s)
        for name, figures in found.items()
        if figures.behind_s and name != "inline"
    }
    ours = behind.pop("process", None)
    if ours is None:
        return
    name = "answer → first push, process, p50 in ms"
    report.goal(name, ours * 1000, at_most=BEHIND_ANSWER_MS)
    if behind:
        soonest = min(behind, key=behind.__getitem__)
        name = f"answer → first push, process ÷ the soonest other, {soonest}"
        report.goal(name, ours / behind[soonest], at_most=1.0)


def _check_goals(report: Report, found: Mapping[str, Measured]) -> None:
    ours, off = found["process"], found[OFF]
    p50 = median(ours.single_s) / median(off.single_s)
    report.goal("p50 one by one, process ÷ push off", p50, at_most=1.1)
    p50 = median(ours.answers_s) / median(off.answers_s)
    report.goal("p50 under load, process ÷ push off", p50, at_most=1.1)
    for name in ("celery", COLD_CELERY):
        first = median(ours.first_s) / median(found[name].first_s)
        report.goal(f"send → first push, process ÷ {name}", first, at_most=1 / 3)


def _median_ms(values_s: list[float]) -> float | str:
    return median(values_s) * 1000 if values_s else "-"


if __name__ == "__main__":
    main()
