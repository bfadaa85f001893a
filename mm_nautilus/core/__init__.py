"""Decisions as pure functions of plain values; nothing in here knows the trading engine."""
