"""Checks of a configuration: errors, and risks given the instruments, prices and fees."""

from mm_nautilus.checks.validation import validate

__all__ = ["validate"]
