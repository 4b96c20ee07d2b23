"""What commands print: others' words cannot command a terminal, times are the API's."""

import json
from datetime import UTC, datetime

import pytest

from bottlepost.printed import Output, fail

# A window's title, a colour by the one-byte introducer, a line of its own.
EVIL = "Ann\x1b]0;mine\x07\x9b31m\r\nid  1"
ROWS = [{"id": 7, "name": EVIL}]


@pytest.mark.parametrize("is_json", [False, True])
def test_no_control_character_reaches_a_terminal(
    capsys: pytest.CaptureFixture[str], *, is_json: bool
) -> None:
    output = Output(is_json=is_json)

    output.rows(("id", "name"), ROWS)
    output.record(ROWS[0])
    output.done("done", name=EVIL) if is_json else None
    with pytest.raises(SystemExit):
        fail(f"no such user: {EVIL}")

    printed = capsys.readouterr()
    lines = [*printed.out.splitlines(), *printed.err.splitlines()]
    assert all(line.isprintable() for line in lines)
    assert len(printed.err.splitlines()) == 1
    if is_json:
        rows, record, done = map(json.loads, printed.out.splitlines())
        assert rows[0]["name"] == record["name"] == done["name"] == EVIL


def test_times_are_those_of_the_api(capsys: pytest.CaptureFixture[str]) -> None:
    at = datetime(2026, 11, 27, 9, 5, tzinfo=UTC)

    Output(is_json=True).record({"at": at})

    assert capsys.readouterr().out == '{"at": "2026-11-27T09:05:00Z"}\n'
