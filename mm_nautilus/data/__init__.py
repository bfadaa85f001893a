"""Market data: simulated order flow, imports, and checks of catalogs."""
