"""A dispatcher that only remembers what it was told."""


class RecordingDispatcher:
    """Takes the news and does nothing about it."""

    def __init__(self) -> None:
        self.job_ids: list[int] = []
        self.started = 0

    def start(self) -> None:
        self.started += 1

    def dispatch(self, job_id: int) -> None:
        self.job_ids.append(job_id)

    def close(self) -> None:
        pass
