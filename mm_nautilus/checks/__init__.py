"""Whether a configuration is sensible, for these instruments and fees."""

from mm_nautilus.checks.validation import validate

__all__ = ["validate"]
