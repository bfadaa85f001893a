"""Fees by volume: which tier holds when, that money is exact, and where it is shown."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from finished_sandbox import sandbox_run
from pydantic import ValidationError
from whole_runs import FinishedRun

from mm_nautilus.config.run import FeeScheduleConfig, FeeTier
from mm_nautilus.report.page import write_report

Runs = Callable[..., FinishedRun]
SHORT = ("end=2025-12-13T12:06", "venue.fees=null")
CHEAPER = (
    "venue.fee_schedule={tiers: [{volume: 0, maker_fee_pct: 0.3, taker_fee_pct: 0.5}, "
    "{volume: 1000, maker_fee_pct: -0.01, taker_fee_pct: 0.07}], starting_volume: 700}"
)


@pytest.mark.parametrize(
    ("volume", "maker", "taker"),
    [(0, 0.25, 0.40), (9_999.99, 0.25, 0.40), (10_000, 0.20, 0.35), (300_000, 0.10, 0.20), (1e9, 0.0, 0.10)],
)
def test_a_tier_holds_from_its_volume_on(volume: float, maker: float, taker: float) -> None:
    tier = FeeScheduleConfig(published="kraken_spot").tier_at(volume)
    assert (tier.maker_fee_pct, tier.taker_fee_pct) == (maker, taker)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "one of published and tiers must be given, was neither"),
        (
            {"published": "kraken_spot", "tiers": [(0, 0, 0)]},
            "one of published and tiers must be given, was both",
        ),
        ({"tiers": [(1, 0, 0)]}, r"tiers must begin at volume 0 and ascend, was \[1.0\]"),
        (
            {"tiers": [(0, 0, 0), (5, 0, 0), (5, 0, 0)]},
            r"must begin at volume 0 and ascend, was \[0.0, 5.0, 5.0\]",
        ),
    ],
)
def test_a_schedule_without_order_is_refused(given: dict[str, object], text: str) -> None:
    tiers = given.get("tiers")
    if isinstance(tiers, list):
        named = ("volume", "maker_fee_pct", "taker_fee_pct")
        given = given | {"tiers": [FeeTier(**dict(zip(named, row, strict=True))) for row in tiers]}
    with pytest.raises(ValidationError, match=text):
        FeeScheduleConfig.model_validate(given)


def test_one_tier_is_the_same_as_fixed_fees(finished_run: Runs) -> None:
    fixed = finished_run("backtest.yaml", SHORT[0], "venue.fees={maker_fee_pct: 0.03, taker_fee_pct: 0.07}")
    tiers = "venue.fee_schedule={tiers: [{volume: 0, maker_fee_pct: 0.03, taker_fee_pct: 0.07}]}"
    tiered = finished_run("backtest.yaml", *SHORT, tiers)
    pd.testing.assert_frame_equal(fixed.table("fills"), tiered.table("fills"))
    assert fixed.summary["equity"] == tiered.summary["equity"]
    assert [tier["fills"] for tier in tiered.summary["fee_tiers"]] == [len(tiered.table("fills"))]


def test_a_run_moves_through_tiers_as_its_volume_grows(finished_run: Runs) -> None:
    run = finished_run("backtest.yaml", *SHORT, CHEAPER)
    first, second = run.summary["fee_tiers"]
    fills = run.table("fills")
    before, after = fills.iloc[: first["fills"]], fills.iloc[first["fills"] :]
    assert (first["fills"], second["fills"]) == (len(before), len(after))
    assert second["fills"] > 5
    for part, maker, taker in ((before, "0.003", "0.005"), (after, "-0.0001", "0.0007")):
        for fill in part.itertuples():
            rate = Decimal(maker if fill.liquidity == "MAKER" else taker)
            value = Decimal(str(fill.price)) * Decimal(str(fill.quantity))
            assert Decimal(str(fill.commission)) == pytest.approx(value * rate, abs=Decimal("0.00000001"))
    in_usdt = before[before.symbol != "XRP/BTC"]
    assert second["volume"] >= 1000
    assert first["volume"] == 700
    assert second["volume"] > 700 + float((in_usdt.price * in_usdt.quantity).sum()) * 0.999
    assert first["unvalued_fills"] == second["unvalued_fills"] == 0


def test_quotes_follow_the_fees_in_force_and_a_view_of_ones_own_stays(finished_run: Runs) -> None:
    """Bitcoin is quoted as if it cost nothing, and its fills reach the tier that lets the others quote narrowly."""
    own = "strategy.symbols.BTC/USDT.maker_fee_pct=0"
    nearer = CHEAPER.replace("700", "880")
    run = finished_run("backtest.yaml", *SHORT, nearer, "strategy.min_edge_bps=2", own)
    fills, quotes = run.table("fills"), run.table("quotes")
    reached = fills.ts_event.iloc[run.summary["fee_tiers"][0]["fills"] - 1]
    quotes = quotes[(quotes.symbol == "XRP/USDT") & quotes.bid_price.notna() & quotes.ask_price.notna()]
    widths = 10_000 * (quotes.ask_price / quotes.bid_price - 1)
    before, after = widths[quotes.ts_event < reached], widths[quotes.ts_event > reached + pd.Timedelta("3s")]
    assert len(before) > 5
    assert before.min() >= 2 * 30 + 2 - 1
    assert len(after) > 5
    assert after.max() < 30
    model = {symbol: figures["quote_model"] for symbol, figures in run.summary["symbols"].items()}
    assert {symbol: figures["maker_fee_bps"] for symbol, figures in model.items()} == {
        "XRP/USDT": pytest.approx(-1),
        "BTC/USDT": 0,
        "XRP/BTC": pytest.approx(-1),
    }
    assert set(fills.symbol[fills.ts_event < reached]) == {"BTC/USDT"}


def test_the_page_names_each_tier(finished_run: Runs, tmp_path: Path) -> None:
    run = finished_run("backtest.yaml", *SHORT, CHEAPER)
    page = write_report(run.outcome.folder, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Fee tiers, by the volume of thirty days" in page
    first = "maker 0.3 %, taker 0.5 % of the value"
    assert f"by the volume of thirty days (own tiers), at first {first} at a volume of $700.00" in page


@pytest.mark.long
def test_the_sandbox_charges_by_volume(tmp_path_factory: pytest.TempPathFactory) -> None:
    run = sandbox_run(tmp_path_factory.mktemp("tiers"), "venue.fees=null", CHEAPER.replace("700", "990"))
    tiers = json.loads((run.outcome.folder / "summary.json").read_text())["fee_tiers"]
    assert sum(tier["fills"] for tier in tiers) == len(run.table("fills"))
    assert [tier["maker_fee_pct"] for tier in tiers] == [0.3, -0.01]
