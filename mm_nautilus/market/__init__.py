"""Instruments, market data and exchange rates as plain values without the engine."""
