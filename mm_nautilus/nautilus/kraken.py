"""The engine's Kraken client: where it connects to, and what the venue says of its pairs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from nautilus_trader.adapters.kraken import KrakenDataClientConfig, KrakenSpotHttpClient
from nautilus_trader.model import CurrencyPair

from mm_nautilus.core.instrument import InstrumentSpec
from mm_nautilus.nautilus.instruments import by_symbol, quotable

__all__ = [
    "KRAKEN_PUBLIC",
    "FeedAddress",
    "VenueListing",
    "data_client_config",
    "venue_listing",
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


@dataclass(frozen=True, slots=True)
class VenueListing:
    """What a venue says before anything is subscribed to.

    Parameters
    ----------
    specs
        Every pair it lists, by symbol.
    refused
        Why its other instruments cannot be quoted, by symbol.
    mids
        Mid prices in quote currency of the pairs asked for, where it told them.
    silent
        Why there is no price, by symbol.
    """

    specs: Mapping[str, InstrumentSpec]
    refused: Mapping[str, str]
    mids: Mapping[str, float]
    silent: Mapping[str, str]


async def venue_listing(rest_url: str, symbols: Iterable[str], timeout_seconds: int) -> VenueListing:
    """Ask a venue's REST side for its pairs, and for the touch of some of them.

    Parameters
    ----------
    rest_url
        Its address.
    symbols
        The pairs whose prices are wanted.
    timeout_seconds
        Longest wait for one answer.

    Raises
    ------
    RuntimeError
        From the engine's client, if the pairs cannot be had.
    """
    client = KrakenSpotHttpClient(base_url=rest_url, timeout_secs=timeout_seconds, max_retries=0)
    pairs = {pair.id.symbol.value: pair for pair in await client.request_instruments()}
    mids: dict[str, float] = {}
    silent: dict[str, str] = {}
    for symbol in symbols:
        pair = pairs.get(symbol)
        if not isinstance(pair, CurrencyPair):
            continue
        client.cache_instrument(pair)
        try:
            mid = (await client.request_book_snapshot(pair.id, depth=1)).midpoint()
        except RuntimeError as error:
            silent[symbol] = str(error)
        else:
            if mid is None:
                silent[symbol] = "its book has an empty side"
            else:
                mids[symbol] = mid
    specs, refused = quotable(pairs.values())
    return VenueListing(
        {spec.symbol: spec for spec in specs},
        by_symbol(refused),
        mids,
        silent,
    )


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
