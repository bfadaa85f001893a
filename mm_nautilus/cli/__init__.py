"""The command line: ``mm-nautilus``."""

from mm_nautilus.cli.app import main

__all__ = ["main"]
