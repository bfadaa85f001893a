"""Messages of a sandbox run to its owner, from plain values: nothing here knows the engine."""
