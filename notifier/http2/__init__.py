"""HTTP/2 for many like requests to one host, written from templates."""

from notifier.http2.client import Client
from notifier.http2.headers import literal
from notifier.http2.messages import Head, Request, Response

__all__ = ["Client", "Head", "Request", "Response", "literal"]
