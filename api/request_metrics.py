"""Counts the requests that this process has answered, for /metrics."""

import os

from prometheus_client import CollectorRegistry, Counter, Histogram

# From a fast query to a slow disk; the highest ones are for long polls.
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)
# A scrape reaches one of several processes. With the process id as a label, each has
# its own series, which never decrease, as counters must not.
LABELS = ("process", "method", "route")


class Traffic:
    """The request metrics of one application; safe to share between threads."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "bottlepost_http_requests",
            "Answered requests to the API.",
            (*LABELS, "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "bottlepost_http_request_seconds",
            "Time from receiving a request to its response.",
            LABELS,
            buckets=BUCKETS_S,
            registry=self.registry,
        )

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        # Not cached: some hosts fork after they have created the application.
        labels = (str(os.getpid()), method, route)
        self._requests.labels(*labels, str(status)).inc()
        self._seconds.labels(*labels).observe(seconds)
