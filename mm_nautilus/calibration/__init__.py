"""What a market looks like: volatility, order arrivals, micro-price, mark-outs."""
