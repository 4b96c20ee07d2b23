"""HTTP/1.1 and HTTP/2 over TLS, with the faults that only a connection can show."""
