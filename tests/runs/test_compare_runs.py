"""Runs side by side: what differs, the same figures as each run's own, and nothing compared in silence."""

import io
import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console
from whole_runs import FinishedRun

from mm_nautilus.cli import main
from mm_nautilus.errors import DataError
from mm_nautilus.report.compare import RESULT, Comparison, compare_runs
from mm_nautilus.report.comparison_view import (
    comparison_answer,
    comparison_parts,
    comparison_view,
    plain_comparison,
)
from mm_nautilus.report.figures import sparkline
from mm_nautilus.report.page import render
from mm_nautilus.report.run_folders import short_key

Runs = Callable[..., FinishedRun]

SHORT = "end=2025-12-13T12:05:00Z"


@pytest.fixture
def first(finished_run: Runs) -> FinishedRun:
    return finished_run("v1_4.yaml", SHORT)


@pytest.fixture
def second(finished_run: Runs) -> FinishedRun:
    return finished_run(
        "v1_4.yaml", SHORT, "strategy.symbols.XRP/USDT.gamma=0.3", "strategy.use_trailing_stop=true"
    )


@pytest.fixture
def comparison(first: FinishedRun, second: FinishedRun) -> Comparison:
    return compare_runs([first.outcome.folder, second.outcome.folder])


def test_only_parameters_that_differ_are_listed(comparison: Comparison) -> None:
    assert dict(comparison.parameters) == {
        "strategy.symbols.XRP/USDT.gamma": (None, 0.3),
        "strategy.use_trailing_stop": (False, True),
    }


def test_figures_are_those_of_each_summary(
    comparison: Comparison, first: FinishedRun, second: FinishedRun
) -> None:
    rows = {(row.group, row.name): row for row in comparison.figures}
    for index, run in enumerate((first, second)):
        trading = rows["account", "trading PnL, net of fees"].values[index]
        assert trading == {"trading_pnl": run.summary["equity"]["trading_pnl"]}
        assert rows["XRP/BTC", "fills"].values[index] == {"fills": run.symbol("XRP/BTC")["fills"]}
        quality = run.symbol("BTC/USDT")["fill_quality"]["maker"][2]
        assert quality["seconds"] == 5.0
        shown = rows["BTC/USDT", "mark-out after 5 s"].values[index]
        assert shown == {key: quality[key] for key in ("mark_out_bps", "standard_error_bps")}


def test_runs_that_are_alike_are_compared_without_notes(comparison: Comparison) -> None:
    assert comparison.notes == ()


def test_different_periods_are_noted(first: FinishedRun, finished_run: Runs) -> None:
    longer = finished_run("v1_4.yaml", "end=2025-12-13T12:06:00Z")
    comparison = compare_runs([first.outcome.folder, longer.outcome.folder])
    assert comparison.notes == ("these runs cover different periods",)
    assert dict(comparison.parameters).keys() == {"end"}


def test_a_symbol_that_one_run_lacks_has_dashes(first: FinishedRun, tmp_path: Path) -> None:
    fewer = tmp_path / "fewer"
    shutil.copytree(first.outcome.folder, fewer)
    summary = json.loads((fewer / "summary.json").read_text())
    del summary["symbols"]["XRP/BTC"]
    (fewer / "summary.json").write_text(json.dumps(summary | {"status": "interrupted"}))

    comparison = compare_runs([first.outcome.folder, fewer])

    rows = [row for row in comparison.figures if row.group == "XRP/BTC"]
    assert rows
    assert all(row.texts[1] == "-" and row.values[1] is None for row in rows)
    assert comparison.notes == (f"{tmp_path.name} was interrupted",)


def test_curves_end_at_the_runs_trading_pnl(comparison: Comparison, first: FinishedRun) -> None:
    plain = plain_comparison(comparison)
    curve = plain["runs"][0]["curve"]
    assert curve["trading_pnl"][-1] == pytest.approx(first.summary["equity"]["trading_pnl"])
    assert len(curve["ts_ms"]) == len(curve["trading_pnl"])
    json.dumps(plain, allow_nan=False)


def test_terminal_shows_parameters_figures_and_curves(comparison: Comparison, first: FinishedRun) -> None:
    stream = io.StringIO()
    Console(file=stream, width=200).print(comparison_view(comparison))
    text = stream.getvalue()
    assert text.startswith("SIMULATED data")
    assert re.search(r"strategy\.use_trailing_stop\s+false\s+true", text)
    assert re.search(r"fills\s+\d+\s+\d+", text)
    assert re.search(r"[▁▂▃▄▅▆▇█]{10,}", text)
    label = first.outcome.folder.parent.name
    assert re.search(rf"1\. {label} +\S+ +baseline|2\. {label} +\S+ +baseline", text)
    assert "What differs: strategy.use_trailing_stop (false, true)" in text


def test_a_sparkline_goes_from_the_lowest_to_the_highest(comparison: Comparison) -> None:
    line = sparkline(comparison.runs[0].trading_pnl, 20)
    assert len(line) == 20
    assert {"▁", "█"} <= set(line)


def test_terminal_of_ascii_shows_it_all(
    first: FinishedRun, second: FinishedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(taken, encoding="ascii", write_through=True))
    with pytest.raises(SystemExit) as ended:
        main(["compare", str(first.outcome.folder), str(second.outcome.folder)])
    assert ended.value.code == 0
    text = taken.getvalue().decode("ascii")
    assert re.search(r"bps \+- \d", text)
    assert re.search(r"\| [1-8]{9,} +\|", text)


@pytest.mark.parametrize("count", [0, 1])
def test_one_run_is_not_enough(first: FinishedRun, count: int) -> None:
    with pytest.raises(DataError, match=f"at least two runs, was {count}"):
        compare_runs([first.outcome.folder] * count)


def test_the_same_run_twice_is_refused(first: FinishedRun) -> None:
    with pytest.raises(DataError, match="must differ"):
        compare_runs([first.outcome.folder, first.outcome.folder / ".." / first.outcome.folder.name])


def test_page_carries_the_same_rows(comparison: Comparison) -> None:
    page = render("compare.html.jinja", **comparison_parts(comparison))
    for row in comparison.figures:
        assert row.name in page
        assert all(f">{text}<" in page for text in row.texts)
    assert "SIMULATED data" in page


# -- Names, the baseline and what is better -----------------------------------------------------------------


def copied(run: FinishedRun, parent: Path, folder_name: str, /, **summary: Any) -> Path:
    """Copy a run's folder, with changes of its summary."""
    folder = parent / folder_name
    shutil.copytree(run.outcome.folder, folder)
    told = json.loads((folder / "summary.json").read_text())
    (folder / "summary.json").write_text(json.dumps(told | summary))
    return folder


def labels(*folders: Path) -> list[str]:
    return [run.label for run in compare_runs(folders).runs]


def test_runs_are_called_by_what_was_asked_for(
    first: FinishedRun, second: FinishedRun, tmp_path: Path
) -> None:
    one, two = copied(first, tmp_path / "runs", "a"), copied(second, tmp_path / "runs", "b")
    assert labels(one, two) == ["use_trailing_stop false", "use_trailing_stop true"]
    one, two = copied(first, tmp_path / "first", "a"), copied(second, tmp_path / "edge", "a")
    assert labels(one, two) == ["first", "edge"], "--out first, --out edge"
    two = copied(second, tmp_path / "named", "a", name="stops")
    assert labels(one, two) == ["v1_4", "stops"], "--name stops"
    same = copied(first, tmp_path / "runs", "c"), copied(first, tmp_path / "runs", "d")
    assert labels(*same) == ["c", "d"], "nothing differs"
    assert short_key("strategy.symbols.XRP/USDT.gamma") == "XRP/USDT gamma"
    assert (short_key("venue.fees.maker_fee_pct"), short_key("end")) == ("venue.fees.maker_fee_pct", "end")


def test_a_folder_of_runs_stands_for_all_of_them_and_names_what_it_leaves_out(
    first: FinishedRun, second: FinishedRun, tmp_path: Path
) -> None:
    copied(first, tmp_path / "all", "a")
    copied(second, tmp_path / "all", "b")
    (tmp_path / "all" / "c").mkdir()
    (tmp_path / "all" / "c" / "summary.json").write_text("{")
    single = copied(first, tmp_path / "single", "d", name="other")
    comparison = compare_runs([tmp_path / "all", single])
    assert [run.files.folder.name for run in comparison.runs] == ["a", "b", "d"]
    (note,) = comparison.notes
    assert note.startswith(f"left out: {tmp_path / 'all' / 'c'} cannot be read")


def test_differences_from_the_baseline_say_what_is_better(first: FinishedRun, second: FinishedRun) -> None:
    folders = [first.outcome.folder, second.outcome.folder]
    forth, back = compare_runs(folders), compare_runs(folders, folders[1])
    assert (forth.baseline, back.baseline) == (0, 1)
    rows = {(row.group, row.name): row for row in forth.figures}
    other = {(row.group, row.name): row for row in back.figures}
    opposite = {"better": "worse", "worse": "better", "": ""}
    for key, row in rows.items():
        assert row.deltas[0] is None
        delta, mirrored = row.deltas[1], other[key].deltas[0]
        if delta is not None and mirrored is not None:
            assert (delta.value, delta.verdict) == (-mirrored.value, opposite[mirrored.verdict])
            assert (delta.text == "same") or (delta.text[0] != mirrored.text[0])
    pnl = rows["account", "trading PnL, net of fees"]
    expected = second.summary["equity"]["trading_pnl"] - first.summary["equity"]["trading_pnl"]
    assert pnl.deltas[1] is not None
    assert pnl.deltas[1].value == pytest.approx(expected, abs=1e-12)
    for neutral in ("fills", "equity at the end", "revaluation of the starting balances"):
        delta = rows["account", neutral].deltas[1]
        assert delta is not None
        assert delta.verdict == ""


def changed(run: FinishedRun, **equity: float) -> dict[str, Any]:
    return {"equity": {**run.summary["equity"], **equity}}


def test_more_profit_and_less_drawdown_and_fees_are_better(first: FinishedRun, tmp_path: Path) -> None:
    base = copied(
        first, tmp_path / "base", "a", **changed(first, trading_pnl=1.25, fees=2.0, max_drawdown_pct=0.5)
    )
    more = copied(
        first, tmp_path / "more", "a", **changed(first, trading_pnl=3.5, fees=2.5, max_drawdown_pct=0.25)
    )
    comparison = compare_runs([base, more])
    rows = {row.name: row.deltas[1] for row in comparison.figures if row.group == "account"}
    told = {name: (delta.text, delta.verdict) for name, delta in rows.items() if delta is not None}
    assert told["trading PnL, net of fees"] == ("+$2.25", "better")
    assert told["fees"] == ("+$0.50", "worse")
    assert told["largest drawdown"] == ("-0.250 pp", "better")
    best, differs = comparison_answer(comparison)
    assert best == "Best is more: trading PnL +$3.50, $2.25 more than the baseline, base (+$1.25)."
    assert differs == "All parameters are the same."
    best, _ = comparison_answer(compare_runs([more, base]))
    assert best == "Best is more, the baseline: trading PnL +$3.50, $2.25 more than the next, base."
    other = copied(
        first, tmp_path / "other", "a", period={**first.summary["period"], "end": "2025-12-13T12:06:00Z"}
    )
    assert comparison_answer(compare_runs([base, other]))[0].startswith("Not a fair comparison. Best is base")


def test_many_runs_are_sorted_by_their_result_after_the_baseline(first: FinishedRun, tmp_path: Path) -> None:
    results = (1.0, -2.0, 3.0, 0.5, 2.0, -1.0, 4.0)
    for number, value in enumerate(results):
        copied(first, tmp_path / "all", f"r{number}", name=f"n{number}", **changed(first, trading_pnl=value))
    comparison = compare_runs([tmp_path / "all"])
    assert [run.label for run in comparison.runs] == ["n0", "n6", "n2", "n4", "n3", "n5", "n1"]
    assert not comparison.shows_deltas
    plain = plain_comparison(comparison)
    assert plain["ranking"] == ["n6", "n2", "n4", "n0", "n3", "n5", "n1"]
    assert plain["baseline"] == "n0"
    curves = comparison_parts(comparison)["figures"]["curves"]["data"]
    looks = {(trace["line"]["color"], trace["line"]["dash"]) for trace in curves}
    assert len(looks) == 7
    with pytest.raises(DataError, match=r"--baseline must be one run, was .* holds 7 runs"):
        compare_runs([tmp_path / "all"], tmp_path)


def test_terminal_json_and_page_show_the_same_differences(first: FinishedRun, tmp_path: Path) -> None:
    better = changed(first, trading_pnl=3.5, fees=0.5, max_drawdown_pct=0.01, roi_pct=0.1)
    comparison = compare_runs([first.outcome.folder, copied(first, tmp_path / "better", "a", **better)])
    stream = io.StringIO()
    Console(file=stream, width=200).print(comparison_view(comparison))
    page = render("compare.html.jinja", **comparison_parts(comparison))
    figures = plain_comparison(comparison)["figures"]
    seen = 0
    for row, told in zip(comparison.figures, figures, strict=True):
        delta = row.deltas[1]
        if delta is not None:
            words = f"{delta.text} {delta.verdict}".strip()
            assert told["deltas"][1]["text"] == delta.text
            assert words in stream.getvalue()
            assert f">{words}<" in page
            seen += delta.verdict != ""
    assert seen > 3
    for line in comparison_answer(comparison):
        assert line.replace("'", "&#39;") in page


def of_symbols(run: FinishedRun, **figures: Any) -> dict[str, Any]:
    return {"symbols": {name: {**known, **figures} for name, known in run.summary["symbols"].items()}}


def test_a_halted_run_is_no_sound_one(first: FinishedRun, tmp_path: Path) -> None:
    why = dict.fromkeys(("bid", "ask"), "halted after a drawdown")
    halted = copied(first, tmp_path / "h", "a", **of_symbols(first, halted=True, quoting=why))
    comparison = compare_runs([first.outcome.folder, halted])
    assert comparison.notes == ("h: XRP/USDT, BTC/USDT, XRP/BTC were halted (after a drawdown)",)
    assert comparison_parts(comparison)["statuses"] == ["completed", "completed, 3 halted"]
    assert plain_comparison(comparison)["runs"][1]["halted"] == list(first.summary["symbols"])


def test_any_run_may_be_the_baseline(
    first: FinishedRun, second: FinishedRun, tmp_path: Path, command: Callable[..., Any]
) -> None:
    for number in range(2):
        copied(second, tmp_path / "runs/gamma", f"g{number}", name=f"g{number}")
    base = copied(first, tmp_path / "runs/first", "20251213T120000Z-backtest")
    for given in (base, base.parent, tmp_path / "runs/gamma/g1"):
        code, out, _ = command("compare", tmp_path / "runs/gamma", "--baseline", given, "--json")
        assert code == 0
        document = json.loads(out)
        baselines = [run for run in document["runs"] if run["label"] == document["baseline"]]
        assert [Path(run["folder"]).is_relative_to(given) for run in baselines] == [True]
        assert len(document["runs"]) == (2 if given.name == "g1" else 3)


def test_equal_names_are_told_apart_by_the_shortest_paths(first: FinishedRun, tmp_path: Path) -> None:
    places = ("base/1", "fee/2", "same/3", "same/4")
    folders = [copied(first, tmp_path / place[:-2], place[-1]) for place in places]
    assert labels(*folders) == ["base", "fee", "same/3", "same/4"]
    named = [copied(first, tmp_path / "all", name, name=name[:1]) for name in ("a1", "b1", "c1", "c2")]
    assert labels(*named) == ["a", "b", "c1", "c2"]


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("equity.trading_pnl", "much", 'equity.trading_pnl in summary.json must be a number, was "much"'),
        ("period.start", "gestern", "period.start in summary.json must be a moment with its time zone"),
        ("answer", None, "answer in summary.json must be a mapping of keys, was null"),
        ("total", None, "total in summary.json must be a mapping of keys, was null"),
        ("symbols", [], "symbols in summary.json must be a mapping of keys, was []"),
        ("status", "odd", "status in summary.json must be 'starting', 'running'"),
        ("name", ..., "name in summary.json is missing"),
        ("equity.fees", ..., "equity.fees in summary.json is missing"),
    ],
)
def test_damage_is_named_in_plain_words(
    first: FinishedRun, tmp_path: Path, command: Callable[..., Any], path: str, value: Any, words: str
) -> None:
    damaged = copied(first, tmp_path, "damaged")
    summary = json.loads((damaged / "summary.json").read_text())
    *above, key = path.split(".")
    part = summary[above[0]] if above else summary
    part.pop(key) if value is ... else part.update({key: value})
    (damaged / "summary.json").write_text(json.dumps(summary))
    code, out, err = command("compare", first.outcome.folder, damaged)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith(f"error: {damaged} cannot be read: {words}")


def best_of(run: FinishedRun, parent: Path, **results: float | None) -> str:
    folders = [
        copied(
            run, parent / name, "a", **({"equity": None} if pnl is None else changed(run, trading_pnl=pnl))
        )
        for name, pnl in results.items()
    ]
    return comparison_answer(compare_runs(folders))[0]


def test_all_equal_and_all_left_out_runs_are_named(first: FinishedRun, tmp_path: Path) -> None:
    assert best_of(first, tmp_path / "1", a=1.0, b=2.0, c=2.0) == (
        "Best are b and c: trading PnL +$2.00 each, $1.00 more than the baseline, a (+$1.00)."
    )
    assert best_of(first, tmp_path / "2", a=2.0, b=2.0, c=1.0) == (
        "Best are a, the baseline and b: trading PnL +$2.00 each, $1.00 more than the next, c."
    )
    assert best_of(first, tmp_path / "3", a=1.0, b=None, c=1.5) == (
        "Best is c: trading PnL +$1.50, $0.50 more than the baseline, a (+$1.00). "
        "b is not ranked: its result is not known, as a balance never had a price."
    )


def test_figures_that_differ_look_different(first: FinishedRun, tmp_path: Path) -> None:
    one = copied(first, tmp_path / "one", "a", **changed(first, trading_pnl=1.251, max_drawdown_pct=0.1))
    two = copied(first, tmp_path / "two", "a", **changed(first, trading_pnl=1.252, max_drawdown_pct=0.1004))
    rows = {row.name: row for row in compare_runs([one, two]).figures if row.group == "account"}
    for name, text, verdict in ((RESULT, "+$0.001", "better"), ("largest drawdown", "+0.0004 pp", "worse")):
        delta = rows[name].deltas[1]
        assert delta is not None
        assert (delta.text, delta.verdict) == (text, verdict)
        assert len(set(rows[name].texts)) == 2


def test_what_only_one_kind_of_run_has_is_counted(
    first: FinishedRun, second: FinishedRun, tmp_path: Path
) -> None:
    feed = {"source": "live", "speed": 1}
    sandbox = copied(second, tmp_path / "paper", "a", feed=feed)
    config = yaml.safe_load((sandbox / "config.yaml").read_text())
    config |= {"feed": feed, "web": {"enabled": True}, "compare_fee_pct": 1}
    (sandbox / "config.yaml").write_text(yaml.safe_dump(config))
    comparison = compare_runs([first.outcome.folder, sandbox])
    assert [key for key, _ in comparison.parameters] == [
        "strategy.use_trailing_stop",
        "strategy.symbols.XRP/USDT.gamma",
    ]
    assert set(comparison.of_one_kind) >= {"feed.source", "feed.speed", "web.enabled"}
    assert "parameters that only backtests or only paper trading has" in comparison_answer(comparison)[1]


# -- The commands -------------------------------------------------------------------------------------------


def test_compare_command_prints_json_and_writes_a_page(
    first: FinishedRun, second: FinishedRun, tmp_path: Path, command: Callable[..., Any]
) -> None:
    page = tmp_path / "both.html"
    words = ["compare", str(first.outcome.folder), str(second.outcome.folder), "--json", "--html", str(page)]

    code, out, err = command(*words)

    assert (code, err) == (0, f"written to {page}\n")
    document = json.loads(out)
    assert document["parameters"]["strategy.use_trailing_stop"] == [False, True]
    assert len(document["runs"]) == 2
    assert page.read_text().startswith("<!DOCTYPE html>")
    code, _, err = command(*words)
    assert code == 2
    assert "--force replaces it" in err


def test_report_command_writes_the_page(first: FinishedRun, command: Callable[..., Any]) -> None:
    path = first.outcome.folder / "report.html"
    path.unlink(missing_ok=True)
    code, out, err = command("report", str(first.outcome.folder))
    assert (code, out, err) == (0, "", f"written to {path}\n")
    code, out, _ = command("report", str(first.outcome.folder), "--json")
    assert code == 0
    assert json.loads(out) == {"report": str(path), "bytes": path.stat().st_size}
