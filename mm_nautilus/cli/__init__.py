"""The command line: ``mm-nautilus``."""

from mm_nautilus.cli.app import main, process_main

__all__ = ["main", "process_main"]
