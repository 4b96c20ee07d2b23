"""The processes of a host in which engines run, and how they are woken."""
