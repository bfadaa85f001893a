"""What needs nothing of ours: signals, whole and private files, printable text, near names."""
