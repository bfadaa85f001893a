"""Linear contracts: money by hand from the fills is the summary, the tables, the report and the account."""

import json
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from made_markets import MadeMarket, instrument
from whole_runs import FinishedRun, fills_digest

from mm_nautilus.checks.refusals import RefusedRunError
from mm_nautilus.config.run import RunConfig, as_yaml_values
from mm_nautilus.data.book_tops import BookReplay
from mm_nautilus.data.catalog import CatalogReader, catalog_contents
from mm_nautilus.data.check import check_catalog
from mm_nautilus.data.export import export_catalog
from mm_nautilus.data.funding import FundingRate, write_rates
from mm_nautilus.data.instrument_file import load_instrument
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.runs.backtest import run_backtest
from mm_nautilus.runs.inputs import prepare

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
    assert parts["maker_fees"] + parts["taker_fees"] + parts.get("other_fees", 0) == -fees
    assert parts["unattributed"] == 0
    assert figures["orders_denied"] == 0


@pytest.mark.parametrize("kind", ["perpetual", "future"])
def test_a_contract_is_traded_as_its_pair_on_a_margin_account(
    runs: dict[str, FinishedRun], kind: str
) -> None:
    columns = ["ts_event", "side", "price", "quantity", "commission", "liquidity", "purpose"]
    contract, pair = (runs[name].table("fills")[columns] for name in (kind, "pair"))
    pd.testing.assert_frame_equal(contract, pair)


SECOND = 10**9
PAYMENTS = {60: Decimal("0.001"), 150: Decimal("-0.0005"), 240: Decimal("0.002")}
"""The rates, by the seconds after the start at which they are paid."""


def stored_funding(folder: Path) -> None:
    """Add funding rates to the perpetual's catalog: each known for a minute, the first before the data begins."""
    rates = [
        FundingRate(MARKET.start_ns + (at - 61) * SECOND, rate, MARKET.start_ns + at * SECOND)
        for at, rate in PAYMENTS.items()
    ]
    write_rates(folder, PERPETUAL, rates)


def mid_at(run: FinishedRun, at: int) -> Decimal:
    """Return the mid of the last book up to a second after the start."""
    (book,) = CatalogReader(run.config.catalog).iter_deltas(SYMBOL, end=MARKET.start_ns + at * SECOND)
    tops = BookReplay().apply(book)
    return Decimal(int(tops.bid[-1] + tops.ask[-1])) * PERPETUAL.price_increment / 2


def paid_by_hand(run: FinishedRun, payments: dict[int, Decimal]) -> list[Decimal]:
    """Return each payment, negative if paid: the position then times the mid then times the rate, to 1e-8."""
    fills, paid = run.table("fills"), []
    for at, rate in payments.items():
        before = fills[fills.ts_event.astype("int64") <= MARKET.start_ns + at * SECOND]
        position, _, _ = by_hand(before)
        paid.append(-(position * mid_at(run, at) * rate).quantize(Decimal("1e-8")))
    return paid


@pytest.fixture(scope="module")
def funded(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """The perpetual with funding rates in its catalog."""
    folder = tmp_path_factory.mktemp("funded")
    stored_funding(folder / "catalog")
    return traded(folder, PERPETUAL)


def test_funding_changes_the_account_by_what_is_reckoned_by_hand_and_no_trade(
    runs: dict[str, FinishedRun], funded: FinishedRun
) -> None:
    plain = runs["perpetual"]
    assert fills_digest(plain.table("fills")) == fills_digest(funded.table("fills"))
    paid = paid_by_hand(funded, PAYMENTS)
    assert sum(amount != 0 for amount in paid) >= 2
    total, equity = sum(paid), funded.summary["equity"]
    (figures,) = funded.summary["symbols"].values()
    assert exact(figures["exact"]["funding"]) == exact(equity["exact"]["funding"]) == total
    assert funded.balances["USDT"] == plain.balances["USDT"] + total
    assert exact(equity["exact"]["end"]) == exact(plain.summary["equity"]["exact"]["end"]) + total
    for key in ("trading_pnl", "revaluation", "start"):
        assert equity["exact"][key] == plain.summary["equity"]["exact"][key]
    assert figures["exact"]["realized_pnl"] == plain.symbol(SYMBOL)["exact"]["realized_pnl"]
    assert funded.summary["answer"]["exact"] == plain.summary["answer"]["exact"]
    last = funded.table("equity").iloc[-1]
    assert last.funding == total
    assert last.equity == 500 + last.trading_pnl + last.revaluation + last.funding
    assert exact(funded.table("metrics").funding.iloc[-1]) == total
    assert not any("funding" in text for text in funded.summary["warnings"])
    assert any(f"no funding of {SYMBOL} is paid" in text for text in plain.summary["warnings"])


def test_funding_of_no_perpetual_is_warned_of(tmp_path: Path) -> None:
    MARKET.write(tmp_path / "catalog", PAIR)
    config = RunConfig.model_validate(
        {**given(tmp_path, PAIR.symbol), "funding": {"rate_pct": 0.01, "every_hours": 8}}
    )
    text = "funding has no effect: perpetuals pay it, and there is none among XRP/USDT"
    assert any(text in warning for warning in prepare(config).warnings)


def test_the_command_pays_as_much(tmp_path: Path, funded: FinishedRun) -> None:
    """A process of its own, which has not loaded what other tests have."""
    values = as_yaml_values(given(tmp_path, SYMBOL))
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(values))
    stored_funding(tmp_path / "catalog")
    MARKET.write(tmp_path / "catalog", PERPETUAL)
    words = [str(Path(sys.executable).with_name("mm-nautilus")), "backtest", str(tmp_path / "run.yaml")]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "runs").glob("*/summary.json")
    paid = json.loads(path.read_text())["equity"]["exact"]["funding"]
    assert paid == funded.summary["equity"]["exact"]["funding"]
    assert ", funding -$0.00" in done.stdout.replace("\n", " ")
    assert "funding" in (path.parent / "report.html").read_text()


def test_each_payment_is_booked_at_its_time(funded: FinishedRun) -> None:
    metrics = funded.table("metrics").drop_duplicates("funding")
    booked = {
        (row.ts_event.value - MARKET.start_ns) // SECOND: exact(row.funding) for row in metrics.itertuples()
    }
    paid = dict(zip(PAYMENTS, paid_by_hand(funded, PAYMENTS), strict=True))
    total, expected = Decimal(0), []
    for at, amount in paid.items():
        total += amount
        if amount:
            expected.append((at, total))
    assert list(booked.items())[1:] == expected


def test_a_constant_rate_is_paid_at_every_whole_multiple(tmp_path: Path) -> None:
    MARKET.write(tmp_path / "catalog", PERPETUAL)
    stored_funding(tmp_path / "catalog")
    values = given(tmp_path, SYMBOL) | {"funding": {"rate_pct": 0.3, "every_hours": 0.025}}
    config = RunConfig.model_validate(values)
    run = FinishedRun(config, run_backtest(config))
    paid = paid_by_hand(run, {at: Decimal("0.003") for at in (90, 180, 270)})
    assert any(paid)
    assert exact(run.summary["equity"]["exact"]["funding"]) == sum(paid)


def test_stored_rates_are_read_again_only_if_their_file_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    MARKET.write(tmp_path / "catalog", PERPETUAL)
    stored_funding(tmp_path / "catalog")
    config = RunConfig.model_validate(given(tmp_path, SYMBOL))
    known = prepare(config).funding
    with monkeypatch.context() as unreadable:
        unreadable.delattr("mm_nautilus.data.funding.read_batches")
        assert prepare(config).funding == known
    (path,) = (tmp_path / "catalog" / "data" / "funding_rates").rglob("*.parquet")
    pq.write_table(pq.read_table(path)[:1], path)
    assert prepare(config).funding == {SYMBOL: known[SYMBOL][:1]}


def funding_row(folder: Path, **changes: Any) -> None:
    stored_funding(folder)
    (path,) = (folder / "data" / "funding_rates").rglob("*.parquet")
    table = pq.read_table(path)
    for name, value in changes.items():
        column = pa.array([value, *table.column(name).to_pylist()[1:]], table.schema.field(name).type)
        table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), column)
    pq.write_table(table, path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"next_funding_ns": None}, "must have the time of its payment (next_funding_ns), was null"),
        ({"next_funding_ns": 5}, "must come before its payment, was for 1970-01-01T00:00:00"),
        ({"rate": "1e-4x"}, "must be a number, was 1e-4x"),
        ({"rate": "1.5"}, "must be a fraction of the position's value, was 1.5"),
    ],
)
def test_a_funding_rate_that_cannot_be_paid_is_refused_before_the_run(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    funding_row(tmp_path / "catalog", **changes)
    said = refusal(tmp_path, PERPETUAL)
    (problem,) = check_catalog(tmp_path / "catalog").problems
    assert (problem.kind, problem.instrument_id) == ("funding", PERPETUAL.instrument_id)
    assert words in problem.text
    assert "the funding rate of 2025-12-13T11:59:59" in said
    assert words in said


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


def test_its_export_is_the_same_perpetual(tmp_path: Path) -> None:
    MARKET.write(tmp_path / "catalog", PERPETUAL)
    export_catalog(tmp_path / "catalog", tmp_path / "out")
    (path,) = (tmp_path / "out").glob("*.yaml")
    assert load_instrument(path, {}).spec == PERPETUAL


def test_the_check_and_the_list_of_a_catalog_take_it(tmp_path: Path) -> None:
    MARKET.write(tmp_path / "catalog", PERPETUAL)
    assert check_catalog(tmp_path / "catalog").ok
    (entry, *_) = catalog_contents(tmp_path / "catalog")
    assert (entry["instrument"], entry["refused"]) == (PERPETUAL.instrument_id, "")
