"""One file per command; its name is the command's, and `command` is the command."""
