"""Strikes at every part of a running system, and a checker of what they left behind."""
