"""What dispatchers ask of uWSGI, whose modules exist only inside it."""

import sys

from config import SettingsError


def check_threads(dispatcher: str) -> None:
    """Raises SettingsError in a uWSGI whose Python threads stand still."""
    uwsgi = sys.modules.get("uwsgi")
    if uwsgi is None or any(
        name in uwsgi.opt for name in ("enable-threads", "threads")
    ):
        return
    raise SettingsError(
        "BOTTLEPOST_DISPATCHER",
        f"is {dispatcher!r}, which needs uWSGI's --enable-threads",
    )


def check(dispatcher: str, *options: str) -> None:
    """Raises SettingsError unless we are in uWSGI with a master and one option."""
    try:
        import uwsgi  # noqa: PLC0415 - it is there, or it is not
    except ImportError:
        problem = "works only inside uWSGI"
    else:
        if not uwsgi.masterpid():
            problem = "needs uWSGI's --master"
        elif not any(option in uwsgi.opt for option in options):
            problem = f"needs uWSGI's --{options[0]}"
        else:
            return
    raise SettingsError("BOTTLEPOST_DISPATCHER", f"is {dispatcher!r}, which {problem}")
