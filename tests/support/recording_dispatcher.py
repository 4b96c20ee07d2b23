"""A dispatcher that only records its calls."""


class RecordingDispatcher:
    """Records the dispatched job ids and wakes no engine."""

    def __init__(self) -> None:
        self.job_ids: list[int] = []
        self.started = 0

    def start(self) -> None:
        self.started += 1

    def dispatch(self, job_id: int) -> None:
        self.job_ids.append(job_id)

    def close(self) -> None:
        pass
