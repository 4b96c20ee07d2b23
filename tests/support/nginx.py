"""A real nginx with the sample configuration, on ports of the loopback interface."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.server import free_port
from tests.support.tls import Identity
from tests.support.wait import until

SAMPLES = ROOT / "deploy/nginx"


class Nginx:
    """Its configuration, below a directory of its own, in front of one server."""

    def __init__(
        self, program: str, directory: Path, identity: Identity, upstream: int
    ) -> None:
        self.port = free_port()
        self.plain_port = free_port()
        self.url = f"https://localhost:{self.port}"
        self._directory = directory
        self._file = directory / "nginx.conf"
        self._program = [program, "-p", str(directory), "-c", str(self._file)]
        self._write(identity, upstream)

    def _write(self, identity: Identity, upstream: int) -> None:
        """The samples with other ports, names and files, and nothing else changed."""
        sample = (SAMPLES / "bottlepost.conf").read_text()
        for pattern, text in (
            (r"listen \[::\].*\n", "# \n"),
            (r"listen 80;", f"listen 127.0.0.1:{self.plain_port};"),
            (r"listen 443 ", f"listen 127.0.0.1:{self.port} "),
            (r"127\.0\.0\.1:8080", f"127.0.0.1:{upstream}"),
            (r"ssl_certificate .*;", f"ssl_certificate {identity.certificate};"),
            (r"ssl_certificate_key .*;", f"ssl_certificate_key {identity.key};"),
        ):
            sample, count = re.subn(pattern, text, sample)
            assert count, f"{pattern} is not in the sample"
        # The site of the prefix is the same one here.
        prefix = SAMPLES / "prefix.conf"
        sample = sample.replace(
            "    location / {", f"    include {prefix};\n    location / {{"
        )
        paths = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = "\n".join(
            f"{name}_temp_path {self._directory / name};" for name in paths
        )
        user = "user root;" if os.geteuid() == 0 else ""
        self._file.write_text(
            f"{user} daemon off; pid {self._directory}/pid;\n"
            f"error_log {self._directory}/error.log;\nevents {{}}\n"
            f"http {{ access_log off; {temporary}\n{sample}\n}}\n"
        )

    def check(self) -> subprocess.CompletedProcess[str]:
        """Run nginx -t."""
        return subprocess.run(
            [*self._program, "-t"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @contextmanager
    def running(self) -> Iterator["Nginx"]:
        log = (self._directory / "output").open("wb")
        with log, subprocess.Popen(self._program, stderr=log) as process:
            try:
                until((self._directory / "pid").exists, 30, what="for nginx")
                yield self
            finally:
                process.terminate()
