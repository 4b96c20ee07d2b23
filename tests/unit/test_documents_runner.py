"""The comparison of samples with answers, on which the test of the documents stands."""

import pytest

from tests.support.documents import likeness


@pytest.mark.parametrize(
    ("sample", "real"),
    [
        ('{"id": 1, "name": "Ann"}', {"id": 7, "name": "Ann"}),
        ('{"id": 1, …}', {"id": 7, "name": "Ann"}),
        ('{"id":1,…,"role":"owner"}', {"id": 7, "name": "Ann", "role": "owner"}),
        ('{"chat": {…}}', {"chat": {"id": 7}}),
        ('{"token": "…"}', {"token": None}),
        ('{"job": {"url": "/jobs/1"}}', {"job": {"url": "/jobs/12"}}),
        ('{"texts": ["a", …]}', {"texts": ["a", "b"]}),
        ('{"members": [1, 2]}', {"members": [3, 4, 5]}),
    ],
)
def test_answers_that_are_like_the_sample(sample: str, real: object) -> None:
    assert likeness.difference(likeness.parse(sample), real) is None


@pytest.mark.parametrize(
    ("sample", "real", "told"),
    [
        ('{"name": "Ann"}', {"name": "Ben"}, "it.name is 'Ben', not 'Ann'"),
        ('{"name": "Ann"}', {}, "it has no name"),
        ('{"name": "Ann"}', {"name": "Ann", "age": 1}, "it also has age"),
        ('{"name": "Ann", …}', {"age": 1}, "it has no name"),
        ('{"total": 1}', {"total": 2}, "it.total is 2, not 1"),
        ('{"total": 1}', {"total": "1"}, "it.total is '1', not 1"),
        ('{"total": 1}', {"total": True}, "it.total is True, not 1"),
        ('{"done": null}', {"done": 1}, "it.done is 1, not None"),
        ('{"texts": ["a"]}', {"texts": ["a", "b"]}, "it.texts has 2 entries, not 1"),
        ('{"errors": [{"line": 5}]}', {"errors": [{"line": 6}]}, "line is 6, not 5"),
    ],
)
def test_answers_that_differ(sample: str, real: object, told: str) -> None:
    assert told in str(likeness.difference(likeness.parse(sample), real))
