"""Payloads, sinks and clients of the benchmarks that push."""

import hashlib
import json
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import libraries
from tests.support import tls

Figures = dict[str, float]

# A hundred devices, repeated; their tokens are as long as Apple's.
TOKENS = [hashlib.sha256(b"device %d" % number).hexdigest() for number in range(100)]
BODY = json.dumps(
    {
        "aps": {
            "alert": {"title": "Ada", "body": "Land in sight"},
            "sound": "default",
            "badge": 3,
            "thread-id": "42",
        },
        "conversation": "42",
        "message": "1001",
    }
).encode()
HEADERS = {
    # As long as a provider token signed with ES256.
    "authorization": "bearer " + "t" * 190,
    "apns-topic": "com.example.chat",
    "apns-push-type": "alert",
    "apns-priority": "10",
    "apns-expiration": "1790000000",
    "apns-collapse-id": "message-1001",
    "apns-id": "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d",
}
STREAMS = 1000
NARROW = 100

_NODE_APN = "@parse/node-apn@>=6"
_TOO_LONG_S = 300


@dataclass(frozen=True)
class Sinks:
    """URLs of the sinks; `echo` repeats the apns-id, `narrow` allows few streams."""

    plain: str
    echo: str
    narrow: str
    streams: int = NARROW


@contextmanager
def sinks() -> Iterator[Sinks]:
    with ExitStack() as running:
        yield Sinks(
            *(
                running.enter_context(_sink(*arguments))
                for arguments in ([], ["--echo"], ["--streams", str(NARROW)])
            )
        )


@contextmanager
def _sink(*arguments: str) -> Iterator[str]:
    identity = tls.server_identity()
    files = (str(identity.certificate), str(identity.key))
    with _started("benchmarks.sink", *files, *arguments) as port:
        yield f"https://127.0.0.1:{port}"


@contextmanager
def far_away(url: str, round_trip_s: float) -> Iterator[str]:
    """The same peer, behind a relay that adds a delay."""
    port = url.rsplit(":", 1)[1]
    with _started("benchmarks.delay", port, str(round_trip_s * 1000)) as relay:
        yield f"https://127.0.0.1:{relay}"


@contextmanager
def _started(module: str, *arguments: str) -> Iterator[int]:
    command = [sys.executable, "-m", module, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(10)


def ours(url: str, pushes: int, *arguments: str) -> Figures:
    """Our transport, in a process of its own like the others."""
    command = [sys.executable, "-m", "benchmarks.push_transport", url]
    command += [str(tls.authority().ca_file), "--pushes", str(pushes), *arguments]
    return _measured(command)


def foreign(script: str, url: str, pushes: int) -> Figures:
    """A script of benchmarks/foreign, with the library that it measures."""
    python = libraries.python("aioapns", "requirements.txt")
    return _foreign([str(python)], script, url, pushes)


def node_apn(url: str, pushes: int) -> Figures:
    """node-apn, the best-known client for node; needs node and npm."""
    library = libraries.node_path("node-apn", _NODE_APN)
    command = ["env", f"NODE_PATH={library}", "node"]
    return _foreign(command, "node_apn_push.cjs", url, pushes)


def _foreign(command: list[str], script: str, url: str, pushes: int) -> Figures:
    command = [*command, str(libraries.FOREIGN / script), url.rsplit(":", 1)[1]]
    command += [str(tls.authority().ca_file), str(tls.server_identity().key)]
    given = {"headers": HEADERS, "body": BODY.decode(), "tokens": TOKENS}
    return _measured([*command, str(pushes)], json.dumps(given))


def _measured(command: list[str], given: str = "") -> Figures:
    ended = subprocess.run(
        command,
        input=given,
        stdout=subprocess.PIPE,
        text=True,
        timeout=_TOO_LONG_S,
        check=True,
    )
    return figures_of(ended.stdout)


def figures_of(printed: str) -> Figures:
    """The result that a measuring process printed as its last line."""
    figures: Figures = json.loads(printed.splitlines()[-1])
    return figures


def h2load(url: str, pushes: int) -> Figures:
    """The load generator of nghttp2, which shows what C achieves on this machine."""
    with tempfile.TemporaryDirectory() as directory:
        body, urls = Path(directory) / "body", Path(directory) / "urls"
        body.write_bytes(BODY)
        urls.write_text("".join(f"{url}/3/device/{token}\n" for token in TOKENS))
        command = ["h2load", "-n", str(pushes), "-c1", f"-m{STREAMS}"]
        command += ["-d", str(body), "-i", str(urls)]
        for name, value in HEADERS.items():
            command += ["-H", f"{name}: {value}"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=_TOO_LONG_S, check=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    accepted = re.search(r"status codes: (\d+) 2xx", ended.stdout)
    per_second = re.search(r"([\d.]+) req/s", ended.stdout)
    if not (accepted and per_second and int(accepted[1]) == pushes):
        raise SystemExit(f"h2load did not push all:\n{ended.stdout}")
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"pushes_per_s": float(per_second[1]), "cpu_us": cpu_s / pushes * 1e6}
