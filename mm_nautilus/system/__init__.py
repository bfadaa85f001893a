"""Helpers that import nothing else of the package: signals, files, printable text, similar names."""
