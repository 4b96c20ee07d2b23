"""Getting apns2 to load where hyper cannot, and leaving no traces."""

import subprocess
import sys

import pytest

from notifier.channels.apns import library


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return done.stdout.strip()


def test_names_of_apns2_are_there() -> None:
    assert library.NotificationType.Background.value == "background"
    assert library.NotificationPriority.Immediate.value == "10"
    assert library.Payload(badge=1).dict() == {"aps": {"badge": 1}}


def test_nothing_of_hyper_stays_behind() -> None:
    code = (
        "import sys; import notifier.channels.apns.library;"
        "print([m for m in sys.modules if m.split('.')[0] in ('hyper', 'h2')])"
    )

    assert run(code) == "[]"


def test_a_hyper_that_was_there_before_is_put_back() -> None:
    code = (
        "import sys, types; mine = types.ModuleType('hyper');"
        "sys.modules['hyper'] = mine; import notifier.channels.apns.library;"
        "print(sys.modules['hyper'] is mine, 'hyper.tls' in sys.modules)"
    )

    assert run(code) == "True False"


def test_apns2s_own_connection_says_why_it_cannot_be_used() -> None:
    code = (
        "import notifier.channels.apns.library\n"
        "from apns2.credentials import Credentials\n"
        "try: Credentials().create_connection('host', 443, None)\n"
        "except NotImplementedError as problem: print(problem)"
    )

    assert "notifier.http2" in run(code)


def test_known_reasons_are_explained() -> None:
    words = library.explain("InvalidProviderToken")

    assert words.startswith("InvalidProviderToken (")
    assert "signature" in words


@pytest.mark.parametrize("reason", ["ExpiredToken", "FromTheFuture", "", "status 403"])
def test_unknown_reasons_are_left_as_they_are(reason: str) -> None:
    assert library.explain(reason) == reason
