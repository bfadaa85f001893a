"""The page of a search: it says what the search's files say, and the report command writes it again."""

import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_search import ERROR, KEYS, write_made_search

from mm_nautilus.errors import ConfigError, DataError
from mm_nautilus.report.html import plotly_basic
from mm_nautilus.report.money import signed_amount
from mm_nautilus.search.page import write_search_page


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = write_made_search(tmp_path_factory.mktemp("searches") / "made")
    write_search_page(made)
    return made


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8").replace(plotly_basic(), "")


def figure(page: str, name: str) -> dict[str, Any]:
    found = re.search(rf'<script type="application/json" id="data-{name}">(.*?)</script>', page)
    assert found is not None, name
    return json.loads(found[1])


def trace(page: str, name: str, label: str) -> dict[str, Any]:
    (found,) = [trace for trace in figure(page, name)["data"] if trace["name"] == label]
    return found


def runs(folder: Path, **wanted: Any) -> list[dict[str, Any]]:
    rows = pq.read_table(folder / "trials.parquet").to_pylist()
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def test_the_page_says_the_verdict_first_and_then_why(folder: Path, page: str) -> None:
    verdict = json.loads((folder / "search.json").read_text())["verdict"]
    assert verdict["evidence"]
    inside, outside, last = verdict["lines"]
    assert last.startswith("Evidence on SIMULATED data: the winner makes")
    reason = last.removeprefix("Evidence on SIMULATED data: t")
    texts = [
        "<h1>Evidence on SIMULATED data</h1>",
        f">T{reason}<",
        inside,
        outside,
        "SIMULATED data: profits",
        *(check["text"][1:] for check in verdict["checks"]),
    ]
    sections = [
        f'<section id="{name}">' for name in ("winner", "history", "slices", "front", "folds", "trials")
    ]
    place = 0
    for text in [*texts, *sections]:
        place = page.find(text, place)
        assert place > 0, text


def test_winner_and_base_are_compared_in_and_out_of_sample(folder: Path, page: str) -> None:
    document = json.loads((folder / "search.json").read_text())
    for fold, found in enumerate(document["folds"]):
        for role, words in (("train", "in sample"), ("test", "out of sample")):
            (winner,) = runs(folder, fold=fold, role=role, number=found["winner"])
            (base,) = runs(folder, fold=fold, role=role, number=None)
            row = re.search(rf"<tr><th scope=\"row\">fold {fold + 1}, {words}</th>(.*?)</tr>", page)
            assert row is not None
            cells = re.findall(r">([^<>]+)</td>", row[1])
            amounts = (winner["pnl"], base["pnl"], winner["pnl"] - base["pnl"])
            assert cells[:3] == [signed_amount(amount, "USDT") for amount in amounts]


def test_slices_have_all_completed_runs_in_and_out_of_sample(folder: Path, page: str) -> None:
    hours = {("train", 0): 55 / 60, ("train", 1): 85 / 60, ("test", 0): 0.5, ("test", 1): 0.5}
    for role, words in (("train", "in sample"), ("test", "out of sample")):
        done = [run for run in runs(folder, role=role, state="completed") if run["number"] is not None]
        points = sorted((run[f"param:{KEYS[0]}"], run["pnl"] / hours[role, run["fold"]]) for run in done)
        drawn = trace(page, "slice-0", words)
        assert sorted(zip(drawn["x"], drawn["y"], strict=True)) == [
            pytest.approx(point, rel=1e-6) for point in points
        ]
        assert sum(width > 0 for width in drawn["marker"]["line"]["width"]) == 2
    kinds = [figure(page, f"slice-{number}")["layout"]["xaxis"]["type"] for number in range(3)]
    assert kinds == ["log", "linear", "category"]
    colours = {trace(page, "slice-0", words)["marker"]["color"] for words in ("in sample", "out of sample")}
    assert len(colours) == 2


def test_the_axis_of_amounts_ascends_and_the_levels_span_it(tmp_path: Path) -> None:
    made = write_made_search(tmp_path / "amounts", trials=6, folds=1)
    table = pq.read_table(made / "trials.parquet").to_pylist()
    for row in table:
        row[f"param:{KEYS[0]}"] = ("50 XRP", "100 XRP", "75 XRP")[(row["number"] or 0) % 3]
    pq.write_table(pa.Table.from_pylist(table), made / "trials.parquet")
    text = write_search_page(made).read_text(encoding="utf-8")
    ascending = ["50 XRP", "75 XRP", "100 XRP"]
    axis = figure(text, "slice-0")["layout"]["xaxis"]
    assert (axis["categoryorder"], axis["categoryarray"]) == ("array", ascending)
    level = trace(text, "slice-0", "as it was, in sample")
    assert level["x"] == ascending
    assert len(level["y"]) == 3


def test_words_are_in_the_order_of_the_space(tmp_path: Path) -> None:
    made = write_made_search(tmp_path / "words", trials=6, folds=1)
    document = json.loads((made / "search.json").read_text())
    document["space"]["text"] += f"{KEYS[2]}: [mid, weighted_mid, microprice]\n"
    (made / "search.json").write_text(json.dumps(document))
    text = write_search_page(made).read_text(encoding="utf-8")
    assert figure(text, "slice-2")["layout"]["xaxis"]["categoryarray"] == ["mid", "microprice"]


def test_long_keys_that_begin_alike_are_told_apart(tmp_path: Path) -> None:
    made = write_made_search(tmp_path / "long", trials=6, folds=1)
    long = {
        f"param:{KEYS[0]}": "param:strategy.pricing_parameters.width_bps",
        f"param:{KEYS[1]}": "param:strategy.pricing_parameters.lean_bps",
        f"param:{KEYS[2]}": "param:strategy.symbols.XRP/USDT.pricing_parameters.seed",
    }
    table = pq.read_table(made / "trials.parquet")
    pq.write_table(
        table.rename_columns([long.get(name, name) for name in table.column_names]), made / "trials.parquet"
    )
    drawn = figure(write_search_page(made).read_text(encoding="utf-8"), "parallel")
    heads = [note["text"] for note in drawn["layout"]["annotations"] if note.get("yshift")]
    assert heads == ["pnl", "…width_bps", "…lean_bps", "XRP/USDT…seed"]
    assert drawn["data"][0]["customdata"][1][0] == "pricing_parameters.width_bps"


def test_a_line_of_texts_that_are_numbers_is_its_trials(tmp_path: Path) -> None:
    made = write_made_search(tmp_path / "digits", trials=9, folds=1)
    table = pq.read_table(made / "trials.parquet").to_pylist()
    for row in table:
        row[f"param:{KEYS[0]}"] = ("9", "10", "8")[(row["number"] or 0) % 3]
    pq.write_table(pa.Table.from_pylist(table), made / "trials.parquet")
    drawn = figure(write_search_page(made).read_text(encoding="utf-8"), "parallel")
    found = {line["name"]: [text for _, text in line["customdata"][:2]] for line in drawn["data"]}
    done = [run for run in runs(made, role="train", state="completed") if run["number"] is not None]
    assert found == {f"trial {run['number']}": [f"{run['pnl']:.3g}", run[f"param:{KEYS[0]}"]] for run in done}


def test_history_and_front_follow_the_objectives(folder: Path, page: str) -> None:
    done = [run for run in runs(folder, role="train", fold=1, state="completed") if run["number"] is not None]
    lowest = min(run["objective:inventory"] for run in done)
    assert trace(page, "history-1", "fold 2: best so far")["y"][-1] == pytest.approx(lowest)
    assert 3 not in trace(page, "history-0", "fold 2: trials")["x"]
    front = json.loads((folder / "search.json").read_text())["folds"][1]["front"]
    assert trace(page, "front-0", "front, in sample")["customdata"] == sorted(front)


def test_folds_have_the_sum_of_each_period(folder: Path, page: str) -> None:
    winner = json.loads((folder / "search.json").read_text())["folds"][1]["winner"]
    (run,) = runs(folder, role="test", fold=1, number=winner)
    curves = [it for it in figure(page, "folds")["data"] if it["name"] == "winner, out of sample"]
    assert curves[1]["y"][-1] == pytest.approx(run["pnl"])
    assert curves[1]["x"][-1] == 1_765_627_200_000 + 7_200_000
    assert len(curves[1]["x"]) == len(run["periods"]) + 1
    embargo = trace(page, "folds", "embargo")
    assert embargo["x"] == [300_000, 300_000]


def test_failed_trials_are_listed_with_their_error(page: str) -> None:
    assert page.count("ran out of BTC") == 2
    assert "&lt;script&gt;ran out" in page
    assert ERROR not in page


def test_two_hundred_trials_make_a_small_page(tmp_path: Path) -> None:
    path = write_search_page(write_made_search(tmp_path / "large", trials=200, folds=1, objectives=("pnl",)))
    assert path.stat().st_size - len(plotly_basic()) < 2_000_000
    assert 'id="figure-front-0"' not in path.read_text(encoding="utf-8")


def test_a_search_without_a_winner_has_a_page(tmp_path: Path) -> None:
    path = write_search_page(write_made_search(tmp_path / "cut", status="interrupted"))
    text = path.read_text(encoding="utf-8")
    assert '<h1>No verdict</h1>\n<div id="verdict">\n<p class="answer">No winner was tested</p>' in text
    assert "This search was interrupted" in text


@pytest.mark.parametrize(("trials", "objective"), [(1, "pnl"), (5, "pnl_bps")])
def test_one_trial_or_none_with_a_figure_is_enough(tmp_path: Path, trials: int, objective: str) -> None:
    made = write_made_search(
        tmp_path / "little", trials=trials, folds=1, objectives=(objective,), status="interrupted"
    )
    text = write_search_page(made).read_text(encoding="utf-8")
    assert ('id="data-parallel"' in text) == (objective == "pnl")
    assert 'id="data-slice-2"' in text


def test_a_choice_of_null_is_a_word_among_others(tmp_path: Path) -> None:
    made = write_made_search(tmp_path / "null", trials=6, folds=1)
    table = pq.read_table(made / "trials.parquet").to_pylist()
    for row in table:
        row[f"param:{KEYS[0]}"] = None if row["number"] in (1, None) else 0.5
    pq.write_table(pa.Table.from_pylist(table), made / "trials.parquet")
    text = write_search_page(made).read_text(encoding="utf-8")
    assert set(trace(text, "slice-0", "in sample")["x"]) == {"null", "0.5"}


def test_a_level_of_several_folds_is_their_mean_and_says_so(folder: Path, page: str, tmp_path: Path) -> None:
    bases = runs(folder, role="test", number=None)
    level = trace(page, "slice-0", "as it was, out of sample, mean of folds")["y"]
    assert level[0] == pytest.approx(sum(base["pnl"] / 0.5 for base in bases) / 2, rel=1e-6)
    one = write_search_page(write_made_search(tmp_path / "one", trials=6, folds=1))
    trace(one.read_text(encoding="utf-8"), "slice-0", "as it was, out of sample")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_figures_that_are_no_finite_numbers_are_gaps(tmp_path: Path, value: float) -> None:
    made = write_made_search(tmp_path / "endless", trials=6, folds=2)
    table = pq.read_table(made / "trials.parquet").to_pylist()
    for row in table:
        if row["number"] in (1, None) and row["fold"] == 0:
            row["objective:pnl"] = row["objective:inventory"] = value
            row["periods"] = [value, *row["periods"][1:]]
    pq.write_table(pa.Table.from_pylist(table), made / "trials.parquet")
    text = write_search_page(made).read_text(encoding="utf-8")
    (base,) = runs(made, role="test", fold=1, number=None)
    level = trace(text, "slice-0", "as it was, out of sample")["y"]
    assert level[0] == pytest.approx(base["pnl"] / 0.5, rel=1e-6)
    curve = next(it for it in figure(text, "folds")["data"] if it["name"] == "as it was, in sample")
    assert curve["y"][:2] == [0.0, None]
    for data in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', text):
        json.loads(data, parse_constant=pytest.fail)


def test_the_report_command_writes_the_page_again(folder: Path, command: Any) -> None:
    before = (folder / "report.html").read_bytes()
    (folder / "report.html").unlink()
    done = command("report", folder, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"report": str(folder / "report.html"), "bytes": len(before)}
    assert (folder / "report.html").read_bytes() == before


def test_a_damaged_search_is_refused_by_the_file(tmp_path: Path, command: Any) -> None:
    made = write_made_search(tmp_path / "damaged", trials=6, folds=1)
    (made / "trials.parquet").unlink()
    done = command("report", made)
    assert done.returncode == 2
    assert f"{made} has no trials.parquet: it must be the folder of a search" in done.stderr
    (made / "search.json").write_text("{}")
    with pytest.raises(DataError, match=r"search\.json cannot be read: KeyError\('space'\)"):
        write_search_page(made)


def test_a_missing_optuna_is_named_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = write_made_search(tmp_path / "bare", trials=6, folds=1)
    monkeypatch.setitem(sys.modules, "optuna.visualization", None)
    with pytest.raises(
        ConfigError, match=r"needs optuna; install it with: pip install 'mm-nautilus\[search\]'"
    ):
        write_search_page(made)
    assert not (made / "report.html").exists()
