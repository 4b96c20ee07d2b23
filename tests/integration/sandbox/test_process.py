"""The sandbox as a program: its files, ports, signals and messages."""

import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import sandbox as sandboxes
from tests.support.paths import ROOT
from tests.support.provider_tokens import ApnsSender, FcmSender
from tests.support.sandbox import Sandbox


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A start that is expected to exit by itself."""
    return subprocess.run(
        [sys.executable, "-m", "sandbox", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_only_the_owner_can_read_the_files(sandbox: Sandbox) -> None:
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in sandbox.run_dir.iterdir()
        if path.is_file()
    }

    assert set(modes.values()) == {0o600}
    assert {"ca.pem", "apns-key.p8", "sandbox.json", "sandbox.env"} <= modes.keys()


def test_shell_and_program_get_the_same_variables(sandbox: Sandbox) -> None:
    shell = f'. "{sandbox.run_dir}/sandbox.env" && env'

    output = subprocess.check_output(["sh", "-c", shell], text=True)

    for name, value in sandbox.environment.items():
        assert f"{name}={value}" in output.splitlines()


@pytest.mark.parametrize("protocol", ["--http1.1", "--http2"])
@pytest.mark.parametrize("trust", ["authority", "nobody"])
def test_curl_reads_the_inbox(sandbox: Sandbox, protocol: str, trust: str) -> None:
    checks = ["--cacert", str(sandbox.ca_file)] if trust == "authority" else ["-k"]

    output = subprocess.check_output(
        ["curl", "-sS", protocol, *checks, f"{sandbox.url}/inbox"], text=True
    )

    assert json.loads(output) == []


def test_page_loads_nothing_from_elsewhere(sandbox: Sandbox) -> None:
    checks = ["--cacert", str(sandbox.ca_file)]

    page = subprocess.check_output(
        ["curl", "-sSi", *checks, f"{sandbox.url}/"], text=True
    )

    assert "content-security-policy: default-src 'none'" in page
    assert "http://" not in page
    assert "https://" not in page


def test_keys_and_access_tokens_outlive_a_restart(tmp_path: Path) -> None:
    with sandboxes.running(tmp_path) as sandbox:
        apns, fcm = ApnsSender(sandbox), FcmSender(sandbox)
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        port = sandbox.port

        sandbox.restart()

        assert sandbox.port == port
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
        again = ApnsSender(sandbox)
        again.token = apns.token
        assert again.push().status == 200
        renewed = FcmSender(sandbox)
        renewed.token = fcm.token
        assert renewed.send().status == 200


def test_stop_is_clean_and_sends_goaway(tmp_path: Path) -> None:
    with sandboxes.running(tmp_path) as sandbox:
        sender = ApnsSender(sandbox)
        sender.push()
        sender.send("hang-1")

        code = sandbox.stop()

        sender.client.wait_for_end()
        assert code == 0
        assert sender.client.goaway is not None


def test_taken_port_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        ended = run("--run-dir", str(tmp_path), BOTTLEPOST_SANDBOX_PORT=port)

    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert f"127.0.0.1:{port}" in ended.stderr


def test_damaged_key_is_named(tmp_path: Path) -> None:
    with sandboxes.running(tmp_path):
        pass
    (tmp_path / "apns-key.p8").write_text("rubbish")

    ended = run("--run-dir", str(tmp_path), "--port", "0")

    assert ended.returncode == 1
    assert "damaged" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--port", "70000"),
        ("--port", "http"),
        ("--token-update-s", "-1"),
        ("--run-dir", "/dev/null"),
        ("--host", "no.such.host.invalid", "--port", "0"),
    ],
)
def test_invalid_option_ends_without_a_traceback(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    ended = run("--run-dir", str(tmp_path), *arguments)

    assert ended.returncode != 0
    assert ended.stderr
    assert "Traceback" not in ended.stderr
