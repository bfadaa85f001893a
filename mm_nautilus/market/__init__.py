"""What is traded: instruments, rows of market data, exchange rates; plain values without the engine."""
