"""Retry pauses grow, respect Retry-After, and have jitter."""

import pytest

from notifier.retry_delays import RETRY_LADDER_S, outage_delay_s, retry_delay_s


@pytest.mark.parametrize("attempts", range(1, 12))
def test_the_pause_stays_within_its_step(attempts: int) -> None:
    step = RETRY_LADDER_S[min(attempts, len(RETRY_LADDER_S)) - 1]

    pauses = [retry_delay_s(attempts) for _ in range(200)]

    assert 0 <= min(pauses) < step / 2 < max(pauses) <= step


@pytest.mark.parametrize(("asked", "floor"), [(0.1, 1.0), (40.0, 40.0), (9e9, 3600.0)])
def test_retry_after_is_clamped_to_bounds(asked: float, floor: float) -> None:
    pauses = [retry_delay_s(1, asked) for _ in range(50)]

    assert floor <= min(pauses)
    assert max(pauses) <= floor + 1.0


@pytest.mark.parametrize(
    ("waited_s", "asked", "floor"),
    [(0, None, 0), (0, 30, 30), (3600, None, 360), (3600, 500, 500), (9e9, None, 600)],
)
def test_a_long_outage_is_retried_less_often(
    waited_s: float, asked: float | None, floor: float
) -> None:
    pauses = [outage_delay_s(waited_s, asked) for _ in range(50)]

    assert floor <= min(pauses)
    assert max(pauses) <= floor + max(floor, 1.0)
