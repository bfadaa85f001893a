"""A sandbox run in a terminal and as a web page; it reads what the run publishes and imports no engine."""
