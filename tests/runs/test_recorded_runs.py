"""A run that is recorded can be run again from its recording, and what it published is there too."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from nautilus_trader.model import NautilusDataType
from nautilus_trader.persistence import ParquetDataCatalog
from whole_runs import CONFIGS, FinishedRun

from mm_nautilus.checks.config_source import load_config
from mm_nautilus.data.catalog_recorder import CatalogRecorder, RecordingOptions
from mm_nautilus.data.check import check_catalog
from mm_nautilus.runs.assembly import RUN_ID, build_backtest, fee_rates
from mm_nautilus.runs.inputs import prepare

PART = "end=2025-12-13T12:08:00Z"
EXECUTION = [
    *("ts_event", "symbol", "side", "price", "quantity"),
    *("commission", "commission_currency", "liquidity"),
]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the catalog that a run was recorded into; the run's own tables are in the folder above.

    It is not run for run the shipped backtest: a recorder's timer is one more moment at which the engine looks at
    orders that are on their way.
    """
    folder = tmp_path_factory.mktemp("recorded")
    config = load_config(CONFIGS / "v1_4.yaml", [PART]).config
    inputs = prepare(config)
    parts = build_backtest(
        inputs,
        folder,
        catalog={"catalog_path": str(inputs.config.catalog)},
        on_progress=lambda _share: None,
        interrupted=lambda: False,
    )
    recorder = CatalogRecorder(
        RecordingOptions(folder / "catalog", rotate_minutes=3),
        inputs.specs.values(),
        fee_rates=fee_rates(config.venue, inputs.specs),
    )
    parts.node.add_actor(RUN_ID, recorder)
    parts.node.run()
    metrics, _ = parts.metrics.final(inputs.end_ns)
    for row in metrics:
        recorder.write_metrics(row)
        parts.recorder.write_metrics(row)
    parts.recorder.close()
    parts.node.dispose()
    assert parts.failure() is None
    assert recorder.failures == []
    assert recorder.close(), recorder.failure
    return folder / "catalog"


def test_a_backtest_on_the_recording_gives_the_same_fills(
    recorded: Path, finished_run: Callable[..., FinishedRun]
) -> None:
    first = finished_run("v1_4.yaml", PART)
    again = finished_run("v1_4.yaml", f"catalog={recorded}")
    assert len(first.table("fills")) > 50
    pd.testing.assert_frame_equal(again.table("fills"), first.table("fills"))
    assert again.balances == first.balances
    assert check_catalog(recorded).ok


def test_a_recording_announces_its_end_and_the_sample_no_breaks(recorded: Path) -> None:
    sample = load_config(CONFIGS / "v1_4.yaml").config
    assert prepare(sample).broken == frozenset()
    assert prepare(sample.model_copy(update={"catalog": recorded})).broken == set(sample.strategy.symbols)


def test_recorded_fills_are_those_of_the_run(recorded: Path) -> None:
    fills = pd.concat([pd.read_parquet(path) for path in sorted((recorded / "fills").glob("*.parquet"))])
    run = pd.read_parquet(recorded.parent / "fills.parquet")
    known = [(row.client_order_id, row.trade_id) for row in run.itertuples()]
    found = [(row.client_order_id, row.trade_id) for row in fills.itertuples()]
    assert sorted(found) == sorted(known[: len(found)])
    # Those of orders that the strategy sent while it stopped reach no callback.
    assert len(known) - len(found) <= 3
    by_id = run.set_index("trade_id")
    for row in fills.itertuples():
        one = by_id.loc[row.trade_id]
        assert [getattr(row, name) for name in EXECUTION] == [one[name] for name in EXECUTION]
    realized = {symbol: sum(rows.realized_pnl, Decimal(0)) for symbol, rows in fills.groupby("symbol")}
    last = {row["symbol"]: row for row in metrics_rows(recorded)}
    for symbol, pnl in realized.items():
        amount, currency = last[symbol]["realized_pnl"].split()
        assert currency == symbol.partition("/")[2]
        assert Decimal(amount) == pnl


def metrics_rows(catalog: Path) -> list[dict[str, object]]:
    paths = sorted((catalog / "data" / "custom" / "SymbolMetrics").glob("*.parquet"))
    assert len(paths) == 3
    return [row for path in paths for row in pd.read_parquet(path).to_dict("records")]


def test_the_engine_reads_recorded_metrics(recorded: Path) -> None:
    found = ParquetDataCatalog(str(recorded)).query_custom_data(NautilusDataType.Custom("SymbolMetrics"))
    known = pd.read_parquet(recorded.parent / "metrics.parquet")
    assert len(found) == len(known)
    assert sorted((one.data.symbol, one.data.fills, one.data.total_pnl) for one in found) == sorted(
        zip(known.symbol, known.fills, known.total_pnl, strict=True)
    )
    times = [one.data.ts_init for one in found]
    assert times == sorted(times)


def test_recorded_metrics_have_the_schema_of_the_engines_own(recorded: Path, tmp_path: Path) -> None:
    (found, *_) = ParquetDataCatalog(str(recorded)).query_custom_data(
        NautilusDataType.Custom("SymbolMetrics")
    )
    ParquetDataCatalog(str(tmp_path)).write_custom_data([found])
    (theirs,) = (pq.read_schema(path) for path in tmp_path.rglob("*.parquet"))
    ours = pq.read_schema(next((recorded / "data" / "custom" / "SymbolMetrics").glob("*.parquet")))
    assert ours.equals(theirs)
    assert {key: value for key, value in ours.metadata.items() if key != b"recorded_by"} == theirs.metadata
