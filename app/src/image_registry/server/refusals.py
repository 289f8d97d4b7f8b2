"""What stops a process before it begins."""

from __future__ import annotations


class InvalidSettings(ValueError):
    """The settings cannot work together; the text names the variable and the cure."""
