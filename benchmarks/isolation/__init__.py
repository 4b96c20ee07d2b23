"""One hostile device, member or client at a time, and what honest ones feel of it."""
