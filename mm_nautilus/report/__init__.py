"""Reports of a run: tables, charts, pages and journal lines, from plain values alone."""
