"""A mail server that refuses everybody, and repeats whom it was asked about."""

import socketserver
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread


@contextmanager
def running(words: str) -> Iterator[str]:
    """Its URL; `words` stand in each refusal."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self._say("220 mail.example.org ESMTP")
            while line := self.rfile.readline():
                command = line.decode(errors="replace").strip()
                verb = command[:4].upper()
                if verb == "QUIT":
                    self._say("221 bye")
                    return
                if verb == "RCPT":
                    self._say(f"550 5.1.1 {command[8:]}: {words!r} is unknown here")
                else:
                    self._say("250 OK")

        def _say(self, reply: str) -> None:
            self.wfile.write(f"{reply}\r\n".encode())

    class MailServer(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with MailServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"smtp://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
