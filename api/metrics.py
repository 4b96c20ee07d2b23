"""GET /metrics: the state of the server in the Prometheus format."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy.orm import Session

from api.context import RawBody, RequestContext, Result
from datastore import metrics, provider_troubles, statistics
from models.base import utc_now

RECENTLY = timedelta(hours=1)
# Label values, each with a number.
Samples = Iterable[tuple[tuple[str, ...], float]]


class Exposition(RawBody):
    content_type = CONTENT_TYPE_LATEST


@dataclass(frozen=True, eq=False)
class StaticCollector:
    """A collector of complete metric families, as the library expects it."""

    families: list[Metric]

    def collect(self) -> Iterator[Metric]:
        yield from self.families


def show(context: RequestContext) -> Result[Exposition]:
    """Show the metrics of the server in the Prometheus format.

    Metrics from the database are the same in every process.
    """
    with context.store.read() as session:
        families = [*_queue(session), *_last_hour(session), _troubles(session)]
    if context.app.slots is not None:
        families += _processes(*context.app.slots())
    registry = CollectorRegistry()
    registry.register(StaticCollector(families))
    text = generate_latest(registry) + generate_latest(context.app.traffic.registry)
    return Result(200, Exposition(text))


def _queue(session: Session) -> list[Metric]:
    now = utc_now()
    queue = statistics.queue(session, now)
    states = {
        "queued": queue.due,
        "processing": queue.leased,
        "waiting": queue.waiting,
    }
    return [
        _gauge(
            "bottlepost_jobs",
            "Push jobs that have not ended: queued, processing, or waiting.",
            ("state",),
            [((state,), number) for state, number in states.items()],
        ),
        _gauge(
            "bottlepost_oldest_due_job_age_seconds",
            "How long the oldest due job has waited for an engine.",
            (),
            [((), metrics.oldest_due_age_s(session, now))],
        ),
        *_rates(metrics.rates(session, now)),
    ]


def _rates(rates: metrics.Rates) -> list[Metric]:
    return [
        _gauge(
            "bottlepost_messages_accepted_per_second",
            "Messages that were accepted, in the last minute.",
            (),
            [((), rates.accepted)],
        ),
        _gauge(
            "bottlepost_messages_done_per_second",
            "Messages whose push jobs ended, in the last minute.",
            (),
            [((), rates.ended)],
        ),
    ]


def _last_hour(session: Session) -> list[Metric]:
    first_job = statistics.first_job_since(session, utc_now() - RECENTLY)
    ended = metrics.ended(session, first_job)
    pushes = {
        "accepted": sum(each.accepted for each in ended),
        "failed": sum(each.failed for each in ended),
    }
    return [
        _gauge(
            "bottlepost_jobs_ended_last_hour",
            "Ended push jobs of the last hour's messages.",
            ("state",),
            [((each.state,), each.jobs) for each in ended],
        ),
        _gauge(
            "bottlepost_pushes_last_hour",
            "Devices that those jobs reached, and did not reach.",
            ("outcome",),
            [((outcome,), number) for outcome, number in pushes.items()],
        ),
        _gauge(
            "bottlepost_pushes_refused_last_hour",
            "Devices that did not accept their push, or not yet, by reason.",
            ("platform", "outcome", "reason"),
            [(each[:3], each.pushes) for each in metrics.refused(session, first_job)],
        ),
    ]


def _troubles(session: Session) -> Metric:
    return _gauge(
        "bottlepost_provider_trouble_since_seconds",
        "When pushes of a route began to wait for the operator (Unix time).",
        ("route",),
        [
            ((trouble.route,), trouble.since.timestamp())
            for trouble in provider_troubles.find_all(session)
        ],
    )


def _processes(running: int, slots: int) -> list[Metric]:
    return [
        _gauge(
            "bottlepost_push_processes", "Running PushProcesses.", (), [((), running)]
        ),
        _gauge(
            "bottlepost_push_slots",
            "Allowed number of PushProcesses.",
            (),
            [((), slots)],
        ),
    ]


def _gauge(name: str, about: str, labels: tuple[str, ...], samples: Samples) -> Metric:
    family = GaugeMetricFamily(name, about, labels=labels)
    for values, number in samples:
        family.add_metric(values, number)
    return family
