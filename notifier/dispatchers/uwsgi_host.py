"""Checks of the uWSGI around us; its modules exist only inside it."""

import sys

from config import SettingsError


def require_threads(dispatcher: str) -> None:
    """Raise SettingsError in a uWSGI that does not run Python threads."""
    uwsgi = sys.modules.get("uwsgi")
    if uwsgi is None or any(
        name in uwsgi.opt for name in ("enable-threads", "threads")
    ):
        return
    raise SettingsError(
        "BOTTLEPOST_DISPATCHER",
        f"is {dispatcher!r}, which needs uWSGI's --enable-threads",
    )


def require(dispatcher: str, *options: str) -> None:
    """Raise SettingsError unless uWSGI has a master and one of the options."""
    try:
        import uwsgi  # noqa: PLC0415 - it exists only inside uWSGI
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
