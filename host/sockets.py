"""The connections of this process, as the kernel sees them.

The web server shows us requests, but not whether a client takes the answers.
"""

import fcntl
import os
import socket
import stat
import struct
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

FILES = "/proc/self/fd"
# Where `struct tcp_info` has the number of bytes that the peer has confirmed.
_ACKED = struct.Struct("@120xQ")
# So much of an answer may wait in the kernel beside what is on its way.
UNSENT = 128 * 1024
TCP_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", 25)


@dataclass(kw_only=True)
class Connection:
    """A client's connection; `name` is address and port, as the web server has them."""

    fd: int
    # With it, another connection that gets the same number is not taken for this one.
    inode: int
    name: str
    address: str
    seen_at: float
    # The bytes confirmed at the times since which the client has been behind.
    silent_since: float = 0.0
    acked: int = 0
    slow_since: float = 0.0
    acked_then: int = 0
    is_behind: bool = False

    def queued(self) -> int:
        """The bytes of answers that the client has not confirmed."""
        try:
            answer = fcntl.ioctl(self.fd, termios.TIOCOUTQ, b"\0\0\0\0")
        except OSError:
            return 0
        return int.from_bytes(answer, sys.byteorder)

    def confirmed(self) -> int:
        """All bytes that the client has ever confirmed."""
        info = b""
        with _opened(self.fd, self.inode) as opened:
            if opened is not None:
                info = opened.getsockopt(
                    socket.IPPROTO_TCP, socket.TCP_INFO, _ACKED.size
                )
        return int(_ACKED.unpack(info)[0]) if len(info) == _ACKED.size else 0

    def end(self) -> None:
        """Have the web server close it."""
        with _opened(self.fd, self.inode) as opened:
            if opened is not None:
                opened.shutdown(socket.SHUT_RDWR)

    def drop(self) -> None:
        """The same; what the client has not taken is thrown away at once."""
        with _opened(self.fd, self.inode) as opened:
            if opened is not None:
                linger = struct.pack("ii", 1, 0)
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                opened.shutdown(socket.SHUT_RDWR)


class Sockets:
    """Finds this process's listening sockets, and the connections they accepted."""

    def __init__(self) -> None:
        self._ports: set[int] = set()
        # By the number of the file; other files are known by their inode only.
        self._connections: dict[int, Connection] = {}
        self._others: dict[int, int] = {}

    def listen(self) -> bool:
        """Find what listens, and prepare it; False if there is nothing to watch."""
        if not sys.platform.startswith("linux"):
            return False
        for fd in _files():
            with _opened(fd) as opened:
                if opened is not None and opened.getsockopt(
                    socket.SOL_SOCKET, socket.SO_ACCEPTCONN
                ):
                    opened.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT)
                    self._ports.add(opened.getsockname()[1])
        return bool(self._ports)

    def look(self, now: float) -> list[Connection]:
        """All connections that are open now."""
        found: dict[int, Connection] = {}
        others: dict[int, int] = {}
        for fd in _files():
            try:
                status = os.fstat(fd)
            except OSError:
                continue
            known = self._connections.get(fd)
            if known is not None and known.inode == status.st_ino:
                found[fd] = known
            elif self._others.get(fd) == status.st_ino:
                others[fd] = status.st_ino
            elif stat.S_ISSOCK(status.st_mode):
                new = self._open(fd, status.st_ino, now)
                if new is None:
                    others[fd] = status.st_ino
                else:
                    found[fd] = new
        self._connections, self._others = found, others
        return list(found.values())

    def _open(self, fd: int, inode: int, now: float) -> Connection | None:
        """None for what is no connection of a client."""
        peer, port, our_port = "", 0, 0
        with _opened(fd, inode) as opened:
            if opened is not None:
                our_port = opened.getsockname()[1]
                peer, port = opened.getpeername()[:2]
        if not peer or our_port not in self._ports:
            return None
        # Without the interface of a link-local address.
        address = peer.partition("%")[0]
        host = f"[{address}]" if ":" in address else address
        return Connection(
            fd=fd, inode=inode, name=f"{host}:{port}", address=address, seen_at=now
        )


def _files() -> list[int]:
    return [int(name) for name in os.listdir(FILES)]


@contextmanager
def _opened(fd: int, inode: int | None = None) -> Iterator[socket.socket | None]:
    """A TCP socket under a number of our own, which nobody else closes.

    None if it is gone, or no TCP socket. What fails because it has ended meanwhile is
    passed over.
    """
    copy = _copy(fd, inode)
    if copy is None:
        yield None
        return
    with suppress(OSError), copy:
        yield copy


def _copy(fd: int, inode: int | None) -> socket.socket | None:
    # Only sockets are copied: closing the copy of a file would release all locks that
    # this process has on the file (fcntl(2)), such as those of SQLite on its database.
    if not _is_socket(fd):
        return None
    try:
        number = os.dup(fd)
    except OSError:
        return None
    status = os.fstat(number)
    if not stat.S_ISSOCK(status.st_mode):
        # A file has got the number meanwhile. So the copy has to stay open.
        return None
    copy = socket.socket(fileno=number)
    is_ours = copy.family in (socket.AF_INET, socket.AF_INET6)
    if is_ours and inode in (None, status.st_ino):
        return copy
    copy.close()
    return None


def _is_socket(fd: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError:
        return False
