"""The engine's Kraken client: where it connects to, and what the venue says of its pairs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from nautilus_trader.adapters.kraken import KrakenDataClientConfig, KrakenSpotHttpClient

from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.trading.instruments import by_symbol, quotable

__all__ = [
    "KRAKEN_PUBLIC",
    "FeedAddress",
    "data_client_config",
    "engine_pairs",
]


@dataclass(frozen=True, slots=True)
class FeedAddress:
    """Where a venue's public sides are.

    Parameters
    ----------
    rest_url, websocket_url
        Addresses of REST and of WebSocket v2.
    """

    rest_url: str
    websocket_url: str

    def __str__(self) -> str:
        return f"{self.rest_url} and {self.websocket_url}"


KRAKEN_PUBLIC: Final = FeedAddress("https://api.kraken.com", "wss://ws.kraken.com/v2")
"""Kraken's own, which need no account."""


async def engine_pairs(
    listing_url: str, timeout_seconds: int
) -> tuple[Mapping[str, InstrumentSpec], Mapping[str, str]]:
    """Return the pairs that the engine's client reads from a list of them, and why others cannot be quoted, by symbol.

    Parameters
    ----------
    listing_url
        Where the list is served.
    timeout_seconds
        Longest wait for it.

    Raises
    ------
    RuntimeError
        From the engine's client, if it cannot read the list.
    """
    client = KrakenSpotHttpClient(base_url=listing_url, timeout_secs=timeout_seconds, max_retries=0)
    specs, refused = quotable(await client.request_instruments())
    return {spec.symbol: spec for spec in specs}, by_symbol(refused)


def data_client_config(address: FeedAddress, timeout_seconds: int) -> KrakenDataClientConfig:
    """Return the configuration of the engine's public data client, with checksums of books validated.

    Parameters
    ----------
    address
        Where to connect to.
    timeout_seconds
        Longest wait for a REST answer.
    """
    return KrakenDataClientConfig(
        base_url=address.rest_url,
        ws_public_url=address.websocket_url,
        timeout_secs=timeout_seconds,
        validate_l2_checksum=True,
    )
