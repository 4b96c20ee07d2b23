"""compose.yaml and the Dockerfile agree with the code."""

import re
from configparser import ConfigParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

import config
from notifier.dispatchers import DISPATCHERS
from tests.support.paths import ROOT

COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "BOTTLEPOST_HOST" in str(service)]
# ${NAME:?message}, which docker compose replaces.
FROM_OUTSIDE = re.compile(r"\$\{(\w+):\?[^}]*\}")


def environment(service: str, sandbox: Path) -> dict[str, str]:
    """The environment of a container, with the sandbox's files in `sandbox`."""
    for name in ("apns-key.p8", "fcm-service-account.json", "ca.pem"):
        (sandbox / name).touch()
    return {
        name: FROM_OUTSIDE.sub("a secret of enough characters", value).replace(
            "/sandbox/", f"{sandbox}/"
        )
        for name, value in SERVICES[service]["environment"].items()
    }


def test_two_web_hosts_and_two_workers_are_described() -> None:
    assert OURS == ["web1", "web2", "worker1", "worker2"]


@pytest.mark.parametrize("service", OURS)
def test_every_variable_is_a_setting_with_a_valid_value(
    service: str, tmp_path: Path
) -> None:
    values = environment(service, tmp_path)

    settings = config.from_env({**values, "BOTTLEPOST_RUN_DIR": str(tmp_path)})

    assert settings.dispatcher in DISPATCHERS
    assert (
        settings.database_url == "postgresql+psycopg://bottlepost@postgresql/bottlepost"
    )
    assert settings.apns_key_file == tmp_path / "apns-key.p8"


@pytest.mark.parametrize("service", OURS)
def test_no_secret_is_pasted_into_an_address(service: str) -> None:
    """One with an @ or a % would be read as something else."""
    values = SERVICES[service]["environment"].values()

    assert not [value for value in values if "://" in value and "$" in value]


def test_misspelt_variable_would_be_noticed(tmp_path: Path) -> None:
    values = environment("worker1", tmp_path) | {"BOTTLEPOST_BROKR_URL": "redis://x"}

    with pytest.raises(config.SettingsError, match="BOTTLEPOST_BROKR_URL"):
        config.from_env({**values, "BOTTLEPOST_RUN_DIR": str(tmp_path)})


@pytest.mark.parametrize("service", OURS)
def test_commands_exist(service: str) -> None:
    python, *arguments = SERVICES[service]["command"]

    assert python == "python"
    if arguments[0] == "-m":
        [package, worker] = arguments[1:]
        assert find_spec(f"{package}.dispatchers.{worker}_worker")
    else:
        assert (ROOT / arguments[0]).is_file()


@pytest.mark.parametrize("service", SERVICES)
def test_services_and_volumes_that_are_named_exist(service: str) -> None:
    described = SERVICES[service]

    needs = set(described.get("depends_on", ()))
    named = {volume.split(":")[0] for volume in described.get("volumes", ())}

    assert needs <= SERVICES.keys()
    assert all("healthcheck" in SERVICES[name] for name in needs)
    assert named <= COMPOSE["volumes"].keys()


def test_health_check_of_the_database_uses_tcp() -> None:
    """During its setup only the Unix socket is open; our containers use TCP."""
    assert "--host" in SERVICES["postgresql"]["healthcheck"]["test"]


def test_hosts_in_addresses_are_services() -> None:
    text = str([SERVICES[name]["environment"] for name in OURS])

    hosts = set(re.findall(r"(?:https|redis)://([\w.]+)|@(\w+)/", text))

    assert {name for pair in hosts for name in pair if name} == {
        *("sandbox", "redis", "postgresql")
    }


def test_the_image_installs_extras_that_exist() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    declared = ConfigParser()
    declared.read(ROOT / "setup.cfg")

    [extras] = re.findall(r'pip install .*"\.\[(.+)\]"', dockerfile)

    known = declared["options.extras_require"].keys()
    assert set(extras.split(",")) <= known


def test_the_image_has_every_package() -> None:
    ignored = (ROOT / ".dockerignore").read_text()
    packages = {
        folder.parent.name
        for folder in ROOT.glob("*/__init__.py")
        if folder.parent.name not in ("tests", "benchmarks")
    }

    assert packages <= {line[1:] for line in ignored.splitlines() if line[:1] == "!"}
