"""Counts the requests that this process has answered, for /metrics."""

import os

from prometheus_client import CollectorRegistry, Counter, Histogram

# From a fast query to a slow disk; the highest ones are for long polls.
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)
# A scrape reaches one of several processes. With the process id as a label, each has
# its own series, which never decrease, as counters must not.
LABELS = ("process", "method", "route")
# The process, the method, the route and the status.
Key = tuple[int, str, str, int]


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

        # Finding a child by its labels costs more than counting.
        self._children: dict[Key, tuple[Counter, Histogram]] = {}

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        # Some hosts fork after they have created the application.
        key = (os.getpid(), method, route, status)
        children = self._children.get(key)
        if children is None:
            children = self._children[key] = self._labelled(key)
        requests, duration = children
        requests.inc()
        duration.observe(seconds)

    def _labelled(self, key: Key) -> tuple[Counter, Histogram]:
        process, method, route, status = key
        labels = (str(process), method, route)
        return (
            self._requests.labels(*labels, str(status)),
            self._seconds.labels(*labels),
        )
