"""Linear contracts: money by hand from the fills is the summary, the tables, the report and the account."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from made_markets import MadeMarket, instrument
from whole_runs import FinishedRun

from mm_nautilus.checks.refusals import RefusedRunError
from mm_nautilus.config.run import RunConfig
from mm_nautilus.data.catalog import catalog_contents
from mm_nautilus.data.check import check_catalog
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.runs.backtest import run_backtest

MARKET = MadeMarket(seconds=300, sells_a_second=1.0, buys_a_second=1.0)
SYMBOL = "XRPUSDT-PERP"
PERPETUAL = replace(
    instrument("XRP/USDT", maker_fee=None),
    symbol=SYMBOL,
    kind="perpetual",
    margin_init_rate=Decimal("0.5"),
    margin_maint_rate=Decimal("0.25"),
)
EXPIRES_NS = MARKET.start_ns + 3_600 * 10**9
FUTURE = replace(PERPETUAL, symbol="XRPUSDT-260327", kind="future", expires_ns=EXPIRES_NS)
PAIR = instrument("XRP/USDT", maker_fee=None)


def given(folder: Path, symbol: str, **changes: Any) -> dict[str, Any]:
    return {
        "catalog": folder / "catalog",
        "output": {"directory": folder / "runs"},
        "venue": {
            "name": "MADE",
            "account_type": "margin",
            "leverage": 10,
            "starting_balances": ["500 USDT"],
            "fees": {"maker_fee_pct": -0.0037, "taker_fee_pct": 0.02},
            **changes,
        },
        "strategy": {
            "min_spread_pct": 0.01,
            "cooldown_seconds": 0.1,
            "take_profit_pct": 0.02,
            "stop_loss_pct": 0.02,
            "symbols": {symbol: {"position_size": "0.01 XRP", "max_inventory": "0.01 XRP"}},
        },
    }


def traded(folder: Path, spec: InstrumentSpec, **venue: Any) -> FinishedRun:
    MARKET.write(folder / "catalog", spec)
    config = RunConfig.model_validate(given(folder, spec.symbol, **venue))
    return FinishedRun(config, run_backtest(config))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, FinishedRun]:
    """The same market as a perpetual, as a future and as a pair on a margin account."""
    specs = {"perpetual": PERPETUAL, "future": FUTURE, "pair": PAIR}
    return {name: traded(tmp_path_factory.mktemp(name), spec) for name, spec in specs.items()}


def exact(text: str) -> Decimal:
    return Decimal(text.split(maxsplit=1)[0])


def by_hand(fills: pd.DataFrame) -> tuple[Decimal, Decimal, Decimal]:
    """Return the position, the cash that the fills moved and the fees, from the fills alone."""
    position = cash = fees = Decimal(0)
    for row in fills.itertuples():
        signed = row.quantity if row.side == "BUY" else -row.quantity
        position += signed
        cash -= signed * row.price
        fees += row.commission
        assert row.commission_currency == "USDT"
    return position, cash, fees


@pytest.mark.parametrize("kind", ["perpetual", "future"])
def test_money_by_hand_is_the_summary_the_tables_and_the_account(
    runs: dict[str, FinishedRun], kind: str
) -> None:
    run = runs[kind]
    fills, equity = run.table("fills"), run.summary["equity"]
    (figures,) = run.summary["symbols"].values()
    position, cash, fees = by_hand(fills)
    mark = Decimal(str(run.table("metrics").mid_price.iloc[-1]))
    total = cash - fees + position * mark
    assert len(fills) > 20
    assert {"MAKER", "TAKER"} == set(fills.liquidity)
    assert set(fills[fills.liquidity == "MAKER"].commission < 0) == {True}
    assert exact(figures["exact"]["inventory"]) == position
    assert exact(figures["exact"]["fees"]) == fees
    assert exact(figures["exact"]["total_pnl"]) == total
    assert exact(equity["exact"]["trading_pnl"]) == total
    assert exact(equity["exact"]["end"]) == 500 + total
    assert run.table("equity").equity.iloc[-1] == 500 + total
    assert run.balances == {"USDT": 500 + total - exact(figures["exact"]["unrealized_pnl"])}
    parts = {name: exact(run.summary["answer"]["exact"][name]) for name in run.summary["answer"]["parts"]}
    assert sum(parts.values()) == total
    assert parts["fees"] == -fees
    assert parts["unattributed"] == 0
    assert figures["orders_denied"] == 0


@pytest.mark.parametrize("kind", ["perpetual", "future"])
def test_a_contract_is_traded_as_its_pair_on_a_margin_account(
    runs: dict[str, FinishedRun], kind: str
) -> None:
    columns = ["ts_event", "side", "price", "quantity", "commission", "liquidity", "purpose"]
    contract, pair = (runs[name].table("fills")[columns] for name in (kind, "pair"))
    pd.testing.assert_frame_equal(contract, pair)


def refusal(tmp_path: Path, spec: InstrumentSpec, **venue: Any) -> str:
    """Return what a run says that is refused: it writes nothing."""
    MARKET.write(tmp_path / "catalog", spec)
    config = RunConfig.model_validate(given(tmp_path, spec.symbol, **venue))
    with pytest.raises(RefusedRunError) as refused:
        run_backtest(config)
    assert not (tmp_path / "runs").exists()
    return str(refused.value)


def test_a_contract_needs_a_margin_account(tmp_path: Path) -> None:
    said = refusal(tmp_path, PERPETUAL, account_type="cash", leverage=1)
    assert f"account_type must be margin for the perpetual {SYMBOL}, was cash" in said


def test_a_margin_account_needs_the_currency_that_a_contract_settles_in(tmp_path: Path) -> None:
    said = refusal(tmp_path, PERPETUAL, starting_balances=["5 XRP"])
    assert "starting_balances of a margin account must hold some USDT" in said


def test_a_future_that_expires_within_the_data_is_refused(tmp_path: Path) -> None:
    ends = replace(FUTURE, expires_ns=MARKET.start_ns + 200 * 10**9)
    said = refusal(tmp_path, ends)
    assert "XRPUSDT-260327.MADE expires at 2025-12-13T12:03:20" in said
    assert "within the data used, which reaches to 2025-12-13T12:04:59" in said


def test_leverage_bounds_the_position(tmp_path: Path) -> None:
    """One lot of about 1 USDT at half of it over leverage 10 locks 0.05 USDT."""
    run = traded(tmp_path, PERPETUAL, starting_balances=["0.04 USDT"])
    (figures,) = run.summary["symbols"].values()
    assert figures["fills"] == 0
    assert figures["not_quoting"]["bid"]["insufficient balance"]["seconds"] > 200


def test_a_perpetual_without_an_initial_margin_is_warned_of(tmp_path: Path) -> None:
    run = traded(tmp_path, replace(PERPETUAL, margin_init_rate=Decimal(0)))
    assert any("the initial margin of XRPUSDT-PERP is 0 %" in text for text in run.summary["warnings"])


def test_the_check_and_the_list_of_a_catalog_take_it(tmp_path: Path) -> None:
    MARKET.write(tmp_path / "catalog", PERPETUAL)
    assert check_catalog(tmp_path / "catalog").ok
    (entry, *_) = catalog_contents(tmp_path / "catalog")
    assert (entry["instrument"], entry["refused"]) == (PERPETUAL.instrument_id, "")
