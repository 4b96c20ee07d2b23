"""An HTTP/2 client for many similar requests to one host."""

from notifier.http2.client import Client
from notifier.http2.headers import literal
from notifier.http2.messages import Head, Request, Response

__all__ = ["Client", "Head", "Request", "Response", "literal"]
