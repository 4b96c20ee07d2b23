"""An HTTP/2 client for push providers, on jh2; it shares no code with the product."""

import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from jh2.config import H2Configuration
from jh2.connection import ConnectionState, H2Connection
from jh2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PingAckReceived,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)

TIMEOUT_S = 60.0


@dataclass
class Reply:
    """The response on one stream, or the way the stream ended."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ended: bool = False
    # The error code of RST_STREAM.
    reset: int | None = None


@dataclass
class Goaway:
    last_stream: int
    code: int
    debug: bytes


class ConnectionOver(Exception):
    """The provider has closed the connection."""


class ProviderClient:
    """One connection, used by one thread; the socket's timeout bounds every wait."""

    def __init__(self, url: str, ca_file: Path, *, cert_file: Path | None = None):
        parts = urlsplit(url)
        tls = ssl.create_default_context(cafile=ca_file)
        tls.set_alpn_protocols(["h2"])
        if cert_file is not None:
            tls.load_cert_chain(cert_file)
        self.authority = parts.netloc
        raw = socket.create_connection((parts.hostname, parts.port), TIMEOUT_S)
        raw.settimeout(TIMEOUT_S)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = tls.wrap_socket(raw, server_hostname=parts.hostname)
        self.h2 = H2Connection(
            H2Configuration(
                client_side=True,
                header_encoding="utf-8",
                # Tests send invalid requests on purpose.
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self.h2.initiate_connection()
        self.flush()
        self._unread = b""
        self.replies: dict[int, Reply] = {}
        self.goaway: Goaway | None = None
        # Every MAX_CONCURRENT_STREAMS that was announced, in order.
        self.limits: list[int] = []
        self.pongs: list[bytes] = []

    def __enter__(self) -> "ProviderClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def request(
        self,
        method: str,
        path: str,
        headers: list[tuple[str, str]] | None = None,
        body: bytes = b"",
    ) -> Reply:
        """Send one request and wait for its response."""
        return self.wait(self.send(method, path, headers, body))

    def send(
        self,
        method: str,
        path: str,
        headers: list[tuple[str, str]] | None = None,
        body: bytes = b"",
    ) -> int:
        """Send one request; returns its stream."""
        stream = self.begin(method, path, headers, end=not body)
        self.finish(stream, body)
        return stream

    def begin(
        self,
        method: str,
        path: str,
        headers: list[tuple[str, str]] | None = None,
        *,
        end: bool = False,
    ) -> int:
        """Send only the headers of a request; returns its stream."""
        stream = self.h2.get_next_available_stream_id()
        pseudo = [
            (":method", method),
            (":scheme", "https"),
            (":authority", self.authority),
            (":path", path),
        ]
        self.replies[stream] = Reply()
        self.h2.send_headers(stream, pseudo + (headers or []), end_stream=end)
        self.flush()
        return stream

    def finish(self, stream: int, body: bytes) -> None:
        """Send the body of a request that has begun."""
        step = self.h2.max_outbound_frame_size
        for start in range(0, len(body), step):
            end = start + step
            self.h2.send_data(stream, body[start:end], end_stream=end >= len(body))
        self.flush()

    def wait(self, stream: int) -> Reply:
        """Wait for the stream's end; raises ConnectionOver if the connection ends."""
        reply = self.replies[stream]
        while not reply.ended and reply.reset is None:
            self.read()
        return reply

    def wait_for_end(self) -> None:
        """Wait until the provider closes the connection."""
        try:
            while True:
                self.read()
        except ConnectionOver:
            return

    def wait_for_limit(self, limit: int) -> None:
        while limit not in self.limits:
            self.read()

    def read(self) -> None:
        """Read once from the provider; raises TimeoutError when nothing arrives."""
        try:
            piece = self.socket.recv(65536)
        except (ConnectionError, ssl.SSLError) as error:
            raise ConnectionOver from error
        if not piece:
            raise ConnectionOver
        self._unread += piece
        while len(self._unread) >= 9:
            end = 9 + int.from_bytes(self._unread[:3])
            if len(self._unread) < end:
                break
            frame, self._unread = self._unread[:end], self._unread[end:]
            for event in self.h2.receive_data(frame):
                self._take(event)
        self.flush()

    def raw(self, content: bytes) -> None:
        """Send bytes as they are, to break the protocol."""
        self.socket.sendall(content)

    def flush(self) -> None:
        try:
            self.socket.sendall(self.h2.data_to_send())
        except OSError as error:
            raise ConnectionOver from error

    def close(self) -> None:
        self.socket.close()

    def _take(self, event: Event) -> None:
        if isinstance(event, RemoteSettingsChanged):
            changed = {int(key): one for key, one in event.changed_settings.items()}
            if 3 in changed:
                self.limits.append(changed[3].new_value)
        elif isinstance(event, ConnectionTerminated):
            debug = event.additional_data or b""
            # jh2 would close here, but earlier streams may still get a response.
            self.h2.state_machine.state = ConnectionState.CLIENT_OPEN
            self.goaway = Goaway(event.last_stream_id, int(event.error_code), debug)
        elif isinstance(event, PingAckReceived):
            self.pongs.append(event.ping_data)
        elif isinstance(event, ResponseReceived):
            reply = self.replies[event.stream_id]
            reply.headers = dict(event.headers)
            reply.status = int(reply.headers.pop(":status"))
        elif isinstance(event, DataReceived):
            self.replies[event.stream_id].body += event.data
            credit = event.flow_controlled_length
            self.h2.acknowledge_received_data(credit, event.stream_id)
        elif isinstance(event, StreamEnded):
            self.replies[event.stream_id].ended = True
        elif isinstance(event, StreamReset):
            self.replies[event.stream_id].reset = int(event.error_code)
