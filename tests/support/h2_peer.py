"""An HTTP/2 server on jh2, which shares no code with ours and misbehaves on request."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from jh2 import events
from jh2.config import H2Configuration
from jh2.connection import H2Connection
from jh2.errors import ErrorCodes
from jh2.hyperframe.frame import SettingsFrame
from jh2.settings import SettingCodes, Settings

from tests.support import tls

Fields = Iterable[tuple[str, str]]
_SETTINGS_ACK = SettingsFrame(0, flags=["ACK"]).serialize()


@dataclass
class PeerRequest:
    """A request that the peer has received, and the possible reactions to it."""

    connection: "PeerConnection"
    stream_id: int
    headers: list[tuple[str, str]]
    body: bytes = b""

    @property
    def path(self) -> str:
        return dict(self.headers)[":path"]

    def answer(self, status: int = 200, fields: Fields = (), body: bytes = b"") -> None:
        h2 = self.connection.h2
        head = [(":status", str(status)), *fields]
        h2.send_headers(self.stream_id, head, end_stream=not body)
        if body:
            h2.send_data(self.stream_id, body, end_stream=True)
        self.connection.flush()

    def reset(self, code: ErrorCodes = ErrorCodes.INTERNAL_ERROR) -> None:
        self.connection.h2.reset_stream(self.stream_id, code)
        self.connection.flush()


Reaction = Callable[[PeerRequest], None]


class PeerConnection(asyncio.Protocol):
    """One connection to the peer."""

    def __init__(self, peer: "Peer") -> None:
        self.peer = peer
        self.h2 = H2Connection(
            H2Configuration(client_side=False, header_encoding="utf-8")
        )
        self.h2.local_settings = Settings(client=False, initial_values=peer.settings)
        # jh2 applies its own settings only after their acknowledgement.
        self.h2.max_inbound_frame_size = self.h2.local_settings.max_frame_size
        self.open: dict[int, PeerRequest] = {}
        self.events: list[events.Event] = []
        self.received = b""
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.peer.connections.append(self)
        if self.peer.greeting is not None:
            transport.write(self.peer.greeting)
            return
        self.h2.initiate_connection()
        self.flush()

    def data_received(self, data: bytes) -> None:
        self.received += data
        if self.peer.deaf:
            return
        for event in self.h2.receive_data(data):
            self._handle(event)
        self.flush()

    def _handle(self, event: events.Event) -> None:
        self.events.append(event)
        if isinstance(event, events.RequestReceived):
            request = PeerRequest(self, event.stream_id, list(event.headers))
            self.open[event.stream_id] = request
            self.peer.most_open = max(self.peer.most_open, len(self.open))
        elif isinstance(event, events.DataReceived):
            self.open[event.stream_id].body += event.data
            if self.peer.widens:
                size = event.flow_controlled_length
                self.h2.acknowledge_received_data(size, event.stream_id)
        elif isinstance(event, events.StreamEnded):
            request = self.open.pop(event.stream_id)
            self.peer.requests.append(request)
            self.peer.on_request(request)
        elif isinstance(event, events.StreamReset):
            self.open.pop(event.stream_id, None)

    def seen(self, kind: type[events.Event]) -> list[events.Event]:
        return [event for event in self.events if isinstance(event, kind)]

    def flush(self) -> None:
        data = self.h2.data_to_send()
        if not self.peer.acks:
            data = data.replace(_SETTINGS_ACK, b"")
        if data:
            self.transport.write(data)

    def raw(self, data: bytes) -> None:
        """Send bytes that jh2 would refuse to send."""
        self.flush()
        self.transport.write(data)

    def change(self, settings: dict[SettingCodes, int]) -> None:
        self.h2.update_settings(settings)
        self.flush()

    def goaway(self, last: int, code: int = 0, debug: bytes = b"") -> None:
        self.h2.close_connection(code, additional_data=debug, last_stream_id=last)
        self.flush()

    def cut(self) -> None:
        """Abort the TCP connection without GOAWAY or close_notify."""
        self.flush()
        self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True


@dataclass
class Peer:
    """The settings of the server, and what it has received."""

    on_request: Reaction = PeerRequest.answer
    settings: dict[SettingCodes, int] = field(default_factory=dict)
    # Sent instead of a valid connection preface.
    greeting: bytes | None = None
    # Receives bytes and ignores them.
    deaf: bool = False
    # Acknowledges our settings.
    acks: bool = True
    # Widens the flow-control windows again after reading.
    widens: bool = True
    requests: list[PeerRequest] = field(default_factory=list)
    connections: list[PeerConnection] = field(default_factory=list)
    # The most requests that were partly received at the same time.
    most_open: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.requests]


@asynccontextmanager
async def serve(
    peer: Peer,
    context: ssl.SSLContext | None = None,
    port: int = 0,
    host: str = "127.0.0.1",
) -> AsyncIterator[Peer]:
    """The peer behind TLS on a free port (or the given one) of the loopback."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: PeerConnection(peer), host, port, ssl=context or tls.server_context()
    )
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()
        for connection in peer.connections:
            connection.transport.abort()
