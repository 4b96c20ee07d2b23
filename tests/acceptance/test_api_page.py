"""The requests of the introduction in docs/api.md, run as they are written."""

import json
import re
from typing import Any

from tests.support import curl
from tests.support.paths import ROOT
from tests.support.running_system import RunningSystem
from tests.support.wait import until

PAGE = (ROOT / "docs" / "api.md").read_text()
COMMANDS = re.findall(r"^\$ (curl .*)$", PAGE, re.MULTILINE)


def test_the_main_way_leads_to_a_push(system: RunningSystem) -> None:
    said = {
        "URL": system.server.url,
        "SERVICE_KEY": system.server.service_key,
        "JSON": "Content-Type: application/json",
    }

    def run(number: int) -> Any:
        command = COMMANDS[number]
        for name, value in said.items():
            command = command.replace(f"${name}", value)
        answer = curl.run(command)
        assert "error" not in answer or answer["error"] is None, json.dumps(answer)
        return answer

    said |= {"ANN": run(0)["token"], "BEN": run(1)["token"]}
    for number in (2, 3, 4):
        run(number)

    assert len(COMMANDS) == 6
    until(lambda: run(5)["accepted"] == run(5)["total"] == 1, what="for the push")
