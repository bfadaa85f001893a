"""A sandbox run as it goes, in a terminal and as a web page; it reads what the run publishes and imports no engine."""
