"""compose.yaml agrees with its schema, with the image and with the code."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

import config
from notifier.dispatchers import DISPATCHERS
from tests.support.deployment import image_environment
from tests.support.paths import ROOT

COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "DISPATCHER" in str(service)]
OF_OUR_IMAGE = [*OURS, "sandbox"]


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("compose") / "secrets"
    subprocess.run([ROOT / "deploy/make-secrets", directory], check=True)
    return directory


def environment(service: str, secrets: Path, directory: Path) -> dict[str, str]:
    """The environment of a container, with its files in two directories of ours."""
    for name in ("apns-key.p8", "fcm-service-account.json", "ca.pem"):
        (directory / name).touch()
    values = image_environment() | SERVICES[service]["environment"]
    return {
        name: value.replace("/sandbox/", f"{directory}/").replace(
            "/run/secrets/", f"{secrets}/"
        )
        for name, value in values.items()
    } | {"BOTTLEPOST_RUN_DIR": str(directory)}


def test_two_web_hosts_and_two_workers_are_described() -> None:
    assert OURS == ["web1", "web2", "worker1", "worker2"]


def test_file_is_valid_by_the_schema_of_compose() -> None:
    schema = ("--builtin-schema", "vendor.compose-spec")
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *schema, ROOT / "compose.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("service", OURS)
def test_every_variable_is_a_setting_with_a_valid_value(
    service: str, secrets: Path, tmp_path: Path
) -> None:
    values = environment(service, secrets, tmp_path)

    settings = config.from_env(values)

    password = (secrets / "postgres-password").read_text().strip()
    assert settings.dispatcher in DISPATCHERS
    assert settings.host == "0.0.0.0"
    assert settings.apns_key_file == tmp_path / "apns-key.p8"
    assert urlsplit(settings.database_url).password == password
    assert urlsplit(settings.broker_url).hostname in SERVICES


def test_misspelt_variable_would_be_noticed(secrets: Path, tmp_path: Path) -> None:
    values = environment("worker1", secrets, tmp_path)

    with pytest.raises(config.SettingsError, match="BOTTLEPOST_BROKR_URL"):
        config.from_env({**values, "BOTTLEPOST_BROKR_URL": "redis://x"})


@pytest.mark.parametrize("service", SERVICES)
def test_no_container_can_do_more_than_it_needs(service: str) -> None:
    described = SERVICES[service]

    assert described["read_only"] is True
    assert described["cap_drop"] == ["ALL"]
    assert described["security_opt"] == ["no-new-privileges:true"]
    assert not described.get("privileged")
    assert all(port.startswith("127.0.0.1:") for port in described.get("ports", ()))


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_a_health_check(service: str) -> None:
    is_of_the_image = service in ("web1", "web2")

    assert is_of_the_image == ("healthcheck" not in SERVICES[service])


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_named_exists(service: str, secrets: Path) -> None:
    described = SERVICES[service]

    needs = set(described.get("depends_on", ()))
    named = {volume.split(":")[0] for volume in described.get("volumes", ())}
    shown = described.get("secrets", [])
    read = set(re.findall(r"/run/secrets/([\w-]+)", str(described)))

    assert needs <= SERVICES.keys()
    assert named <= COMPOSE["volumes"].keys()
    assert read == set(shown) <= COMPOSE["secrets"].keys()
    assert all(
        (secrets.parent / COMPOSE["secrets"][name]["file"]).exists() for name in shown
    )


def test_secrets_are_made_once_and_only_their_owner_can_enter(secrets: Path) -> None:
    files = [secrets.parent / secret["file"] for secret in COMPOSE["secrets"].values()]
    before = [file.read_text() for file in files]

    subprocess.run([ROOT / "deploy/make-secrets", secrets], check=True)

    assert [file.read_text() for file in files] == before
    assert len(set(before)) == len(files)
    assert secrets.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in secrets.iterdir()) == sorted(COMPOSE["secrets"])


def test_no_secret_is_in_the_file() -> None:
    """One in the environment is shown by `docker inspect`."""
    text = (ROOT / "compose.yaml").read_text()

    assert not re.search(r"(PASSWORD|KEY|URL): *\$", text)
    assert "://bottlepost" not in text


def test_health_check_of_the_database_uses_tcp() -> None:
    """During its setup only the Unix socket is open; our containers use TCP."""
    assert "--host" in SERVICES["postgresql"]["healthcheck"]["test"]
