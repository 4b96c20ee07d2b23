"""The command that prints what would be sent for a sample message."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import config
from datastore import Datastore, kinds, migrations
from models.base import utc_now
from notifier.preview import Drawing, requests, sample
from notifier.preview.requests import PLATFORMS, Wanted
from tests.support.paths import ROOT

KINDS: dict[str, Any] = {
    "message": {"patterns": {"default": {"title": "{sender} wrote"}}},
    "mention": {"patterns": {"default": {"title": "{sender} needs you"}}},
    "call": {
        "patterns": {
            "default": {"title": "{sender} rings", "body": "{data.room}"},
            "de": {"title": "{sender} ruft an"},
        },
        "apns": {
            "headers": {"push_type": "voip", "priority": 10},
            "payload": {"room": "{data.room}"},
        },
        "email": {"html": "<h1>{text}</h1>"},
    },
}
BASE = {"BOTTLEPOST_SERVICE_KEY": "x" * 16}


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {**BASE, "BOTTLEPOST_RUN_DIR": str(tmp_path)}


def run(
    environ: dict[str, str], *arguments: object
) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("BOTTLEPOST_")}
    return subprocess.run(
        [sys.executable, "-m", "bottlepost", "preview", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**kept, **environ},
        check=False,
        timeout=120,
    )


def file_with(folder: Path, name: str, value: object) -> Path:
    path = folder / name
    path.write_text(json.dumps(value))
    return path


def test_it_prints_the_request_of_each_platform(environ, tmp_path) -> None:
    file = file_with(tmp_path, "kinds.json", KINDS)
    message = file_with(
        tmp_path,
        "message.json",
        {
            "sender": {"name": "Zoë", "avatar_url": "https://cdn.example.org/z.png"},
            "conversation": {"name": "<Harbour>", "members": 2},
            "message": "Ahoy & <b>there</b>",
            "data": {"room": "7"},
        },
    )

    told = run(
        environ, "call", "--file", file, "--message", message, "--locale", "de-CH"
    )

    assert told.returncode == 0, told.stderr
    # Each part begins with a title between two of these.
    apns, fcm, webpush, mail = told.stdout.split(" ===\n")[1:]
    assert "POST https://api.push.apple.com/3/device/" in apns
    assert "apns-push-type: voip" in apns
    assert "apns-topic: com.example.chat.voip" in apns
    assert '"room": "7"' in apns
    assert "POST https://fcm.googleapis.com/v1/projects/" in fcm
    assert "Zoë ruft an" in fcm
    assert "urgency: high" in webpush
    assert '"title": "Zoë ruft an"' in webpush
    assert "Subject: <Harbour>" in mail
    # The service's markup stays, and that of members is shown and not obeyed.
    assert "<h1>Ahoy &amp; &lt;b&gt;there&lt;/b&gt;</h1>" in mail.replace("=\n", "")


def test_it_takes_the_kinds_of_the_database(environ) -> None:
    settings = config.from_env(environ)
    store = Datastore(settings.database_url)
    migrations.bring_up_to_date(store)
    with store.write() as session:
        kinds.save(session, "call", KINDS["call"], utc_now())
    store.close()

    told = run(environ, "call", "--platform", "webpush", "--raw")
    missing = run(environ, "ring")

    assert told.returncode == 0, told.stderr
    assert '"title":"Ada Lovelace rings"' in told.stdout
    assert "apns" not in told.stdout
    assert missing.returncode == 1
    assert "there is no kind 'ring'; defined are: call" in missing.stderr


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ({"sende": {}}, "sende: "),
        ({"badge": -1}, "badge: "),
        ({"sender": {"name": 7}}, "sender.name: "),
        ([], "the file: "),
        ({"notification": {"apns": {"aps": {"sond": "x"}}}}, "apns.aps.sond"),
    ],
)
def test_a_wrong_sample_message_is_named(environ, tmp_path, message, problem) -> None:
    file = file_with(tmp_path, "kinds.json", KINDS)
    sample_file = file_with(tmp_path, "message.json", message)

    told = run(environ, "--file", file, "--message", sample_file)

    assert told.returncode == 1
    assert problem in told.stderr
    assert "Traceback" not in told.stderr


def test_a_wrong_file_of_kinds_is_named(environ, tmp_path) -> None:
    file = file_with(tmp_path, "kinds.json", {"call": {"apns": {"apz": {}}}})

    told = run(environ, "call", "--file", file)

    assert told.returncode == 1
    assert "apns.apz" in told.stderr


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("is_mentioned", [False, True])
def test_a_mention_has_its_own_look(environ, platform, *, is_mentioned) -> None:
    settings = config.from_env(environ)
    wanted = Wanted(is_mentioned=is_mentioned, platforms=(platform,))

    (made,) = requests.previews(settings, KINDS, wanted)

    title = "needs you" if is_mentioned else "wrote"
    assert f"Ada Lovelace {title}" in made.body


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_preview_hides_what_a_push_hides(environ, platform) -> None:
    environ = {**environ, "BOTTLEPOST_PUSH_PREVIEW": "none"}
    settings = config.from_env(environ)
    wanted = Wanted(platforms=(platform,), locale="de")

    (made,) = requests.previews(settings, {}, wanted)

    assert "Neue Nachricht" in made.body
    assert "Ada" not in made.body
    assert "Ship" not in made.body


@pytest.mark.parametrize(
    ("platform", "is_sent"),
    [("apns", True), ("fcm", True), ("webpush", False), ("email", False)],
)
def test_it_says_when_nothing_is_sent(environ, platform, *, is_sent) -> None:
    settings = config.from_env(environ)
    message = sample.read('{"silent": true}')

    (made,) = requests.previews(
        settings, {}, Wanted(platforms=(platform,), message=message)
    )

    assert bool(made.body) is is_sent
    assert ("silent" in made.problem) is not is_sent


def test_drawing_changes_nothing_for_later_pushes(environ) -> None:
    drawing = Drawing(config.from_env(environ))

    one = drawing(KINDS, "message", locale="de", is_mentioned=False, text="Ahoy")
    two = drawing(KINDS, "message", locale="de", is_mentioned=False, text="Ahoy")

    assert [each.seen for each in one][:3] == [each.seen for each in two][:3]
    assert one[0].seen.body == "Ahoy"
