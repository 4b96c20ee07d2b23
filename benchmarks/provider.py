"""A sink in Apple's place, which writes down when each push arrived."""

import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Collection
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jh2.hpack import Encoder
from jh2.hyperframe.frame import DataFrame, HeadersFrame, SettingsFrame

from benchmarks.pushing import HEADERS, TOKENS
from benchmarks.report import median
from benchmarks.sink import RECORD
from notifier.http2 import literal
from tests.support import tls

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# The sink's answer: ":status: 200", which ends its frame.
ACCEPTED = b"\x88"
PINGS = 300
# The message of a ping, which no database has.
PING = 0
STOP_S = 10
POLL_S = 0.1


class Provider:
    """A running sink with its journal, and the settings of a server that pushes to it.

    It has the usual priority: it must answer at once, as Apple's servers would, because
    the next message to a device waits for that.
    """

    def __init__(self, run_dir: Path, delay_ms: float = 0.0) -> None:
        run_dir.mkdir(parents=True, exist_ok=True)
        identity = tls.server_identity()
        # Half of the delay is the way of a push to the provider.
        self.way_s = delay_ms / 2000
        self._journal = run_dir / "journal"
        self._journal.touch()
        command = [sys.executable, "-m", "benchmarks.sink", str(identity.certificate)]
        command += [str(identity.key), "--journal", str(self._journal)]
        self._process = subprocess.Popen(
            [*command, "--delay-ms", str(delay_ms)], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.environment = _environment(run_dir, self.port)

    @property
    def pid(self) -> int:
        return self._process.pid

    def pushes(self) -> int:
        """How many have arrived; the last tenth of a second may be missing."""
        return self._journal.stat().st_size // RECORD.size

    def journal(self, skip: int = 0) -> bytes:
        """The records, without the first `skip` of them."""
        with self._journal.open("rb") as file:
            file.seek(skip * RECORD.size)
            found = file.read()
        return found[: len(found) // RECORD.size * RECORD.size]

    def round_trip_ms(self) -> float:
        """The median of pushes that are sent one after the other, from this process."""
        raw = socket.create_connection(("127.0.0.1", self.port))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        context = tls.client_context()
        context.set_alpn_protocols(["h2"])
        took_s = []
        with context.wrap_socket(raw, server_hostname="localhost") as connection:
            connection.sendall(PREFACE + SettingsFrame(0).serialize())
            for number in range(PINGS):
                request = _push(2 * number + 1)
                sent_at = time.monotonic()
                connection.sendall(request)
                _await_answer(connection, 2 * number + 1)
                took_s.append(time.monotonic() - sent_at)
                if sum(took_s) > 1:
                    break
        return median(took_s) * 1000

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(STOP_S)


class Arrivals:
    """Messages and when their last push arrived, from a provider's journal."""

    def __init__(self, provider: Provider, devices: int) -> None:
        self.repeated = 0
        # Message → the arrival of its last push; complete messages only.
        self.complete: dict[int, float] = {}
        self._provider = provider
        self._devices = devices
        self._read = 0
        self._seen: dict[int, set[int]] = {}

    def read(self) -> None:
        """Read what has been written to the journal since the last time."""
        found = self._provider.journal(self._read)
        self._read += len(found) // RECORD.size
        for at, message_id, device_id in RECORD.iter_unpack(found):
            if message_id == PING:
                continue
            if message_id in self.complete:
                self.repeated += 1
                continue
            seen = self._seen.setdefault(message_id, set())
            self.repeated += device_id in seen
            seen.add(device_id)
            if len(seen) == self._devices:
                self.complete[message_id] = at + self._provider.way_s
                del self._seen[message_id]

    def wait(self, messages: Collection[int], within_s: float) -> dict[int, float]:
        """The messages that are complete in time, with their last push's arrival."""
        missing = set(messages)
        expected = 0
        complete: dict[int, float] = {}
        deadline = time.monotonic() + within_s
        while missing and time.monotonic() < deadline:
            # Reading takes CPU, so the next time is when half of the rest is there.
            if (pushes := self._provider.pushes()) >= expected:
                self.read()
                there = missing & self.complete.keys()
                complete |= {key: self.complete[key] for key in there}
                missing -= there
                expected = pushes + self.lacking(missing) // 2
            time.sleep(POLL_S)
        return complete

    def lacking(self, messages: Collection[int]) -> int:
        """How many first pushes of these messages have not arrived."""
        there = sum(len(self._seen.get(message, ())) for message in messages)
        done = sum(message in self.complete for message in messages)
        return (len(messages) - done) * self._devices - there


def _environment(run_dir: Path, port: int) -> dict[str, str]:
    key_file = run_dir / "apns.p8"
    key_file.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    url = f"https://127.0.0.1:{port}"
    return {
        "BOTTLEPOST_APNS_URL": url,
        "BOTTLEPOST_APNS_SANDBOX_URL": url,
        "BOTTLEPOST_APNS_KEY_FILE": str(key_file),
        "BOTTLEPOST_APNS_KEY_ID": "ABCDEFGHIJ",
        "BOTTLEPOST_APNS_TEAM_ID": "KLMNOPQRST",
        "BOTTLEPOST_APNS_TOPIC": HEADERS["apns-topic"],
        "BOTTLEPOST_CA_FILE": str(tls.authority().ca_file),
    }


def _push(stream: int) -> bytes:
    headers = HeadersFrame(stream)
    fields = [(":method", "POST"), (":path", f"/3/device/{TOKENS[0]}")]
    headers.data = Encoder().encode(fields) + literal("apns-id", HEADERS["apns-id"])
    headers.flags.add("END_HEADERS")
    body = DataFrame(stream, b'{"bottlepost":{"message":%d,"seq":0}}' % PING)
    body.flags.add("END_STREAM")
    return headers.serialize() + body.serialize()


def _await_answer(connection: ssl.SSLSocket, stream: int) -> None:
    mark = stream.to_bytes(4, "big") + ACCEPTED
    received = b""
    while mark not in received:
        more = connection.recv(65536)
        if not more:
            raise ConnectionError("the sink closed the connection")
        received += more
