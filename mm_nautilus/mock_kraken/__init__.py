"""mock_kraken, the local venue: a loopback server that speaks Kraken's public REST and WebSocket v2 protocols."""
