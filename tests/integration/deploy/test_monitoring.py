"""The alert rules and the dashboard ask for metrics that the server really exports."""

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from tests.support import metric_names
from tests.support.paths import ROOT
from tests.support.server import Server

Tool = Callable[[str], str]
PROMETHEUS = ROOT / "deploy/prometheus"


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load((PROMETHEUS / "alerts.yaml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        (ROOT / "deploy/grafana/bottlepost.json").read_text()
    )["panels"]
    return found


def expressions() -> list[str]:
    asked = [rule["expr"] for rule in rules()]
    return asked + [target["expr"] for each in panels() for target in each["targets"]]


@pytest.fixture(scope="module")
def exposition(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Server(tmp_path_factory.mktemp("metrics")) as server:
        server.user("Ann")
        yield server.client.get("/metrics").body.decode()


def test_every_metric_is_exported(exposition: str) -> None:
    asked = metric_names.names(expressions())

    assert len(asked) > 8
    assert asked <= metric_names.exported(exposition)


def test_every_metric_that_is_exported_is_shown(exposition: str) -> None:
    asked = metric_names.names(expressions())

    # The time of its creation, of each counter.
    exported = {
        name
        for name in metric_names.exported(exposition)
        if not name.endswith("_created")
    }
    assert exported <= asked


@pytest.mark.parametrize("expression", expressions())
def test_every_label_is_documented(expression: str) -> None:
    assert not metric_names.unknown_labels(expression)


def test_each_alert_says_what_to_do() -> None:
    text = (ROOT / "docs/operations.md").read_text()

    unexplained = [
        rule["alert"] for rule in rules() if f"`{rule['alert']}`" not in text
    ]

    assert not unexplained


def test_panels_do_not_cover_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for each in panels():
        at = each["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, each["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


@pytest.mark.deploy
@pytest.mark.parametrize(
    "arguments",
    [("check", "rules", "alerts.yaml"), ("test", "rules", "alerts-test.yaml")],
    ids=["check", "test"],
)
def test_promtool_finds_the_rules_right(tool: Tool, arguments: tuple[str, ...]) -> None:
    _run([tool("promtool"), *arguments])


@pytest.mark.deploy
def test_promtool_finds_the_metrics_right(tool: Tool, exposition: str) -> None:
    _run([tool("promtool"), "check", "metrics"], exposition)


@pytest.mark.deploy
def test_promtool_can_read_the_expressions_of_the_dashboard(
    tool: Tool, tmp_path: Any
) -> None:
    asked = [target["expr"] for each in panels() for target in each["targets"]]
    made = [
        {"record": f"panel:{number}", "expr": expression.replace("$job", "bottlepost")}
        for number, expression in enumerate(asked)
    ]
    file = tmp_path / "panels.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": made}]}))

    _run([tool("promtool"), "check", "rules", str(file)])


def _run(command: list[str], sent: str | None = None) -> None:
    done = subprocess.run(
        command,
        cwd=PROMETHEUS,
        input=sent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
