"""The command `bottlepost`: all that an operator does with this server."""
