"""Frozen, and imported by the other one."""

LIMIT = 256  # a comment


def helper():
    """Nothing."""
