"""The framework's statistics beside ours, and why some of them differ."""

from collections.abc import Mapping
from typing import Any, Final

from mm_nautilus.report.money import signed_amount
from mm_nautilus.report.rows import NONE
from mm_nautilus.system.plain_text import counted

type Statistic = dict[str, str]

_FEW_DAYS: Final = 30
_OF_POSITIONS: Final = (
    ("Expectancy", "mean result of a position, net of fees"),
    ("Avg Winner", "mean result of the positions that won"),
    ("Avg Loser", "mean result of the positions that lost"),
    ("Max Winner", "best position"),
    ("Max Loser", "worst position"),
)


def statistics_rows(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the framework's statistics: those shown as they are, and those that differ from ours.

    ``equity`` has name, figure and meaning, ``positions`` a column a currency, ``differing`` the framework's figure,
    ours, and why.
    """
    statistics = summary["statistics"]
    positions = statistics["engine"]["positions"]
    return {
        "equity": _equity_rows(statistics["equity"]),
        "positions": _position_table(positions),
        "differing": _differing(summary, positions, statistics["engine"]["position_returns"]),
    }


def _share(value: float | None) -> str:
    return NONE if value is None else f"{100 * value:z.3f} %"


def _plain(value: float | None) -> str:
    return NONE if value is None else f"{value:z.2f}"


def _equity_rows(equity: Mapping[str, Any]) -> list[Statistic]:
    days = f"from the returns of {counted(equity['days'], 'UTC day')}"
    rows = []
    for name, value in equity.items():
        if name == "days":
            continue
        is_drawdown = name == "Max Drawdown"
        text = _share(value) if is_drawdown or "Volatility" in name else _plain(value)
        meaning = days
        if is_drawdown:
            meaning = "largest drawdown of the equity at the start plus trading PnL"
        elif value is None:
            meaning = f"{days}; more are needed"
        elif equity["days"] < _FEW_DAYS:
            meaning = f"{days}, too few to mean much"
        rows.append({"name": name, "text": text, "meaning": meaning})
    return rows


def _position_table(positions: Mapping[str, Any]) -> dict[str, Any]:
    settled = {
        currency: stats for currency, stats in positions.items() if stats.get("Expectancy") is not None
    }
    return {
        "currencies": list(settled),
        "rows": [
            (name, meaning, [_money(stats.get(name), currency) for currency, stats in settled.items()])
            for name, meaning in _OF_POSITIONS
        ],
    }


def _money(value: float | None, currency: str) -> str:
    return NONE if value is None else signed_amount(value, currency)


def _differing(
    summary: Mapping[str, Any], positions: Mapping[str, Any], returns: Mapping[str, float | None]
) -> list[Statistic]:
    """Return the framework's figures that differ from ours of the same name, and why."""
    equity = summary["equity"] or {}
    symbols = summary["symbols"].values()
    trades, wins = (sum(figures[name] for figures in symbols) for name in ("trades", "wins"))
    changes = [_money(stats.get("PnL (total)"), currency) for currency, stats in positions.items()]
    rates = [
        f"{100 * stats['Win Rate']:.1f} % ({currency})"
        for currency, stats in positions.items()
        if stats.get("Win Rate") is not None
    ]
    sharpe = "Sharpe Ratio (365 days)"
    return [
        {
            "name": "PnL (total)",
            "theirs": "; ".join(changes) or NONE,
            "ours": _money(equity.get("trading_pnl"), summary["report_currency"]),
            "why": "The framework takes the change of each balance, which buying and selling also change. Ours is the "
            "trading PnL of all pairs, marked at mid.",
        },
        {
            "name": "Win Rate",
            "theirs": "; ".join(rates) or NONE,
            "ours": f"{100 * wins / trades:.1f} %" if trades else NONE,
            "why": "The framework counts positions from flat to flat, and the realised part of those still "
            "open. Ours counts every execution that reduced a position.",
        },
        {
            "name": "Profit Factor",
            "theirs": _plain(returns.get("Profit Factor")),
            "ours": _plain(equity.get("profit_factor")),
            "why": "The framework's is of the positions' returns, which exclude fees and weight a small position "
            "like a large one. Ours is of the trades in money, net of fees.",
        },
        {
            "name": "Sharpe Ratio",
            "theirs": _plain(returns.get("Sharpe Ratio (252 days)")),
            "ours": _plain(summary["statistics"]["equity"].get(sharpe)),
            "why": "The framework's is of the same returns of positions, before fees, with 252 days a year. Ours "
            "applies its formula to the equity marked at mid, with 365 days a year.",
        },
    ]
