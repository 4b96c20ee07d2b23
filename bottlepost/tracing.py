"""Spans of requests, jobs and providers, by OpenTelemetry.

Only what runs while tracing is on imports this. The exporter begins with the first span
of a process, so it never has to survive a fork.
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.util import Finalize

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

NAME = "bottlepost"
# A collector that does not answer must not keep a process from its end for longer.
FLUSH_S = 2.0
_W3C = TraceContextTextMapPropagator()
_lock = threading.Lock()
_provider: TracerProvider | None = None
_pid = 0


def _tracer() -> Tracer:
    """The tracer of this process; never that of a parent."""
    global _provider, _pid
    provider = _provider
    if provider is None or _pid != os.getpid():
        with _lock:
            if _provider is None or _pid != os.getpid():
                _provider, _pid = _new_provider(), os.getpid()
                # Unlike atexit's, also called in the processes of multiprocessing.
                Finalize(None, flush, exitpriority=1)
            provider = _provider
    return provider.get_tracer(NAME)


def _new_provider() -> TracerProvider:
    resource = Resource.create()
    named = str(resource.attributes.get(SERVICE_NAME, ""))
    if named.startswith("unknown_service"):
        # Neither OTEL_SERVICE_NAME nor OTEL_RESOURCE_ATTRIBUTES has one.
        resource = resource.merge(Resource({SERVICE_NAME: NAME}))
    # Its own hook would wait for up to 30 seconds.
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def flush() -> None:
    """Export what has ended so far; gives up after FLUSH_S."""
    if _provider is not None and _pid == os.getpid():
        # The timeout of the library's own function has no effect.
        thread = threading.Thread(target=_provider.force_flush, daemon=True)
        thread.start()
        thread.join(FLUSH_S)


def _forget_lock() -> None:
    global _lock  # noqa: PLW0603 - another thread may have held it at the fork
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forget_lock)


@contextmanager
def request_span(method: str, carrier: Mapping[str, str]) -> Iterator[Span]:
    """The span of a request, within the trace that its `traceparent` names."""
    with _tracer().start_as_current_span(
        method,
        context=_W3C.extract(carrier),
        kind=SpanKind.SERVER,
        attributes={"http.request.method": method},
        # What an exception says may be secret; the log has it in a safe form.
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        yield span


def traceparent_of(span: Span) -> str | None:
    """What goes on from the span, as W3C Trace Context."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier, trace.set_span_in_context(span))
    return carrier.get("traceparent")


class JobTrace:
    """The span of an engine's work on a job, and one for each provider below it."""

    def __init__(self, job_id: int, request_id: str | None, traceparent: str | None):
        carrier = {} if traceparent is None else {"traceparent": traceparent}
        attributes: dict[str, str | int] = {"bottlepost.job_id": job_id}
        if request_id is not None:
            attributes["bottlepost.request_id"] = request_id
        self._attributes = attributes
        self._job = _tracer().start_span(
            "push job",
            context=_W3C.extract(carrier),
            kind=SpanKind.CONSUMER,
            attributes=attributes,
        )
        self._below = trace.set_span_in_context(self._job)
        self._spans: dict[str, Span] = {}
        self._answered_at: dict[str, int] = {}
        self._outcomes: dict[str, Counter[str]] = {}
        self._has_ended = False

    def begin(self, provider: str) -> None:
        """Pushes to devices of this provider begin, perhaps not the first ones."""
        if provider not in self._spans:
            self._spans[provider] = _tracer().start_span(
                f"push {provider}",
                context=self._below,
                kind=SpanKind.CLIENT,
                attributes={**self._attributes, "bottlepost.provider": provider},
            )
            self._outcomes[provider] = Counter()

    def answered(self, provider: str, outcome: str, devices: int) -> None:
        self._outcomes[provider][outcome] += devices
        self._answered_at[provider] = time.time_ns()

    def end(self) -> None:
        """End all spans: those of the providers at their last answers."""
        if self._has_ended:
            return
        self._has_ended = True
        for provider, span in self._spans.items():
            outcomes = self._outcomes[provider]
            for outcome, devices in outcomes.items():
                span.set_attribute(f"bottlepost.devices.{outcome}", devices)
            if not outcomes.get("accepted"):
                span.set_status(StatusCode.ERROR)
            span.end(self._answered_at.get(provider))
        self._job.end()
