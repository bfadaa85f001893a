"""What a sandbox run needs to begin, checked before anything is written: a feed that answers, pairs, prices."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from mm_nautilus.core.instrument import InstrumentSpec
from mm_nautilus.core.refusals import refused_for
from mm_nautilus.core.sandbox_config import SandboxConfig
from mm_nautilus.data.simulator import KRAKEN_SPOT
from mm_nautilus.errors import InterruptedRunError, RunFailedError
from mm_nautilus.nautilus.catalog import CatalogReader, require_data
from mm_nautilus.nautilus.instruments import by_symbol, keep_size_digits
from mm_nautilus.nautilus.kraken import (
    KRAKEN_PUBLIC,
    FeedAddress,
    VenueListing,
    venue_listing,
)
from mm_nautilus.runs.inputs import checked_run, first_mid
from mm_nautilus.runs.signals import SignalListener
from mm_nautilus.venue.process import VenueOptions, VenueProcess

__all__ = ["Feed", "SandboxInputs", "check_not_interrupted", "open_feed", "prepare_sandbox"]

_SUBSCRIPTIONS_PER_SYMBOL: Final = 2
_LOOK_SECONDS: Final = 0.1
_GIVE_UP_SECONDS: Final = 0.5
_NOTHING_WRITTEN: Final = "interrupted before the run began; nothing was written"


@dataclass(frozen=True, slots=True)
class Feed:
    """An open feed.

    Parameters
    ----------
    address
        Where the engine connects to.
    sent_until_end
        Returns how many book events and trades a feed has sent that has come to an end and does not go on from there,
        None before.
    stored
        The instruments a local venue plays, by symbol: its protocol leaves out some of what they say.
    mids
        The first mids of those that are traded, in quote currency, where a catalog tells them.
    """

    address: FeedAddress
    sent_until_end: Callable[[], int | None] = lambda: None
    stored: Mapping[str, InstrumentSpec] = field(default_factory=dict)
    mids: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SandboxInputs:
    """A configuration with what the venue lists.

    Parameters
    ----------
    config
        The run.
    specs
        The instruments traded, by symbol.
    feed
        Where the market data comes from.
    warnings
        Risks that validation named.
    """

    config: SandboxConfig
    specs: Mapping[str, InstrumentSpec]
    feed: Feed
    warnings: tuple[str, ...]


def check_not_interrupted(signals: SignalListener) -> None:
    """Raise where a signal has come.

    Raises
    ------
    InterruptedRunError
        With the signal's exit code.
    """
    if signals.received is not None:
        raise InterruptedRunError(_NOTHING_WRITTEN, signals.exit_code)


@contextmanager
def open_feed(config: SandboxConfig, signals: SignalListener) -> Iterator[Feed]:
    """Open the configured feed: Kraken's, or a local venue in a process of its own for as long as the context lasts.

    Raises
    ------
    RefusedRunError
        If the configuration does not fit the catalog that the local venue is to play, or that cannot be used.
    RunFailedError
        If the local venue does not start.
    """
    feed = config.feed
    if feed.source == "live":
        rest_url, websocket_url = feed.rest_url, feed.websocket_url
        yield Feed(
            FeedAddress(rest_url or KRAKEN_PUBLIC.rest_url, websocket_url or KRAKEN_PUBLIC.websocket_url)
        )
        return
    stored, mids, refused = _played(config)
    checked_run(config, stored, mids, refused)
    options = VenueOptions(
        catalog=feed.catalog,
        symbols=tuple(config.strategy.symbols),
        speed=feed.speed,
        at_end=feed.at_end,
        start_after_subscriptions=_SUBSCRIPTIONS_PER_SYMBOL * len(config.strategy.symbols),
    )
    with signals.inherited_by_nobody():
        venue = VenueProcess(options)
        venue.start()
    try:
        check_not_interrupted(signals)
        address = FeedAddress(venue.rest_url, venue.websocket_url)
        yield Feed(address, lambda: _sent_until_end(venue), stored, mids)
    finally:
        venue.stop()


def _sent_until_end(venue: VenueProcess) -> int | None:
    state = venue.control.state()
    if state["feed"]["state"] != "ended":
        return None
    return int(state["counts"]["books"] + state["counts"]["trades"])


def _played(
    config: SandboxConfig,
) -> tuple[Mapping[str, InstrumentSpec], Mapping[str, float], Mapping[str, str]]:
    """Return what a local venue plays, the first mids of what is configured, and what cannot be quoted, by symbol."""
    if config.feed.catalog is None:
        return KRAKEN_SPOT, {}, {}
    with refused_for("feed", "catalog"):
        reader = CatalogReader(config.feed.catalog)
        specs = {spec.symbol: spec for spec in reader.some_instruments()}
        traded = [specs[symbol] for symbol in config.strategy.symbols if symbol in specs]
        require_data(config.feed.catalog, [spec.instrument_id for spec in traded])
        mids = {spec.symbol: first_mid(reader, spec) for spec in traded}
        return specs, mids, by_symbol(reader.definitions.refused)


def prepare_sandbox(config: SandboxConfig, feed: Feed, signals: SignalListener) -> SandboxInputs:
    """Ask the venue for its pairs and check the configuration against them.

    Raises
    ------
    ConfigError
        If the configuration does not fit them.
    RunFailedError
        If the venue does not answer within ``feed.connect_timeout_seconds``.
    InterruptedRunError
        If a signal came meanwhile.
    """
    listing = _listing(config, feed.address, signals)
    specs = {symbol: _as_stored(spec, feed.stored.get(symbol)) for symbol, spec in listing.specs.items()}
    warnings = checked_run(config, specs, {**listing.mids, **feed.mids}, listing.refused)
    traded = {symbol: specs[symbol] for symbol in config.strategy.symbols}
    keep_size_digits(traded.values())
    unpriced = [
        f"Warning: {symbol}: sizes were not compared with the venue's least ones, for lack of a price: {reason}"
        for symbol, reason in listing.silent.items()
        if symbol not in feed.mids
    ]
    return SandboxInputs(config, traded, feed, (*warnings, *unpriced, *_margin_risk(config)))


def _margin_risk(config: SandboxConfig) -> tuple[str, ...]:
    if config.venue.account_type == "cash":
        return ()
    return (
        "Warning: the feed names no margin rates: nothing but max_inventory limits what a margin account holds, "
        "whatever its balance",
    )


def _as_stored(spec: InstrumentSpec, stored: InstrumentSpec | None) -> InstrumentSpec:
    """Return an instrument with what is stored of it and the protocol does not tell."""
    if stored is None:
        return spec
    return replace(
        spec,
        min_notional=stored.min_notional,
        max_quantity=stored.max_quantity,
        max_notional=stored.max_notional,
        maker_fee_rate=stored.maker_fee_rate,
        taker_fee_rate=stored.taker_fee_rate,
        simulated=stored.simulated,
    )


def _listing(config: SandboxConfig, address: FeedAddress, signals: SignalListener) -> VenueListing:
    seconds = config.feed.connect_timeout_seconds
    request = venue_listing(address.rest_url, config.strategy.symbols, seconds)
    try:
        listing: VenueListing = asyncio.run(_unless_interrupted(request, seconds, signals))
    except (RuntimeError, TimeoutError) as error:
        reason = str(error) or "no answer"
        raise RunFailedError(
            f"the venue could not be reached within {seconds} seconds: tried {address.rest_url}: {reason}; "
            "nothing was written"
        ) from error
    return listing


async def _unless_interrupted(request: Any, seconds: float, signals: SignalListener) -> Any:
    """Await a request for so many seconds at most, and no longer once a signal has come."""
    async with asyncio.timeout(seconds):
        task = asyncio.ensure_future(request)
        try:
            while not task.done():
                check_not_interrupted(signals)
                await asyncio.wait({task}, timeout=_LOOK_SECONDS)
            return task.result()
        finally:
            await _give_up(task)


async def _give_up(task: "asyncio.Future[Any]") -> None:
    """Cancel what is still under way, and leave the engine's threads the time to notice.

    One of them that comes back to Python after the interpreter has ended aborts the process, whatever its exit code.
    """
    if task.done():
        return
    task.cancel()
    await asyncio.wait({task}, timeout=_GIVE_UP_SECONDS)
    await asyncio.sleep(_GIVE_UP_SECONDS)
