"""What a run was, in words: a backtest or paper trading, on which data, how it began and how it ended."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mm_nautilus.config.run import FeeScheduleConfig
from mm_nautilus.report.money import unsigned_amount
from mm_nautilus.report.rows import NONE
from mm_nautilus.system.plain_text import counted

type Summary = Mapping[str, Any]


def moment_text(text: str) -> str:
    """Return a moment of a summary for people, UTC."""
    return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%S UTC")


def short_data_text(summary: Summary) -> str:
    """Return which kind of data the run had: ``SIMULATED data``, ``recorded data`` or ``live feed``."""
    if summary["simulated_data"]:
        return "SIMULATED data"
    feed = summary.get("feed")
    return "live feed" if feed is not None and feed["source"] == "live" else "recorded data"


def data_text(summary: Summary) -> str:
    """Return what the run was and which data it had."""
    feed = summary.get("feed")
    if feed is None:
        notes = summary.get("data_notes")
        return f"Backtest on {short_data_text(summary)}{f' ({"; ".join(notes)})' if notes else ''}"
    if feed["source"] == "live":
        return f"Paper trading on a live feed{' of SIMULATED data' if summary['simulated_data'] else ''}"
    return f"Paper trading on a local venue that plays {short_data_text(summary)}"


def fee_rows(venue: Mapping[str, Any], report_currency: str) -> list[tuple[str, str]]:
    """Return which fees are assumed of a venue: those of all symbols, then those of single ones."""
    fees, schedule, own = venue["fees"], venue.get("fee_schedule"), venue.get("instrument_fees", {})
    if schedule is not None:
        tiers = FeeScheduleConfig.model_validate(schedule)
        volume = tiers.starting_volume
        common = (
            f"by the volume of thirty days ({tiers.published or 'own tiers'}), at first "
            f"{_fee_text(tiers.tier_at(volume).model_dump())} at a volume of {unsigned_amount(volume, report_currency)}"
        )
    else:
        common = "each instrument's own" if fees is None else _fee_text(fees)
    single = {**own, **venue["symbol_fees"]}
    return [("fees", common), *((f"fees of {symbol}", _fee_text(of)) for symbol, of in single.items())]


def _fee_text(fees: Mapping[str, float]) -> str:
    return f"maker {fees['maker_fee_pct']:g} %, taker {fees['taker_fee_pct']:g} % of the value"


def fee_words(venue: Mapping[str, Any], report_currency: str) -> str:
    """Return which fees are assumed of a venue, on one line; symbols with the same fees of their own share them."""
    (_, common), *single = fee_rows(venue, report_currency)
    symbols: dict[str, list[str]] = {}
    for name, text in single:
        symbols.setdefault(text, []).append(name.removeprefix("fees of "))
    own = (f"{text} ({', '.join(names)})" for text, names in symbols.items())
    return "; ".join([common, *own])


def ending_note(summary: Summary) -> str | None:
    """Return why the figures are not those of a whole run, None where they are."""
    status = summary["status"]
    if status == "completed":
        return None
    until = moment_text(summary["period"]["end"])
    if status in {"running", "starting"}:
        return f"This run had not ended when this page was made, or was killed: its figures are those of {until}."
    happened = "was interrupted" if status == "interrupted" else status
    return f"This run {happened}: the figures are those up to then, {until}."


def resumed_note(summary: Summary) -> str | None:
    """Return which figures are of earlier sessions too, None where there are no such."""
    if not summary.get("start", {}).get("is_resumed", False):
        return None
    return (
        "This run continued from a saved state. Fills, trades, orders, PnL, fees, and the equity at the start and its "
        "drawdown include the earlier runs of that state; times, fill quality, exits and charts cover this run only."
    )


def session_rows(summary: Summary) -> list[tuple[str, str]]:
    """Return what a page says of a live session: its feed, its start and its end; nothing of a backtest."""
    feed, start, stop = (summary.get(name) for name in ("feed", "start", "stop"))
    if feed is None or start is None:
        return []
    return [
        ("feed", _feed_text(feed)),
        ("venue", "simulated inside the process: no order left the machine, no money moved"),
        ("start", _start_text(start)),
        (
            "balances at the start",
            ", ".join(f"{amount} {code}" for code, amount in start["balances"].items()),
        ),
        ("positions at the start", ", ".join(start["positions"]) or "none"),
        ("end", _end_text(summary, stop)),
        ("orders left open", str(summary.get("open_orders", NONE))),
    ]


def _feed_text(feed: Mapping[str, Any]) -> str:
    depth = counted(feed["book_depth"], "level")
    if feed["source"] == "live":
        return f"live, {feed['websocket_url']}, {depth}"
    speed = "as fast as it is consumed" if feed["speed"] == "max" else f"at {feed['speed']:g}x its speed"
    if feed["catalog"] is None:
        return f"local venue that plays the simulator {speed}, {depth}"
    at_end = "restarts" if feed["at_end"] == "loop" else "ends"
    return f"local venue that plays {feed['catalog']} {speed} and then {at_end}, {depth}"


def _start_text(start: Mapping[str, Any]) -> str:
    if start["is_resumed"]:
        return f"continued from the state in {start['state_file']}"
    return "fresh" if start["state_file"] is None else f"fresh, with its state in {start['state_file']}"


def _end_text(summary: Summary, stop: Mapping[str, Any] | None) -> str:
    if stop is not None:
        return f"{summary['status']}: {stop['text']}"
    if summary["status"] in {"starting", "running"}:
        return "none was recorded: the run is still running, or its process was killed"
    return str(summary["status"])
