"""A sandbox run's feed, pairs and prices, checked before anything is written."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from mm_nautilus.checks.refusals import refused_for
from mm_nautilus.config.problems import Problem
from mm_nautilus.config.sandbox import SandboxConfig
from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.catalog_fitness import require_data
from mm_nautilus.data.simulator import KRAKEN_SPOT
from mm_nautilus.errors import RunFailedError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.mock_kraken.options import VenueOptions
from mm_nautilus.mock_kraken.process import VenueProcess
from mm_nautilus.risk.venue_state import VenueState
from mm_nautilus.runs.inputs import Inputs, OwnCode, checked_run, first_mid
from mm_nautilus.runs.kraken import (
    KRAKEN_PUBLIC,
    FeedAddress,
    ListedPairs,
    VenueAnswerError,
    engine_pairs,
    first_mid_of,
    listed_pairs,
    served_pairs,
)
from mm_nautilus.runs.signals import SignalListener
from mm_nautilus.trading.instruments import by_symbol, keep_size_digits

_SUBSCRIPTIONS_PER_SYMBOL: Final = 2
_NOT_IN_PROTOCOL: Final = (
    *("min_notional", "max_quantity", "max_notional"),
    *("maker_fee_rate", "taker_fee_rate", "simulated"),
)
"""Fields of an instrument that the protocol lacks."""
_UNPRICED: Final = "sizes were not compared with the venue's minimums, because there is no price"
_UNLIMITED: Final = (
    "the feed names no margin rates: nothing but max_inventory limits what a margin account holds, "
    "whatever its balance"
)
_LOOK_SECONDS: Final = 0.1
_PATIENCE_SECONDS: Final = 5.0
_LEAST_PATIENCE_SECONDS: Final = 0.5
"""Longest and shortest wait for one answer of the venue."""
_FIRST_WAIT_SECONDS: Final = 1.0
_LONGEST_WAIT_SECONDS: Final = 30.0
"""Wait between two requests of the venue's pairs; it doubles."""


@dataclass(frozen=True, slots=True)
class Feed:
    """An open feed."""

    address: FeedAddress
    sent_until_end: Callable[[], int | None] = lambda: None
    """Returns how many book events and trades a feed has sent that has ended for good, None before."""
    stored: Mapping[str, InstrumentSpec] = field(default_factory=dict)
    """The instruments of a local venue, by symbol, with the fields that its protocol lacks."""
    mids: Mapping[str, float] = field(default_factory=dict)
    """The first mids of the traded ones in its catalog, in quote currency."""


@dataclass(frozen=True, slots=True)
class SandboxInputs(Inputs):
    """A sandbox's configuration with the venue's pairs."""

    config: SandboxConfig
    feed: Feed
    listed: ListedPairs


@contextmanager
def open_feed(config: SandboxConfig, signals: SignalListener) -> Iterator[Feed]:
    """Open the configured feed: Kraken's, or a local venue in a process of its own while the context lasts.

    Raises RefusedRunError if the configuration does not fit the played catalog, or that cannot be used, and
    RunFailedError if the local venue does not start.
    """
    feed = config.feed
    if feed.source == "live":
        rest_url = feed.rest_url or KRAKEN_PUBLIC.rest_url
        yield Feed(FeedAddress(rest_url, feed.websocket_url or KRAKEN_PUBLIC.websocket_url))
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
    with signals.unblocked():
        venue = VenueProcess(options)
        venue.start()
    try:
        signals.raise_received()
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
    """Return a local venue's instruments, the configured ones' first mids, and why others cannot be quoted."""
    if config.feed.catalog is None:
        return KRAKEN_SPOT, {}, {}
    with refused_for("feed", "catalog"):
        reader = CatalogReader(config.feed.catalog)
        specs = {spec.symbol: spec for spec in reader.some_instruments()}
        traded = [specs[symbol] for symbol in config.strategy.symbols if symbol in specs]
        require_data(config.feed.catalog, [spec.instrument_id for spec in traded])
        mids = {spec.symbol: first_mid(reader, spec) for spec in traded}
        return specs, mids, by_symbol(reader.definitions.refused)


def prepare_sandbox(
    config: SandboxConfig, code: OwnCode, feed: Feed, signals: SignalListener, say: Callable[[str], None]
) -> SandboxInputs:
    """Ask the venue for its pairs and check the configuration against them.

    Raises ConfigError if it does not fit them, RunFailedError if the venue lists no pairs within
    ``feed.connect_timeout_seconds``, and InterruptedRunError on a signal.
    """
    rest_url = feed.address.rest_url
    listed, read, refused = _listed(config, rest_url, signals, say)
    mids, silent = _mids(listed, rest_url, signals)
    specs = {
        symbol: replace(
            spec, **{name: getattr(feed.stored.get(symbol, spec), name) for name in _NOT_IN_PROTOCOL}
        )
        for symbol, spec in read.items()
    }
    found = [
        *checked_run(config, specs, {**mids, **feed.mids}, refused, listed.symbols),
        *(
            Problem(("strategy", "symbols", symbol), f"{_UNPRICED}: {reason}", is_warning=True)
            for symbol, reason in silent.items()
            if symbol not in feed.mids
        ),
        *(
            Problem((), f"{symbol} is {state} at the venue: not all of its orders would be accepted", True)
            for symbol, state in listed.states.items()
            if state is not VenueState.ONLINE
        ),
    ]
    if config.venue.account_type != "cash":
        found.append(Problem((), _UNLIMITED, is_warning=True))
    warnings = {risk.text(): risk for risk in found}
    traded = {symbol: specs[symbol] for symbol in config.strategy.symbols}
    keep_size_digits(traded.values())
    return SandboxInputs(
        config=config, specs=traded, warnings=warnings, code=code, data_notes=(), feed=feed, listed=listed
    )


def _listed(
    config: SandboxConfig, rest_url: str, signals: SignalListener, say: Callable[[str], None]
) -> tuple[ListedPairs, Mapping[str, InstrumentSpec], Mapping[str, str]]:
    """Return the venue's listing of the configured pairs; it is asked again while that cannot be used."""
    seconds = config.feed.connect_timeout_seconds
    give_up_at = time.monotonic() + seconds
    wait_seconds = _FIRST_WAIT_SECONDS
    while True:
        left_seconds = give_up_at - time.monotonic()
        patience_seconds = max(_LEAST_PATIENCE_SECONDS, min(left_seconds, _PATIENCE_SECONDS))
        try:
            listed = _unless_interrupted(
                partial(listed_pairs, rest_url, config.strategy.symbols, patience_seconds), signals
            )
            return listed, *_as_the_engine_reads(listed, rest_url, seconds)
        except VenueAnswerError as error:
            if time.monotonic() + wait_seconds >= give_up_at:
                raise RunFailedError(
                    f"the venue did not list its pairs within {seconds} s: tried {rest_url}: {error}; "
                    "nothing was written"
                ) from error
            say(f"the venue's pairs cannot be read: {error}; it is asked again in {wait_seconds:g} s")
        _wait(wait_seconds, signals)
        wait_seconds = min(2 * wait_seconds, _LONGEST_WAIT_SECONDS)


def _as_the_engine_reads(
    listed: ListedPairs, rest_url: str, seconds: int
) -> tuple[Mapping[str, InstrumentSpec], Mapping[str, str]]:
    with served_pairs(listed.entries, rest_url) as url:
        try:
            specs, refused = asyncio.run(engine_pairs(url, seconds))
        except RuntimeError as error:
            raise VenueAnswerError(f"the engine cannot read them: {error}") from error
    for symbol in listed.keys:
        if symbol not in specs and symbol not in refused:
            raise VenueAnswerError(f"the engine cannot make a pair from the listing of {symbol}")
    return specs, refused


def _mids(
    listed: ListedPairs, rest_url: str, signals: SignalListener
) -> tuple[Mapping[str, float], Mapping[str, str]]:
    """Return the venue's mids, and for pairs without one the reason."""
    mids: dict[str, float] = {}
    silent: dict[str, str] = {}
    for symbol, key in listed.keys.items():
        try:
            mids[symbol] = _unless_interrupted(
                partial(first_mid_of, rest_url, key, _PATIENCE_SECONDS), signals
            )
        except VenueAnswerError as error:
            silent[symbol] = str(error)
    return mids, silent


def _unless_interrupted[T](step: Callable[[], T], signals: SignalListener) -> T:
    """Take a step on a thread of its own, and stop waiting for it on a signal."""
    done: Future[T] = Future()

    def take() -> None:
        try:
            done.set_result(step())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=take, name="listing", daemon=True).start()
    while not wait([done], timeout=_LOOK_SECONDS).done:
        signals.raise_received()
    return done.result()


def _wait(seconds: float, signals: SignalListener) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        signals.raise_received()
        time.sleep(_LOOK_SECONDS)
