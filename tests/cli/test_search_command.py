"""The `search` command as a user runs it: output, messages, exit codes, and what signals leave."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_search import ERROR, write_made_search
from small_search import write_small

from mm_nautilus.cli.completion import search_names
from mm_nautilus.cli.search import print_search
from mm_nautilus.errors import StoppedRunError
from mm_nautilus.search.run_search import SearchOutcome

ROOT = Path(__file__).resolve().parents[2]
SPACE = """\
strategy.min_spread_pct: {low: 0.03, high: 0.1}
strategy.cooldown_seconds: {low: 1, high: 5, step: 1}
"""
GATED = """\
import time
from pathlib import Path

from mm_nautilus import MarketMaker

CLOSED, STARTS = (Path(__file__).with_name(name) for name in ("closed", "starts"))


class Gated(MarketMaker):
    def on_start(self):
        super().on_start()
        if CLOSED.exists():
            with STARTS.open("a") as starts:
                starts.write(".")
            while CLOSED.exists() and len(STARTS.read_text()) == 5:
                time.sleep(0.01)
"""
"""A strategy whose fifth run waits while a file is there: with one job, it is the third trial."""
SEARCH = ("search", "small.yaml", "space.yaml", "--jobs", "1", "--trials", "4", "--seed", "3")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search")
    write_small(folder, **{"class": "gated:Gated"})
    (folder / "gated.py").write_text(GATED)
    (folder / "space.yaml").write_text(SPACE)
    return folder


@pytest.fixture
def there(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(place)
    return place


def begun(place: Path, *words: str) -> subprocess.Popen[str]:
    """Begin a search in a process of its own, whose signals reach no other one."""
    return subprocess.Popen(
        [sys.executable, "-m", "mm_nautilus.cli", *words],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def results(journal: Path) -> int:
    """Return how many trials have a result."""
    return journal.read_text().count('"user_attr":{"result":') if journal.exists() else 0


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def rows(folder: Path) -> list[dict[str, Any]]:
    """Return what was run and what it came to, without when, and without the numbers of trials."""
    found = pq.read_table(folder / "trials.parquet").drop_columns(["started", "seconds", "number"])
    return found.to_pylist()


# -- What is refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "CONFIG must be the YAML file of a run, was left out"),
        (("small.yaml",), "one of SPACE and --grid must be given, was neither"),
        (
            ("small.yaml", "space.yaml", "--grid", "strategy.gamma=1"),
            "one of SPACE and --grid must be given, was both, space.yaml and strategy.gamma=1",
        ),
        (("small.yaml", "space.yaml", "--jobs", "0"), "--jobs must be at least 1, was 0"),
        (("small.yaml", "space.yaml", "--trials", "0"), "--trials must be at least 1, was 0"),
        (("small.yaml", "space.yaml", "--folds", "0"), "--folds must be at least 1, was 0"),
        (("small.yaml", "space.yaml", "--seed", "-1"), "--seed must be 0 or more, was -1"),
        (
            ("small.yaml", "space.yaml", "--train-share", "0.99"),
            "--train-share must be from 0.25 to 0.9, was 0.99",
        ),
        (("small.yaml", "space.yaml", "--objective", "pnll"), "did you mean pnl?, was pnll"),
        (
            ("small.yaml", "--grid", "strategy.gamma=0.1,0.2", "--trials", "5"),
            "--trials must be left out with --grid, which tries every point once, was 5",
        ),
        (
            ("small.yaml", "--grid", "strategy.gama=0.1"),
            "--grid strategy.gama: unknown key gama (did you mean",
        ),
        (
            ("small.yaml", "space.yaml", "--out", "small.yaml"),
            "--out must be a writable folder, was small.yaml: Not a directory",
        ),
        (
            ("small.yaml", "space.yaml", "--storage", "nonsense"),
            "--storage must be the URL of a database that Optuna can use, was nonsense: ",
        ),
        (("small.yaml", "space.yaml", "--folds", "40"), "the data must be at least 40 min long for 40 folds"),
        (("--resume", "20261129"), "--resume must be a search in searches (there is none), was 20261129"),
        (
            ("small.yaml", "--resume", "20261129", "--seed", "1"),
            "must stand without what is part of that, was beside CONFIG, --seed",
        ),
        (
            ("small.yaml", "space.yaml", "--ray", "auto", "--jobs", "2"),
            "--jobs must be left out with --ray, whose cluster decides, was 2",
        ),
    ],
)
def test_what_cannot_be_searched_is_refused(command, there: Path, words: tuple[str, ...], expected: str):
    ended = command("search", *words)
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: ")
    assert expected in line
    assert not (there / "searches").exists()


def test_all_problems_of_options_and_configuration_come_at_once(command, there: Path):
    ended = command("search", "small.yaml", "--trials", "0", "--seed", "-1", "--set", "strategy.gama=1")
    assert ended.returncode == 2
    assert [line.partition(" must")[0] for line in ended.stderr.splitlines()[:3]] == [
        *("error: one of SPACE and --grid", "error: --trials", "error: --seed")
    ]
    assert "unknown key gama" in ended.stderr


def test_a_missing_optuna_is_named(command, there: Path, monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "optuna"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "mm_nautilus.search.study", raising=False)
    monkeypatch.delitem(sys.modules, "mm_nautilus.search.run_search", raising=False)

    class Missing:
        def find_spec(self, name: str, *_more: object) -> None:
            if name.partition(".")[0] == "optuna":
                raise ModuleNotFoundError(name, name="optuna")

    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    ended = command(*SEARCH)
    assert ended.returncode == 2
    assert ended.stderr == (
        "error: a search needs optuna; install it with: pip install 'mm-nautilus[search]'\n"
    )


def test_a_shell_completes_the_names_of_searches_the_last_one_first(tmp_path: Path):
    class Context:
        params = {"out": tmp_path}  # noqa: RUF012
        args: tuple[str, ...] = ()

    names = ["20261128T120000Z-small", "20261129T120000Z-small", "20260101T120000Z-other"]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "search.json").touch()
    (tmp_path / "20261130T120000Z-empty").mkdir()
    assert search_names(Context, "202611") == [names[1], names[0]]  # type: ignore[arg-type]


def test_the_terminal_names_winners_failures_and_refusals(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = write_made_search(tmp_path / "made", trials=6)
    document = json.loads((folder / "search.json").read_text())
    table = pq.read_table(folder / "trials.parquet").to_pylist()
    table[-1] |= {"state": "refused", "error": "no such point"}
    pq.write_table(pa.Table.from_pylist(table), folder / "trials.parquet")
    print_search(SearchOutcome(document, folder), as_json=False, quiet=False)
    table_head, lines = (out := capsys.readouterr().out.splitlines())[1], out[-8:]
    assert re.split(" {2,}", table_head.strip()) == ["PnL, in sample", "PnL, out of sample"]
    for fold, found in enumerate(document["folds"]):
        (run,) = [
            run
            for run in table
            if (run["fold"], run["role"], run["number"]) == (fold, "train", found["winner"])
        ]
        assert lines[fold].startswith(
            f"winner of fold {fold + 1}: strategy.gamma={run['param:strategy.gamma']:.6g}, "
        )
    assert lines[2:] == [
        "Of the trials that no other one beats in all of pnl, inventory, the winner has the best pnl.",
        f"2 of 60 trials failed, such as: {ERROR}",
        "1 of the points was refused: no such point",
        *document["verdict"]["lines"],
    ]


def test_a_second_signal_takes_nothing_back_of_what_the_first_one_said(command, tmp_path: Path, monkeypatch):
    """It comes while the runner ends its processes, after the search has."""

    @contextmanager
    def slow_to_end(*_settings: Any):
        try:
            yield
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    def stopped(*_arguments: Any):
        raise StoppedRunError("what had ended is saved", 130, None)

    monkeypatch.setattr("mm_nautilus.cli.search._runner", slow_to_end)
    monkeypatch.setattr("mm_nautilus.cli.search._new", lambda *_settings, **_words: stopped)
    before = signal.getsignal(signal.SIGINT)
    code, out, err = command("search", "any.yaml", "--out", str(tmp_path))
    assert (code, out, err.strip()) == (130, "", "what had ended is saved")
    assert signal.getsignal(signal.SIGINT) is before


# -- Searches -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(place: Path) -> tuple[Path, str, str]:
    """A search that nothing interrupts: its folder and what it printed."""
    process = begun(place, *SEARCH, "--out", "whole")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    (folder,) = (place / "whole").iterdir()
    return folder, out, err


@pytest.mark.long
def test_it_prints_a_table_and_the_verdict(whole: tuple[Path, str, str]):
    folder, out, err = whole
    document = json.loads((folder / "search.json").read_text())
    *_, winner, inside, outside, last = out.splitlines()
    assert [inside, outside, last] == document["verdict"]["lines"]
    assert "vidence on SIMULATED data: " in last
    best = document["best"]["parameters"]
    width, pause = (best[f"strategy.{key}"] for key in ("min_spread_pct", "cooldown_seconds"))
    assert winner == f"winner: strategy.min_spread_pct={width:.6g}, strategy.cooldown_seconds={pause}"
    assert re.search(r"^ fold 1, as it was +-?[\d.]+ bps +[+-]\$", out, re.MULTILINE)
    assert re.search(r"^ fold 1, winner ", out, re.MULTILINE)
    assert err.splitlines()[-1] == f"written to whole/{folder.name}/report.html"


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
def test_a_search_that_was_ended_loses_no_trial_and_goes_on_as_it_would_have(
    whole: tuple[Path, str, str], place: Path, number: signal.Signals
):
    directory = place / number.name
    closed, starts = place / "closed", place / "starts"
    starts.write_text("")
    closed.touch()
    process = begun(place, *SEARCH, "--out", directory.name, "--json")
    wait_for(lambda: len(starts.read_text()) == 5, process)
    os.killpg(process.pid, number)
    closed.unlink()
    out, err = process.communicate(timeout=60)
    (folder,) = directory.iterdir()
    known = results(folder / "study.journal")
    assert 2 <= known <= 3
    if number == signal.SIGINT:
        assert process.returncode == 130
        (text,) = json.loads(err.splitlines()[-1])["errors"]
        words, _, how = text.partition("; ")
        kept = f"{directory.name}/{folder.name}"
        assert re.sub(r"\d", "N", words.removesuffix(kept)) == (
            "stopped by you (SIGINT): what had ended (N trials) is saved in "
        )
        assert how == f"`mm-nautilus search --resume {kept}` goes on"
        assert json.loads(out)["status"] == "interrupted"
        ended = [row for row in rows(folder) if row["role"] == "train" and row["fills_digest"]]
        assert len(ended) == known + 1  # and the configuration as it was
    else:
        assert process.returncode == -signal.SIGKILL
    before = (folder / "study.journal").read_text()
    process = begun(
        place, "search", "--resume", folder.name, "--out", directory.name, "--jobs", "1", "--quiet"
    )
    assert process.communicate(timeout=120) == ("", "")
    assert process.returncode == 0
    assert (folder / "study.journal").read_text().startswith(before[: before.rfind("\n")])
    assert results(folder / "study.journal") == 4
    assert rows(folder) == rows(whole[0])
    verdicts = [json.loads((each / "search.json").read_text())["verdict"] for each in (folder, whole[0])]
    assert verdicts[0] == verdicts[1]


@pytest.mark.long
def test_two_processes_work_at_one_search_and_more_trials_are_another_look(
    whole: tuple[Path, str, str], place: Path
):
    folder = whole[0]
    looks = json.loads((folder / "search.json").read_text())["looks"]
    words = ("search", "--resume", str(folder), "--trials", "7", "--jobs", "1", "--json")
    processes = [begun(place, *words) for _ in range(2)]
    documents = []
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        documents.append(json.loads(out))
    kept = json.loads((folder / "search.json").read_text())
    assert kept in documents
    assert kept["trials"]["asked"] == 7
    assert kept["trials"]["ever"] == results(folder / "study.journal") >= 7
    assert kept["looks"] >= looks
    points = [
        tuple(row[name] for name in row if name.startswith("param:"))
        for row in rows(folder)
        if row["role"] == "train"
    ]
    assert len(points) == len(set(points))


@pytest.mark.long
def test_a_search_whose_trials_all_fail_fails_with_the_first_error(command, there: Path):
    write_small(there, **{"class": "picky:Picky"}).rename(there / "picky.yaml")
    write_small(there, **{"class": "gated:Gated"})
    grid = ("strategy.min_spread_pct=0.05", "--grid", "strategy.fair_price=mid,weighted_mid")
    ended = command("search", "picky.yaml", "--grid", *grid, "--out", "failed")
    assert ended.returncode == 1
    (folder,) = (there / "failed").iterdir()
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: every trial of fold 1 failed, the first with: ")
    assert "no such width; what had ended (2 trials) is saved in failed" in line
    assert line.endswith("; mend the strategy, the configuration or the space, and begin a new search")
    assert json.loads((folder / "search.json").read_text())["status"] == "failed"
    again = command("search", "--resume", folder.name, "--out", "failed")
    assert again.returncode == 1  # it is not run again
    assert "no such width" in again.stderr
    near = command("search", "--resume", folder.name[:-2], "--out", "failed")
    assert f"({folder.name}), was {folder.name[:-2]}" in near.stderr
