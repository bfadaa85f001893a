"""What a run is, and reading it from YAML."""
