"""The factory for any WSGI host: gunicorn "bottlepost.wsgi:create_app()".

No module of the directory that the host is started in can hide it.
"""

from server import create_app

__all__ = ["create_app"]
