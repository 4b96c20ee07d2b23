"""A short look with any messages and any answers; the long one is a command."""

from hypothesis import HealthCheck, settings

from tests.fuzz import channels as fuzz

_BRIEFLY = settings(
    max_examples=150, deadline=None, suppress_health_check=list(HealthCheck)
)
(
    test_any_message_makes_a_push_that_fits_or_none,
    test_any_answer_is_understood_or_put_off,
) = map(_BRIEFLY, fuzz.checks())
