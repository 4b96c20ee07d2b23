"""`make run` shows how a message is pushed, and leaves nothing behind but its data."""

import re
import signal
import socket
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.support import curl
from tests.support.client import Client
from tests.support.demo import Demo
from tests.support.wait import until


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return tmp_path / "var"


def test_printed_commands_show_the_pushes_of_a_message(run_dir: Path) -> None:
    with Demo(run_dir) as demo:
        post, inbox, job = demo.commands()

        sent = curl.run(post)

        assert (sent["message"]["seq"], sent["conversation"]["id"]) == (1, 1)
        assert sent["job"]["url"] in job
        assert curl.run(inbox), "it waits for the first push"
        until(lambda: curl.run(job)["state"] == "completed", what="for the job")
        assert curl.run(job)["accepted"] == curl.run(job)["total"] == 3
        pushes = curl.run(inbox)
        assert sorted(push["platform"] for push in pushes) == ["apns", "fcm", "fcm"]
        assert len({push["token"] for push in pushes}) == 3


def test_printed_key_opens_the_dashboard(run_dir: Path) -> None:
    with Demo(run_dir) as demo:
        demo.commands()
        address, key_file = re.findall(
            r"dashboard +(\S+)  \(sign in with the key in (\S+)\)", demo.printed
        )[0]
        url, path = address.removesuffix("/dashboard"), "/dashboard/login"
        form = urlencode({"service_key": Path(key_file).read_text()}).encode()
        kind = {"Content-Type": "application/x-www-form-urlencoded"}

        answer = Client(url).request("POST", path, form, kind)

        assert (answer.status, answer.headers["location"]) == (303, "/dashboard")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_stops_all_processes(run_dir: Path, number: int) -> None:
    with Demo(run_dir) as demo:
        post, _, job = demo.commands()
        # So that a warm PushProcess must be stopped, too.
        curl.run(post)
        until(lambda: curl.run(job)["state"] == "completed", what="for the job")

        status = demo.stop(number)

        assert status == 0
        # The demo does not wait for the last steps of a PushProcess.
        until(lambda: not demo.processes(), what="for its processes to end")
        assert demo.printed.endswith("Stopped.\n")


def test_second_run_keeps_the_data(run_dir: Path) -> None:
    with Demo(run_dir) as demo:
        first = demo.commands()
        curl.run(first[0])

    with Demo(run_dir, **demo.settings) as demo:
        second = demo.commands()

        assert second == first
        assert curl.run(second[0])["message"]["seq"] == 2


def test_deleted_database_is_created_again(run_dir: Path) -> None:
    with Demo(run_dir) as demo:
        demo.commands()
    for file in run_dir.glob("bottlepost.db*"):
        file.unlink(missing_ok=True)

    with Demo(run_dir) as demo:
        post, *_ = demo.commands()

        assert curl.run(post)["message"]["seq"] == 1


@pytest.mark.parametrize("variable", ["BOTTLEPOST_PORT", "BOTTLEPOST_SANDBOX_PORT"])
def test_occupied_port_is_reported_in_one_line(run_dir: Path, variable: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        with Demo(run_dir, **{variable: port}) as demo:
            assert demo.wait() == 1

    assert demo.printed.count("\n") == 1
    assert port in demo.printed
    assert variable in demo.printed
    assert not run_dir.exists()


def test_server_that_cannot_start_is_reported_with_its_log(run_dir: Path) -> None:
    with Demo(run_dir, BOTTLEPOST_DISPATCHER="pigeon") as demo:
        assert demo.wait() == 1

    assert "The server ended" in demo.printed
    assert "BOTTLEPOST_DISPATCHER must be one of" in demo.printed
    assert demo.processes() == []


def test_files_with_secrets_are_private(run_dir: Path) -> None:
    with Demo(run_dir) as demo:
        demo.commands()

    names = ("service-key", "demo.json", "demo-page.json")
    secrets = [run_dir / name for name in names]
    assert {file.stat().st_mode & 0o777 for file in secrets} == {0o600}
