"""A search on a catalog in an object store finds what it finds on the same catalog in a folder."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from object_store import BUCKET, object_store, reach
from small_search import SMALL, search, write_small

from mm_nautilus.checks.config_source import load_config
from mm_nautilus.data.simulator import write_sample
from mm_nautilus.runs.backtest import run_backtest
from mm_nautilus.search.plan import reopen
from mm_nautilus.search.trial import fills_digest
from mm_nautilus.system.store_url import StoreUrl

pytestmark = pytest.mark.long
URL = f"s3://{BUCKET}/small"
GRID = ["strategy.min_spread_pct=0.05, 0.07"]


def rows(folder: Path) -> list[dict[str, Any]]:
    return pq.read_table(folder / "trials.parquet").drop_columns(["started", "seconds"]).to_pylist()


def test_a_search_in_a_store_is_that_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config = write_small(tmp_path)
    local = search(config, GRID)
    with object_store() as address:
        reach(monkeypatch, address)
        write_sample(StoreUrl(URL), SMALL)
        stored = search(config, GRID, overrides=[f"catalog={URL}"], storage=f"sqlite:///{tmp_path}/trials.db")
        assert rows(stored.folder) == rows(local.folder)
        assert stored.document["verdict"] == local.document["verdict"]
        assert stored.document["data"] == local.document["data"] | {"catalog": URL}
        assert reopen(stored.folder).data == stored.document["data"]
        best = load_config(stored.folder / "best.yaml", [f"output.directory={tmp_path}"]).config
        fills = pq.read_table(run_backtest(best).folder / "fills.parquet")
    assert fills_digest(fills) == local.document["best"]["fills_digest"]
