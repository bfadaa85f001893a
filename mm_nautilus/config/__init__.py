"""The configuration model of runs, and reading it from YAML."""
