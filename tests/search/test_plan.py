"""What a search is: its windows around the embargo of the whole space, and the same again from its folder."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from small_search import InProcess, write_small

from mm_nautilus.errors import ConfigError
from mm_nautilus.search.plan import Draft, Plan, SearchOptions, draft, reopen
from mm_nautilus.search.processes import registered_worker
from mm_nautilus.search.run_search import resume_search
from mm_nautilus.search.search_files import SEARCH
from mm_nautilus.search.study import FoldStudy, open_storage

GRID = ("strategy.min_spread_pct=0.04, 0.06, 0.08", "strategy.fair_price=mid, weighted_mid")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small(tmp_path_factory.mktemp("plan"))


def drafted(config: Path, *grid: str, **options: Any) -> Draft:
    return draft(SearchOptions(config, config.parent / "searches", grid=grid, **options))


def saved(plan: Plan, folder: Path, trials: Mapping[str, int] | None = None, **more: Any) -> Path:
    """Write what a search's folder has from its beginning."""
    folder.mkdir(exist_ok=True)
    plan.save(folder)
    document = plan.document() | {"trials": {"asked_per_fold": plan.trials, **(trials or {})}} | more
    (folder / SEARCH).write_text(json.dumps(document))
    return folder


def test_the_embargo_is_that_of_the_whole_space(config: Path):
    grid = ("strategy.max_position_seconds=10, 30", "strategy.symbols.XRP/USDT.volatility_lookback=2, 3")
    found = drafted(config, *grid, overrides=["strategy.max_position_seconds=20"])
    assert found.unbounded is None
    plan = found.plan(0.0)
    assert plan.embargo_seconds == 30.0 + 3 * 60.0
    (fold,) = plan.windows.folds
    assert fold.test.start_ns - fold.train.end_ns == pytest.approx(210e9, abs=2_000)


LEAN = """\
from mm_nautilus.pricing.pricing_model import PricedQuote


def leaning(market, position, params):
    width = params.pricing_parameters["width_bps"] * 1e-4 * market.mid_price
    return PricedQuote(market.mid_price, width, width)
"""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "strategy.max_inventory: {low: 10 BTC, high: 20 BTC, step: 5 BTC}",
            [
                r"max_inventory must be in XRP, USDT.*, was 10 BTC",
                r"max_inventory must be in XRP.*, was 20 BTC",
            ],
        ),
        ("strategy.class: ['a:b', 'c:d']", [r"strategy\.class: class must .*a:b", r"class must .*c:d"]),
        ("strategy.class: ['picky:Picky', 'c:d']", [r"strategy\.class: class must .*c:d"]),
        ("strategy.pricing: ['lean:leaning', 'lean:other']", [r"pricing: pricing must .*lean:other"]),
        (
            "strategy.symbols.XRP/USDT.pricing_parameters.lean_bps: {low: 1, high: 2}",
            [r"pricing must price the catalog's first book, .*KeyError.*'width_bps'"] * 2,
        ),
    ],
)
def test_values_that_do_not_fit_the_catalog_are_refused_with_their_line(
    config: Path, tmp_path: Path, line: str, expected: list[str]
):
    (config.parent / "lean.py").write_text(LEAN)
    space = tmp_path / "space.yaml"
    space.write_text(f"strategy.fair_price: [mid, weighted_mid]\n{line}\n")
    pricing = "strategy.pricing=lean:leaning", "strategy.pricing_parameters={width_bps: 3}"
    with pytest.raises(ConfigError) as error:
        drafted(config, space=space, overrides=pricing)
    for text, pattern in zip(error.value.problems, expected, strict=True):
        assert re.fullmatch(rf"{re.escape(str(space))}:2: .*{pattern}.*", text), text


def test_an_end_of_a_range_that_fits_with_another_value_of_the_space_is_taken(config: Path):
    (config.parent / "lean.py").write_text(LEAN)
    pricing = "strategy.pricing=lean:leaning", "strategy.pricing_parameters={seed: 3}"
    grid = "strategy.pricing_parameters.width_bps=2,3", "strategy.gamma=0.1,0.2"
    assert drafted(config, *grid, overrides=pricing).space.size == 4


def test_a_window_that_no_estimate_uses_does_not_lengthen_the_embargo(config: Path):
    keys = {
        "volatility_lookback": "2, 3",
        "max_position_seconds": "10, 30",
        "recalibrate_window_minutes": "5, 9",
    }
    grid = [f"strategy.symbols.XRP/USDT.{key}={values}" for key, values in keys.items()]
    assert drafted(config, *grid).plan(0.0).embargo_seconds == 30.0 + 3 * 60.0


def test_an_age_that_nothing_bounds_is_taken_from_the_run_before_the_first_test(config: Path):
    found = drafted(config, "strategy.max_position_seconds=30, null")
    task = found.unbounded
    assert task is not None
    assert task.values["strategy"]["max_position_seconds"] == 60  # the configuration as it was
    assert task.window.seconds == pytest.approx(found.span.seconds / 2, abs=1.0)
    assert found.plan(90.0).embargo_seconds == 210.0
    with pytest.raises(ConfigError, match=r"a position became 900 s old, which strategy\.max_position_sec"):
        found.plan(900.0)


def test_a_search_is_the_same_again_from_its_folder(config: Path, tmp_path: Path):
    plan = drafted(config, *GRID, folds=2, objectives=("pnl", "inventory"), seed=3).plan(0.0)
    assert (plan.trials, plan.sampler) == (6, "grid")
    again = reopen(saved(plan, tmp_path))
    assert replace(again, space=plan.space) == plan
    assert (again.space.dimensions, again.space.source.values) == (
        plan.space.dimensions,
        plan.space.source.values,
    )
    assert again.task({"strategy.min_spread_pct": 0.04}, plan.windows.folds[0].train) == plan.task(
        {"strategy.min_spread_pct": 0.04}, plan.windows.folds[0].train
    )
    assert reopen(tmp_path, trials=100).trials == 6  # there are no more
    with pytest.raises(ConfigError, match="--trials must be at least 6, what the search had, was 5"):
        reopen(tmp_path, trials=5)


@pytest.mark.parametrize(
    "url", ["postgresql://me:secret@db/searches", "postgresql://db/searches?user=me&password=secret"]
)
def test_a_password_is_not_kept_and_asked_for_again(config: Path, tmp_path: Path, url: str):
    saved(drafted(config, *GRID, storage=url).plan(0.0), tmp_path)
    assert "secret" not in (tmp_path / SEARCH).read_text()
    with pytest.raises(ConfigError, match="--storage must be given again, as passwords are not kept"):
        reopen(tmp_path)
    assert reopen(tmp_path, storage=url).storage == url


def test_the_path_of_a_database_is_the_same_from_every_folder(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    plan = drafted(config, *GRID, storage="sqlite:///trials.db").plan(0.0)
    assert plan.storage == f"sqlite:///{tmp_path}/trials.db"
    assert reopen(saved(plan, tmp_path), storage="sqlite:///trials.db").storage == plan.storage
    for url in ("sqlite:////absolute/trials.db", "sqlite:///:memory:", "postgresql:///trials"):
        assert drafted(config, *GRID, storage=url).plan(0.0).storage == url


@pytest.mark.parametrize("database", [None, "trials.db"])
def test_a_storage_that_has_lost_trials_is_refused_and_not_begun_anew(
    config: Path, tmp_path: Path, database: str | None
):
    file = tmp_path / (database or "study.journal")
    url = database and f"sqlite:///{file}"
    plan = drafted(config, *GRID, storage=url).plan(0.0)
    saved(plan, tmp_path, id="made", trials={"completed": 2, "failed": 1, "refused": 0})

    def resume() -> None:
        resume_search(reopen(tmp_path), tmp_path, InProcess(), lambda _done, _total, _words: None)

    with pytest.raises(ConfigError, match=f"^{file} must be there, as it has the trials of the search, was "):
        resume()
    assert not file.exists()
    with open_storage(url, tmp_path) as storage, registered_worker(tmp_path) as worker:
        FoldStudy(plan, 0, storage, "other", worker)
    with pytest.raises(ConfigError, match=f"{file} must have the 3 trials of made, had 0$"):
        resume()


def test_another_version_of_what_runs_the_trials_is_refused(config: Path, tmp_path: Path):
    saved(drafted(config, *GRID).plan(0.0), tmp_path)
    document = json.loads((tmp_path / SEARCH).read_text())
    now = document["versions"]["nautilus_trader"]
    document["versions"]["nautilus_trader"] = "1.0"
    (tmp_path / SEARCH).write_text(json.dumps(document))
    expected = f"nautilus_trader must be 1.0, as at the search's begin, was {now}"
    with pytest.raises(ConfigError, match=f"^{expected}$"):
        reopen(tmp_path)


def test_a_changed_module_is_refused(tmp_path: Path):
    saved(drafted(write_small(tmp_path, **{"class": "picky:Picky"}), *GRID).plan(0.0), tmp_path / "kept")
    assert Path("picky.py") in reopen(tmp_path / "kept").files
    with (tmp_path / "picky.py").open("a") as module:
        module.write("# better\n")
    with pytest.raises(
        ConfigError, match=r"picky\.py must be what it was at the search's begin, .*kept.picky\.py"
    ):
        reopen(tmp_path / "kept")


@pytest.mark.parametrize("name", ["config.yaml", "space.yaml"])
def test_a_configuration_or_space_that_was_edited_is_refused(config: Path, tmp_path: Path, name: str):
    saved(drafted(config, *GRID).plan(0.0), tmp_path)
    path = tmp_path / name
    path.write_text(path.read_text().replace("0.08", "0.07"))
    expected = rf"^{path} must be what it was at the search's begin \(hash \w{{16}}\), was changed$"
    with pytest.raises(ConfigError, match=expected):
        reopen(tmp_path)
    path.unlink()
    with pytest.raises(ConfigError, match=r"\(hash \w{16}\), was not there$"):
        reopen(tmp_path)


def test_a_changed_catalog_or_a_damaged_file_is_refused(tmp_path: Path):
    saved(drafted(write_small(tmp_path), *GRID).plan(0.0), tmp_path)
    (trades,) = (tmp_path / "catalog" / "data" / "trades").glob("XRPUSDT*/*.parquet")
    table = pq.read_table(trades)
    pq.write_table(table.slice(0, len(table) - 1), trades)
    with pytest.raises(
        ConfigError, match=r"must be what it was at the search's begin \(hash \w{16}\), was chang"
    ):
        reopen(tmp_path)
    (tmp_path / SEARCH).write_text("{}")
    with pytest.raises(ConfigError, match=r"is not the file of a search: KeyError\('files'\)"):
        reopen(tmp_path)
