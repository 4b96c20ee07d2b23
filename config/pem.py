"""Keys as text (PEM) that has passed through environments, YAML files and tools."""


def with_line_ends(pem: bytes) -> bytes:
    """The text; where a tool has written line ends as backslash and n, real ones."""
    return pem.replace(b"\\r", b"").replace(b"\\n", b"\n")
