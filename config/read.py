"""Reading and checking single values of the environment."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

# Printable ASCII without what would end it inside a header.
_is_contact = re.compile(r"(mailto:[^@\s<>,]+@|https://)[!-;=?-~]+", re.ASCII).fullmatch
_is_host = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?").fullmatch


class SettingsError(Exception):
    """A variable of the environment is missing or wrong; the message names it."""

    def __init__(self, variable: str, problem: str) -> None:
        super().__init__(f"{variable} {problem}")
        self.variable = variable


class Reader:
    """Typed values out of a mapping; every wrong one raises SettingsError."""

    def __init__(self, environ: Mapping[str, str], *, prefix: str) -> None:
        self._environ = environ
        self._prefix = prefix
        self._known: set[str] = set()

    def optional(self, name: str) -> str | None:
        """The value, the content of the file NAME_FILE points to, or None."""
        variable = self._prefix + name
        # Settings that are paths themselves end in _FILE and have no second form.
        from_file = None if name.endswith("_FILE") else variable + "_FILE"
        self._known |= {variable, from_file or variable}
        value = self._environ.get(variable, "").strip()
        path = self._environ.get(from_file, "") if from_file else ""
        if value and path:
            raise SettingsError(variable, f"and {from_file} are both set")
        if path:
            value = self._content(str(from_file), path)
        return value or None

    def text(self, name: str, default: str) -> str:
        return self.optional(name) or default

    def choice(self, name: str, default: str, choices: Sequence[str]) -> str:
        value = self.text(name, default)
        if value not in choices:
            raise SettingsError(
                self._prefix + name, f"must be one of {', '.join(choices)}"
            )
        return value

    def secret(self, name: str, *, shortest: int) -> str:
        value = self.optional(name)
        if value is None:
            raise SettingsError(self._prefix + name, "is missing")
        if len(value) < shortest:
            raise SettingsError(
                self._prefix + name, f"is too short: at least {shortest} characters"
            )
        return value

    def optional_secret(self, name: str, *, shortest: int) -> str | None:
        return self.secret(name, shortest=shortest) if self.optional(name) else None

    def integer(self, name: str, default: int, *, low: int, high: int) -> int:
        value = self.optional(name)
        if value is None:
            return default
        try:
            number = int(value)
        except ValueError:
            raise SettingsError(
                self._prefix + name, f"must be a whole number, not {value!r}"
            ) from None
        if not low <= number <= high:
            raise SettingsError(
                self._prefix + name, f"must be from {low} to {high}, not {number}"
            )
        return number

    def seconds(self, name: str, default: float, *, low: float) -> float:
        value = self.optional(name)
        if value is None:
            return default
        try:
            number = float(value)
        except ValueError:
            raise SettingsError(
                self._prefix + name, f"must be a number of seconds, not {value!r}"
            ) from None
        # The upper bound refuses infinity and "nan" too, which no comparison passes.
        if not low <= number <= 86_400:
            raise SettingsError(
                self._prefix + name, f"must be from {low:g} to 86400, not {value}"
            )
        return number

    def https_url(self, name: str, default: str) -> str:
        value = self.text(name, default)
        parts = urlsplit(value)
        if parts.scheme != "https" or not parts.hostname or parts.path.strip("/"):
            raise SettingsError(
                self._prefix + name, f"must look like https://host:port, not {value!r}"
            )
        return value.rstrip("/")

    def url(self, name: str, default: str, schemes: Sequence[str]) -> str:
        value = self.text(name, default)
        if urlsplit(value).scheme not in schemes:
            # Not shown: it may contain a password.
            raise SettingsError(
                self._prefix + name, f"must begin with {'://, '.join(schemes)}://"
            )
        return value

    def proxy(self, name: str) -> str | None:
        value = self.optional(name)
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            is_one = parts.scheme == "http" and parts.hostname and parts.port != 0
        except ValueError:
            is_one = False
        if not is_one or parts.path.strip("/") or parts.query:
            # Not shown: it may contain a password.
            raise SettingsError(
                self._prefix + name, "must look like http://user:password@host:port"
            )
        return value

    def host_port(self, name: str, default: str) -> str:
        value = self.text(name, default)
        host, _, port = value.rpartition(":")
        if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise SettingsError(
                self._prefix + name, f"must look like host:port, not {value!r}"
            )
        return value

    def contact(self, name: str) -> str | None:
        """Where people can be turned to: a mailto: or https: URL."""
        value = self.optional(name)
        if value is not None and not _is_contact(value):
            raise SettingsError(
                self._prefix + name,
                f"must look like mailto:name@example.org or https://…, not {value!r}",
            )
        return value

    def hosts(self, name: str) -> tuple[str, ...]:
        """Hosts or host:port pairs with commas between them, in lower case."""
        hosts = [host.strip().lower() for host in self.text(name, "").split(",")]
        for host in filter(None, hosts):
            if not _is_host(host):
                raise SettingsError(
                    self._prefix + name, f"must be host or host:port, not {host!r}"
                )
        return tuple(filter(None, hosts))

    def file(self, name: str) -> Path | None:
        value = self.optional(name)
        if value is None:
            return None
        self._content(self._prefix + name, value)
        return Path(value).resolve()

    def path(self, name: str) -> Path | None:
        """Of a file that may come later."""
        value = self.optional(name)
        return Path(value).resolve() if value else None

    def directory(self, name: str, *, default: Path) -> Path:
        path = Path(self.optional(name) or default).resolve()
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as problem:
            raise SettingsError(
                self._prefix + name, f"cannot be created: {problem}"
            ) from None
        return path

    def refuse_unknown(self, *, but: frozenset[str]) -> None:
        """A misspelt variable would be a setting silently left at its default."""
        for variable in self._environ.keys() - self._known - but:
            if variable.startswith(self._prefix):
                raise SettingsError(variable, "is not a setting of Bottlepost")

    @staticmethod
    def _content(variable: str, path: str) -> str:
        try:
            return Path(path).read_text().strip()
        except (OSError, UnicodeDecodeError) as problem:
            raise SettingsError(variable, f"cannot be read: {problem}") from None
