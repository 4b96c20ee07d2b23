"""Short fuzzing runs with any messages and responses; long runs are a command."""

from hypothesis import HealthCheck, settings

from tests.fuzz import channels as fuzz

_BRIEFLY = settings(
    max_examples=150, deadline=None, suppress_health_check=list(HealthCheck)
)
(
    test_any_message_makes_a_push_that_fits_or_none,
    test_any_response_has_an_outcome,
) = map(_BRIEFLY, fuzz.checks())
