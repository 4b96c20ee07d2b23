"""A real RabbitMQ server for the tests of `make test-rabbitmq`."""

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

# "start" starts a server; any other value is the URL of a running one:
# amqp://guest:guest@127.0.0.1:5672//
VARIABLE = "TEST_RABBITMQ"
START = "start"
# Debian's program in /usr/sbin is a wrapper that runs as RabbitMQ's user only.
PATHS = os.pathsep.join(["/usr/lib/rabbitmq/bin", os.environ.get("PATH", "")])
# Erlang's virtual machine starts slowly.
START_S = 90.0
CONFIGURATION = """\
listeners.tcp.1 = 127.0.0.1:{port}
log.file = false
log.console = true
log.console.level = warning
"""


def is_installed() -> bool:
    return shutil.which("rabbitmq-server", path=PATHS) is not None


def is_wanted() -> bool:
    return bool(os.environ.get(VARIABLE))


class RabbitServer:
    """A server of the tests, on loopback only; its queues survive a stop."""

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
        # Erlang's name server. Otherwise RabbitMQ would start one and leave it running.
        self._run("epmd", "-address", "127.0.0.1")
        self._run("rabbitmq-server")
        until(self._answers, START_S, what="for RabbitMQ")

    def stop(self) -> None:
        """SIGKILL all its processes, as a power cut would."""
        self._signal(signal.SIGKILL)
        for process in self._processes:
            process.wait(20)
        self._processes.clear()

    def is_running(self) -> bool:
        return bool(self._processes) and all(
            process.poll() is None for process in self._processes
        )

    def hang(self) -> None:
        """Suspend it: the kernel still accepts connections, and no response comes."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
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
            # Erlang's cookie file is here.
            "HOME": str(here),
            "ERL_EPMD_PORT": str(names_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": "test@localhost",
            "RABBITMQ_DIST_PORT": str(distribution_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "-kernel inet_dist_use_interface {127,0,0,1}"
            ),
            # None of the system's configuration.
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
                # The server is the child of a script, so signals go to the group.
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
    """A server that runs already, and that tests must not stop."""

    def __init__(self, url: str) -> None:
        self.url = url

    def start(self) -> None: ...

    def stop(self) -> None:
        pytest.skip("needs a RabbitMQ that a test may stop")


def _program(name: str) -> str:
    found = shutil.which(name, path=PATHS)
    assert found, f"{name} is not installed: apt install rabbitmq-server"
    return found
