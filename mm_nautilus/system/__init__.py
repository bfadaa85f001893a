"""What the operating system gives: signals, whole and private files, printable text."""
