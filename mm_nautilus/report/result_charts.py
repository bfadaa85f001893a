"""The charts of a run's answer: what its result is made of, and when it came."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from mm_nautilus.report.figures import PATTERNS, Figure, bars, figure, series
from mm_nautilus.report.money import amount_decimals, shared_decimals, signed_amount
from mm_nautilus.report.stretches import DAY_MINUTES, HOUR_MINUTES, MINUTE_NS, Stretches
from mm_nautilus.system.moments import nanoseconds

_MS_PER_MINUTE: Final = 60_000
_MOST_DAY_LABELS: Final = 12
_SIGNS: Final = (("made", "@gain", ""), ("lost", "@loss", "/"))
"""Name, colour and hatching of what was made and of what was lost."""
PARTS: Final = {
    "spread_captured": "spread captured",
    "adverse_selection": "adverse selection",
    "inventory_revaluation": "inventory revaluation",
    "maker_fees": "maker fees",
    "taker_fees": "taker fees",
    "other_fees": "other fees",
    "unattributed": "not attributed",
}
"""The parts of a result in the order of the bridge."""
_FEES: Final = frozenset({"maker_fees", "taker_fees", "other_fees"})


def shown_parts(answer: Mapping[str, Any]) -> list[str]:
    """Return the parts that are known; fees of 0, and a rest whose digits would all be 0, are left out."""
    parts, least = answer["parts"], 0.5 * 10.0 ** -amount_decimals(answer["currency"])
    pairs = answer["pairs"].values()

    def is_shown(name: str) -> bool:
        if parts[name] is None:
            return False
        if name in _FEES:
            return any(found["parts"][name] for found in (answer, *pairs))
        return name != "unattributed" or abs(parts[name]) >= least

    return [name for name in PARTS if is_shown(name)]


def bridge_figure(answer: Mapping[str, Any]) -> Figure:
    """Return the steps from nothing to a known result, and with funding on to the sum of both."""
    currency, names = answer["currency"], shown_parts(answer)
    steps = [(PARTS[name], answer["parts"][name]) for name in names]
    decimals = shared_decimals([answer["result"], *(amount for _, amount in steps)], currency)
    level, bases, heights = 0.0, [], []
    for _, amount in steps:
        bases.append(level)
        heights.append(amount)
        level += amount
    labels = [name for name, _ in steps] + ["result"]
    bases, heights = [*bases, 0.0], [*heights, answer["result"]]
    if answer["funding"]:
        labels += ["funding", "with funding"]
        bases += [answer["result"], 0.0]
        heights += [answer["funding"], answer["result"] + answer["funding"]]
    rows = list(zip(labels, bases, heights, strict=True))
    traces = [
        bars(
            name,
            [label.replace(" ", "<br>") for label, *_ in chosen],
            [height for *_, height in chosen],
            colour=colour,
            pattern=pattern,
            hover=f"%{{x}}: %{{y:+,.{decimals}f}} {currency}",
            base=[base for _, base, _ in chosen],
            width=0.62,
            text=[signed_amount(height, currency, decimals) for *_, height in chosen],
            textposition="outside",
            cliponaxis=False,
            textfont={"color": "@text"},
        )
        for name, colour, pattern in _SIGNS
        if (chosen := [row for row in rows if (row[2] < 0) is (name == "lost")])
    ]
    edges = [edge for base, height in zip(bases, heights, strict=True) for edge in (base, base + height)]
    low, high = min(0.0, *edges), max(0.0, *edges)
    room = 0.14 * ((high - low) or 1.0)
    return figure(
        traces,
        [f"from the spread to the result, {currency}"],
        [1],
        pixels=330,
        hovermode="closest",
        barmode="overlay",
        showlegend=False,
        xaxis={
            "type": "category",
            "categoryorder": "array",
            "categoryarray": [label.replace(" ", "<br>") for label in labels],
            "linecolor": "@axis",
            "anchor": "y",
            "automargin": True,
            "tickangle": 0,
            "fixedrange": True,
        },
        yaxis={"range": [low - room, high + room]},
    )


def by_time_figure(answer: Mapping[str, Any]) -> Figure:
    """Return what was made in each stretch of a run, of each pair and in all."""
    return _stretch_figure(_stretches(answer), answer["currency"])


def by_day_figure(answer: Mapping[str, Any]) -> Figure:
    """Return the same in UTC days."""
    return _stretch_figure(_stretches(answer).by_day(), answer["currency"])


def _stretches(answer: Mapping[str, Any]) -> Stretches:
    """Return the stretches that an answer has as texts."""
    found = answer["by_time"]
    return Stretches(
        found["minutes"],
        [nanoseconds(datetime.fromisoformat(start)) for start in found["starts"]],
        [Decimal(text) for text in found["total"]],
        {pair: [Decimal(text) for text in texts] for pair, texts in found["pairs"].items()},
        Decimal(found["before"]),
    )


def stretch_name(minutes: int) -> str:
    """Return what a stretch of time is called."""
    named = {1: "minute", HOUR_MINUTES: "hour", DAY_MINUTES: "day"}
    return named.get(minutes, f"{minutes} minutes")


def _stretch_figure(stretches: Stretches, currency: str) -> Figure:
    minutes, total = stretches.minutes, list(map(float, stretches.total))
    pairs = {pair: list(map(float, amounts)) for pair, amounts in stretches.pairs.items()}
    width = minutes * _MS_PER_MINUTE
    middles = [start // (MINUTE_NS // _MS_PER_MINUTE) + width // 2 for start in stretches.starts_ns]
    hover = f"%{{y:+,.{max(4, amount_decimals(currency))}f}} {currency}"
    look: dict[str, Any] = {"hover": hover, "width": 0.8 * width}
    active = {pair: amounts for pair, amounts in pairs.items() if any(amounts)}
    if len(active) > 1:
        traces = [
            bars(
                pair,
                middles,
                amounts,
                colour=series(number)["colour"],
                pattern=PATTERNS[number % len(PATTERNS)],
                **look,
            )
            for number, (pair, amounts) in enumerate(pairs.items())
        ]
    else:
        traces = [
            bars(
                name,
                [
                    middle
                    for middle, amount in zip(middles, total, strict=True)
                    if (amount < 0) is (name == "lost")
                ],
                [amount for amount in total if (amount < 0) is (name == "lost")],
                colour=colour,
                pattern=pattern,
                **look,
            )
            for name, colour, pattern in _SIGNS
        ]
    if len(active) > 1:
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": "all",
                "x": middles,
                "y": total,
                "marker": {"symbol": "diamond", "size": 8, "color": "@total"},
                "hovertemplate": f"all: {hover}<extra></extra>",
            }
        )
    made = figure(
        traces,
        [f"PnL by {stretch_name(minutes)} (UTC), {currency}"],
        [1],
        pixels=300,
        barmode="relative",
        bargap=0.2,
    )
    axis = made["layout"]["xaxis"]
    axis["hoverformat"] = "%Y-%m-%d %H:%M UTC"
    if minutes == DAY_MINUTES:  # a label under each bar, or under every second, third ...
        labelled = -(-len(middles) // _MOST_DAY_LABELS) * width
        axis |= {"hoverformat": "%Y-%m-%d", "tickformat": "%b %-d", "tick0": middles[0], "dtick": labelled}
    return made
