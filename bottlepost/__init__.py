"""The command `bottlepost`: all that an operator does with this server."""

from bottlepost import own_modules

own_modules.find_first()
