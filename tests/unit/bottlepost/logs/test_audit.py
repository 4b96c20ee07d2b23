"""The lines about what operators did."""

import json
import logging

import pytest

from bottlepost.logs import audit
from bottlepost.logs.lines import JsonFormat, TextFormat


@pytest.mark.parametrize("form", [TextFormat, JsonFormat])
def test_what_a_person_has_typed_is_made_safe_in_both_formats(
    form: type, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    audit.record("user end", who="service:1f", user="ext:ann@example.org", tokens=2)

    line = form("web").format(caplog.records[-1])

    assert "ann@" not in line
    assert "tokens=2" in line
    if form is JsonFormat:
        assert json.loads(line)["user"] == "ext:…@…"
