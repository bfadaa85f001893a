"""What a run has to tell: tables and journal lines, from plain values alone."""
