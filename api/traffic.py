"""The requests that this process has answered, counted for /metrics."""

import os

from prometheus_client import CollectorRegistry, Counter, Histogram

# From a hit of a small table to a slow disk; above, long-polls that wait.
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)
# Whoever scrapes reaches one of several processes, never the sum of them. With its
# number each has series of its own, which grow as a counter has to.
LABELS = ("process", "method", "route")


class Traffic:
    """Safe to share between threads; each application has its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._answers = Counter(
            "bottlepost_http_requests",
            "Requests to the API that were answered.",
            (*LABELS, "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "bottlepost_http_request_seconds",
            "From the first look at a request to its answer.",
            LABELS,
            buckets=BUCKETS_S,
            registry=self.registry,
        )

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        # Asked each time: some hosts fork after they have made the application.
        labels = (str(os.getpid()), method, route)
        self._answers.labels(*labels, str(status)).inc()
        self._seconds.labels(*labels).observe(seconds)
