"""One trace from the request over the job to each provider's answer."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import push_processes, trace_collector
from tests.support.client import Reply
from tests.support.paths import ROOT
from tests.support.running_system import FAST, RunningSystem
from tests.support.sandbox import Sandbox
from tests.support.server import Server
from tests.support.trace_collector import ReceivedSpan, TraceCollector
from tests.support.wait import until

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
NAMES = {"POST /groupchat/send", "push job", "push apns", "push fcm"}


@pytest.fixture(scope="module")
def collector() -> Iterator[TraceCollector]:
    with trace_collector.running() as collector:
        yield collector


@pytest.fixture(scope="module")
def traced(
    shared_sandbox: Sandbox,
    collector: TraceCollector,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningSystem]:
    run_dir = tmp_path_factory.mktemp("traced")
    environment = {
        **shared_sandbox.environment,
        **FAST,
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        # Half a second after a span has ended, and not five.
        "OTEL_BSP_SCHEDULE_DELAY": "500",
    }
    with Server(run_dir, environment) as server:
        yield RunningSystem(run_dir, server, shared_sandbox)
    push_processes.end_all(run_dir)


def _post(system: RunningSystem, trace: str) -> tuple[Reply, str]:
    conversation = system.conversation(4)
    body = {"conversation": conversation.id, "message": "At the secret harbour"}
    headers = {
        "traceparent": f"00-{trace}-{PARENT}-01",
        "X-Request-Id": f"of-{trace[:8]}",
    }
    posted = conversation.sender.request("POST", "/groupchat/send", body, headers)
    system.wait_until_ended(conversation, posted)
    return posted, "At the secret harbour"


def _all_spans(collector: TraceCollector, trace: str) -> dict[str, ReceivedSpan]:
    def all_there() -> dict[str, ReceivedSpan] | None:
        found = collector.of_trace(trace)
        return found if found.keys() >= NAMES else None

    spans = until(all_there, what=f"for the spans of {trace}")
    assert spans is not None
    return spans


def test_a_message_is_one_trace(
    traced: RunningSystem, collector: TraceCollector
) -> None:
    posted, text = _post(traced, TRACE)

    spans = _all_spans(collector, TRACE)
    request, job = spans["POST /groupchat/send"], spans["push job"]
    assert (request.parent, job.parent) == (PARENT, request.id)
    assert {spans[f"push {name}"].parent for name in ("apns", "fcm")} == {job.id}
    assert request.attributes["http.response.status_code"] == 201
    assert job.attributes["bottlepost.job_id"] == posted.json["job"]["id"]
    ids = {span.attributes["bottlepost.request_id"] for span in spans.values()}
    assert ids == {f"of-{TRACE[:8]}"}
    devices = [
        spans[f"push {name}"].attributes["bottlepost.devices.accepted"]
        for name in ("apns", "fcm")
    ]
    assert sum(devices) == 4
    assert {span.service for span in spans.values()} == {"bottlepost"}
    assert all(span.began <= span.ended for span in spans.values())
    assert not any(text.encode() in body for body in collector.bodies)


def test_what_is_left_is_exported_when_the_engine_stops(
    shared_sandbox: Sandbox, collector: TraceCollector, tmp_path: Path
) -> None:
    trace = TRACE[::-1]
    environment = {
        **shared_sandbox.environment,
        **FAST,
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        # Nothing is exported by itself in time.
        "OTEL_BSP_SCHEDULE_DELAY": "600000",
    }
    with Server(tmp_path, environment) as server:
        _post(RunningSystem(tmp_path, server, shared_sandbox), trace)
        assert collector.of_trace(trace) == {}
    for pid in push_processes.living(tmp_path):
        push_processes.stop(pid)

    assert _all_spans(collector, trace).keys() == NAMES


def test_without_it_nothing_of_it_is_imported() -> None:
    code = (
        "import sys, server, notifier.process.preload\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "[]", done.stderr
