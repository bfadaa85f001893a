"""Money is as exact in cents, yen and rebates as in a stablecoin: the same market gives the same figures."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from made_markets import MadeMarket, instrument
from recomputation import CENT_OF_COIN, expected_balances, flows

from mm_nautilus.config.run import RunConfig
from mm_nautilus.runs.backtest import run_backtest

MARKET = MadeMarket(seconds=300, sells_a_second=1.0, buys_a_second=1.0)
MAKER_PCT, TAKER_PCT = -0.0037, 0.02
"""A fill of 0.01 XRP at 100 earns a rebate of 0.000037: nothing in cents."""

type Run = Callable[[str], tuple[RunConfig, Path]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Trade the made market as XRP against a currency; the same currency once."""
    done: dict[str, tuple[RunConfig, Path]] = {}

    def run(quote: str) -> tuple[RunConfig, Path]:
        if quote not in done:
            folder = tmp_path_factory.mktemp(quote)
            MARKET.write(folder / "catalog", instrument(f"XRP/{quote}", maker_fee=None))
            config = RunConfig.model_validate(given(folder, quote))
            done[quote] = config, run_backtest(config).folder
        return done[quote]

    return run


def given(folder: Path, quote: str) -> dict[str, Any]:
    return {
        "catalog": folder / "catalog",
        "output": {"directory": folder / "runs", "report": False},
        "venue": {
            "name": "MADE",
            "starting_balances": [f"5000 {quote}", "50.00000001 XRP"],
            "fees": {"maker_fee_pct": MAKER_PCT, "taker_fee_pct": TAKER_PCT},
        },
        "strategy": {
            "report_currency": quote,
            "min_spread_pct": 0.01,
            "cooldown_seconds": 0.1,
            "take_profit_pct": 0.02,
            "stop_loss_pct": 0.02,
            "symbols": {f"XRP/{quote}": {"position_size": "0.13 XRP", "max_inventory": "0.5 XRP"}},
        },
    }


def figures(folder: Path, quote: str) -> dict[str, Any]:
    """Return the money of a summary, without the currency's name."""
    summary = json.loads((folder / "summary.json").read_text().replace(quote, "Q"))
    return {name: summary[name] for name in ("symbols", "equity", "exits")}


@pytest.mark.parametrize("quote", [pytest.param("USD", marks=pytest.mark.long), "JPY"])
def test_cents_and_yen_are_as_exact_as_a_stablecoin(run: Run, quote: str) -> None:
    config, folder = run(quote)
    _, coin = run("USDT")
    assert figures(folder, quote) == figures(coin, "USDT")
    fills = pd.read_parquet(folder / "fills.parquet")
    rates = {"MAKER": Decimal(str(MAKER_PCT)) / 100, "TAKER": Decimal(str(TAKER_PCT)) / 100}
    expected = [row.quantity * row.price * rates[row.liquidity] for row in fills.itertuples()]
    assert all(
        abs(fee - owed) <= CENT_OF_COIN / 2 for fee, owed in zip(fills.commission, expected, strict=True)
    )
    assert set(fills.liquidity) == {"MAKER", "TAKER"}
    assert set(fills.commission_currency) == {quote}
    summary = json.loads((folder / "summary.json").read_text())
    balances = {code: Decimal(text) for code, text in summary["equity"]["balances"].items()}
    assert balances == expected_balances(config.venue.starting_balances, fills)
    exact = summary["symbols"][f"XRP/{quote}"]["exact"]
    assert Decimal(exact["fees"].split()[0]) == flows(fills, f"XRP/{quote}").fees
    metrics = pd.read_parquet(folder / "metrics.parquet")
    assert metrics.fees.iloc[-1] == exact["fees"]
