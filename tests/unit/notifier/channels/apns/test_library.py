"""What we take from apns2, and what must not be imported with it."""

import ast
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from notifier.channels.apns import library


def _loaded_by(module: str, *packages: str) -> set[str]:
    """Modules of these packages that a fresh interpreter holds after the import."""
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return {name for name in done.stdout.split() if name.split(".")[0] in packages}


def _members_in_apns2(enum: str) -> dict[str, str]:
    """An enum of `apns2.client`, read from its source: not every Python imports it."""
    spec = find_spec("apns2.client")
    assert spec is not None
    tree = ast.parse(Path(str(spec.origin)).read_text())
    (found,) = (
        node
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name == enum
    )
    return {
        ast.unparse(line.targets[0]): ast.literal_eval(line.value)
        for line in found.body
        if isinstance(line, ast.Assign)
    }


def test_the_channel_imports_no_other_http_stack():
    loaded = _loaded_by("notifier.channels.apns", "apns2", "hyper", "h2", "OpenSSL")

    assert loaded == {"apns2", "apns2.errors", "apns2.payload"}


@pytest.mark.parametrize(
    "enum", [library.NotificationType, library.NotificationPriority]
)
def test_repeated_names_are_those_of_apns2(enum):
    members = {member.name: member.value for member in enum}

    assert members.items() <= _members_in_apns2(enum.__name__).items()


def test_a_payload_is_written_with_apples_keys():
    payload = library.Payload(badge=1, content_available=True, thread_id="chat-1")

    assert payload.dict() == {
        "aps": {"badge": 1, "content-available": 1, "thread-id": "chat-1"}
    }


def test_known_reasons_are_explained() -> None:
    words = library.explain("InvalidProviderToken")

    assert words.startswith("InvalidProviderToken (")
    assert "signature" in words


@pytest.mark.parametrize("reason", ["ExpiredToken", "FromTheFuture", "", "status 403"])
def test_unknown_reasons_are_left_as_they_are(reason: str) -> None:
    assert library.explain(reason) == reason
