"""A real RabbitMQ server for the tests that are run with `make test-rabbitmq`."""

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from kombu import Connection

from tests.support.server import free_port
from tests.support.wait import until

# "start" starts one; anything else is the URL of one that is running:
# amqp://guest:guest@127.0.0.1:5672//
VARIABLE = "TEST_RABBITMQ"
START = "start"
# The program in Debian's /usr/sbin is another one, which runs as its own user only.
PATHS = os.pathsep.join(["/usr/lib/rabbitmq/bin", os.environ.get("PATH", "")])
# An Erlang machine takes its time.
START_S = 90.0
CONFIGURATION = """\
listeners.tcp.1 = 127.0.0.1:{port}
log.file = false
log.console = true
log.console.level = warning
"""


def is_wanted() -> bool:
    return bool(os.environ.get(VARIABLE))


class RabbitServer:
    """One of a test's own, on loopback alone; its queues are there after a stop."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        port = free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{port}//"
        self._processes: list[subprocess.Popen[bytes]] = []
        (directory / "rabbitmq.conf").write_text(CONFIGURATION.format(port=port))
        (directory / "nothing").touch()
        self._environment = self._describe(free_port(), free_port())
        self.start()

    def start(self) -> None:
        # Erlang's own name server; without ours, RabbitMQ would leave one behind.
        self._run("epmd", "-address", "127.0.0.1")
        self._run("rabbitmq-server")
        until(self._answers, START_S, what="for RabbitMQ")

    def stop(self) -> None:
        """As a power cut does it."""
        self._signal(signal.SIGKILL)
        for process in self._processes:
            process.wait(20)
        self._processes.clear()

    def hang(self) -> None:
        """It takes connections, for the kernel does that, and says nothing."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def control(self, *arguments: str) -> None:
        subprocess.run(
            [_program("rabbitmqctl"), *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=True,
        )

    def _describe(self, names_port: int, distribution_port: int) -> dict[str, str]:
        here = self._directory
        return {
            "PATH": PATHS,
            "LANG": "C.UTF-8",
            # The cookie is kept here.
            "HOME": str(here),
            "ERL_EPMD_PORT": str(names_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": "test@localhost",
            "RABBITMQ_DIST_PORT": str(distribution_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "-kernel inet_dist_use_interface {127,0,0,1}"
            ),
            # Nothing of the system's own.
            "RABBITMQ_CONF_ENV_FILE": str(here / "nothing"),
            "RABBITMQ_CONFIG_FILE": str(here / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(here / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(here / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(here / "data"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(here / "generated"),
            "RABBITMQ_LOG_BASE": str(here),
            "RABBITMQ_PID_FILE": str(here / "pid"),
        }

    def _run(self, program: str, *arguments: str) -> None:
        with (self._directory / "log").open("ab") as log:
            process = subprocess.Popen(
                [_program(program), *arguments],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # The server is a script's child: one group to signal.
                start_new_session=True,
            )
        self._processes.append(process)

    def _signal(self, number: signal.Signals) -> None:
        for process in self._processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)

    def _answers(self) -> bool:
        for process in self._processes:
            ended = process.poll()
            assert ended is None, f"{process.args} ended with {ended}"
        with suppress(OSError), Connection(self.url, connect_timeout=2) as connection:
            connection.connect()
            return True
        return False


class NamedServer:
    """One that was there before us, and is not ours to stop."""

    def __init__(self, url: str) -> None:
        self.url = url

    def start(self) -> None: ...

    def stop(self) -> None:
        pytest.skip("needs a RabbitMQ that a test may stop")


def _program(name: str) -> str:
    found = shutil.which(name, path=PATHS)
    assert found, f"{name} is not installed: apt install rabbitmq-server"
    return found
