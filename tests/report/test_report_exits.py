"""Trailing stops of a run whose tables were cut off."""

import json
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mm_nautilus.report.exits import trail_paths
from mm_nautilus.report.fill_rows import FillRows
from mm_nautilus.report.run_files import RunFiles


def stopped(trade_id):
    one = np.ones(1)
    return FillRows(
        symbol="A/B",
        ts_ns=np.array([2_000_000_000]),
        trade_ids=[trade_id],
        direction=-one,
        is_maker=np.array([False]),
        purposes=["trailing_stop"],
        price=one,
        quantity=one,
        fee=0 * one,
        mid=one,
        later_mid=one,
        trade_pnl=one,
        closed=one,
        entry_price=one,
        opened_ns=np.array([1_000_000_000]),
        open_fees=0.0,
    )


def test_an_exit_whose_moment_is_not_in_the_markets_table_is_left_out(tmp_path):
    (tmp_path / "summary.json").write_text(json.dumps({"symbols": {}}))
    (tmp_path / "config.yaml").write_text("name: a\n")
    moments = [datetime.fromtimestamp(second, UTC) for second in (1, 2)]
    market = {
        "ts_event": pa.array(moments, pa.timestamp("ns", tz="UTC")),
        "symbol": ["A/B", "A/B"],
        "trade_id": [None, "T-1"],
        **{name: [1.0, 1.0] for name in ("best_bid", "best_ask", "trailing_stop_price")},
    }
    pq.write_table(pa.table(market), tmp_path / "market.parquet")
    files = RunFiles.read(tmp_path)

    found = trail_paths(files, {"A/B": stopped("T-1"), "C/D": stopped("T-2")})

    assert [path.symbol for path in found] == ["A/B"]
