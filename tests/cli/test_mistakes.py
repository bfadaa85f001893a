"""A mistyped symbol, key, path or date, or an empty catalog: one message says what to do, and nothing is written.

Every case is a whole command.
"""

import json
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONFIG = "configs/backtest.yaml"
PAPER = "configs/sandbox_local.yaml"
KEPT = ("--set", "state.directory=state")
"""Where a sandbox run would leave its lock and its state."""
CATALOG = "catalog"
FILL = ("fill one with `mm-nautilus data import tardis` or `mm-nautilus data simulate`",)
HELD = (
    "start and end must leave some of what ",
    "catalog holds, 2025-12-13T12:00:00.001000Z to 2025-12-13T12:29:59.98",
)
DATE = (" must be a date from 1970 to 2261, with or without a time, in UTC unless it has an offset, such as",)
TARDIS = ("data", "import", "tardis")
BOOK = """\
exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount
binance,BTCUSDT,1723161255000000,1723161255000000,true,bid,100,1
"""
INSTRUMENT = ("--instrument", "configs/instruments/binance_btcusdt.yaml")

MISFIT = """\
catalog: catalog
venue: {name: KRAKEN, starting_balances: [100 XRP, 100 USDT]}
strategy:
  position_size_usd: 1
  symbols:
    XRP/USDT: {max_inventory: 20 XRP}
"""

LEVELS = ("--set", "strategy.levels=3", "--set", "strategy.level_size_ratio=1.5")

SYMBOLS = [
    (("backtest", "misfit.yaml"), ("misfit.yaml:4: strategy.symbols.XRP/USDT.position_size_usd: ", "was 1 USDT")),
    (
        ("backtest", "misfit.yaml", "--set", "strategy.position_size_usd=2"),
        ("--set strategy.position_size_usd: XRP/USDT: position_size_usd ", "must be at least 2", "was 2 USDT"),
    ),
    (
        ("backtest", CONFIG, *LEVELS, "--set", "strategy.level_spacing_bps=2"),
        ("--set strategy.level_spacing_bps: XRP/BTC: level_spacing_bps must put level 2 at least one", "was 2 bps"),
    ),
    (
        ("backtest", "misfit.yaml", "--set", "venue.name=BITFLYER"),
        ("misfit.yaml:6: strategy.symbols.XRP/USDT: ", "holds no instrument XRP/USDT.BITFLYER; did you mean XRP/"),
    ),
    (
        ("backtest", "misfit.yaml", "--set", "strategy.position_size_usd=20", "--set", "strategy.report_currency=EUR"),
        ("--set strategy.report_currency: report_currency must be ", "was EUR"),
    ),
    (
        ("backtest", CONFIG, "--set", "strategy.symbols.XRP/USD={}"),
        ("--set strategy.symbols.XRP/USD: ", "holds no instrument XRP/USD.KRAKEN; did you mean XRP/USDT.KRAKEN?"),
    ),
    (
        ("backtest", CONFIG, "--set", "strategy.symbols.XRP/USD.gamma=0.2"),
        ("--set strategy.symbols.XRP/USD.gamma: ", "XRP/BTC; did you mean XRP/USDT?), was XRP/USD"),
    ),
    (
        ("sandbox", PAPER, *KEPT, "--set", "strategy.symbols.XRP/USD={}"),
        ("--set strategy.symbols.XRP/USD: a symbol must be one ", "XRP/USDT; did you mean XRP/USDT?), was XRP/USD"),
    ),
    (
        ("sandbox", PAPER, *KEPT, "--set", "strategy.symbols.XRP/USD.gamma=0.2"),
        ("--set strategy.symbols.XRP/USD.gamma: ", "XRP/BTC; did you mean XRP/USDT?), was XRP/USD"),
    ),
    (
        ("halt", "configs/sandbox.yaml", "--set", "strategy.symbols.XRP/USD.gamma=0.2"),
        ("--set strategy.symbols.XRP/USD.gamma: ", "XRP/BTC; did you mean XRP/USDT?), was XRP/USD"),
    ),
    (("venue", CATALOG, "--symbol", "XRP/USD"), ("holds no instrument XRP/USD; did you mean XRP/USDT?",)),
    (("calibrate", CATALOG, "--symbols", "XRP/USD"), ("holds no instrument XRP/USD; did you mean XRP/USDT?",)),
    (
        ("data", "export", CATALOG, "--out", "flat", "--symbols", "XRP/USD"),
        ("holds no instrument XRP/USD; did you mean XRP/USDT?",),
    ),
    (("config", "init", "--symbols", "XPR/USDT"), ("holds no instrument XPR/USDT; did you mean XRP/USDT?",)),
    (("config", "init", "--symbols", "XRP/USDT,"), ("--symbols must be symbols separated by commas, was 'XRP/",)),
    (
        ("config", "show", CONFIG, "--symbol", "XRP/USD"),
        ("--symbol must be one of XRP/USDT, BTC/USDT, XRP/BTC, was 'XRP/USD' (did you mean XRP/USDT?)",),
    ),
]  # fmt: skip

KEYS = [
    ((*command, "--set", "strategy.gama=0.2"), ("--set strategy.gama: ", "gama (did you mean gamma?), was 0.2"))
    for command in (
        *(("backtest", CONFIG), ("config", "check", CONFIG), ("config", "show", CONFIG), ("doctor", CONFIG)),
        *(("sandbox", PAPER, *KEPT), ("config", "check", PAPER), ("config", "show", PAPER), ("doctor", PAPER)),
        *(("halt", "configs/sandbox.yaml"), ("resume", "configs/sandbox.yaml")),
    )
] + [
    (("sandbox", PAPER, *KEPT, "--set", "feed.sped=2"), ("--set feed.sped: ", "sped (did you mean speed?), was 2")),
    (("config", "check", "fed.yaml"), ("fed.yaml:2: fed: unknown key fed (did you mean feed?)",)),
    (
        ("backtest", PAPER),
        (f"{PAPER}:10: a backtest takes no feed; this is a sandbox's configuration, for mm-nautilus sandbox",),
    ),
    *(
        ((command, CONFIG), (": a sandbox needs a feed; this is a backtest's configuration, for mm-nautilus back",))
        for command in ("sandbox", "halt", "resume")
    ),
    (("halt", PAPER), (f"{PAPER}:51: state.directory must be a folder for runs to be halted", "was null; without one")),
    (
        ("halt", "nights/night.json", "--set", "name=x"),
        ("--set is for configurations, was name=x with the state file nights/night.json",),
    ),
    (("halt", "configs/sandbox.yaml", "--flaten"), ("no such option --flaten (did you mean --flatten?)",)),
    (("report", "runs/20251213T120000Z-backtest", "--jsn"), ("no such option --jsn (did you mean --json?)",)),
    (("compare", "runs/x", "runs/y", "--htm", "x.html"), ("no such option --htm (did you mean --html?)",)),
    (("data", "lst", CATALOG), ("no such command 'lst' (did you mean list?); `mm-nautilus data --help`",)),
    (
        ("data", "export", CATALOG, "--out", "flat", "--format", "csv"),
        ("--format must be one of tardis, parquet, was 'csv'",),
    ),
    (("calibrate", CATALOG, "--symbol", "XRP/USDT"), ("no such option --symbol (did you mean --symbols?)",)),
    (("sandbx", PAPER), ("no such command 'sandbx' (did you mean sandbox?); `mm-nautilus --help`",)),
    (("backtest", CONFIG, "--set", "strategy.gamma=7"), ("gamma must be between 0.01 and 1.0, got 7",)),
    (("backtest", CONFIG, "--set", "gamma"), ("--set must be KEY.KEY=VALUE such as strategy.gamma=0.3, was 'gamma'",)),
    (("backtest", "broken.yaml"), ("broken.yaml:2: catalogue: ", "(did you mean catalog?); what was given is not")),
]  # fmt: skip

PATHS = [
    *(
        (
            (*command, "configs/bactest.yaml"),
            ("the configuration must be an existing file, was not found (did you mean configs/backtest.yaml?)",),
        )
        for command in (("backtest",), ("config", "check"), ("config", "show"), ("doctor",))
    ),
    *(
        (
            (command, "configs/sandbx.yaml"),
            ("the configuration must be an existing file, was not found (did you mean configs/sandbox.yaml?)",),
        )
        for command in ("sandbox", "halt", "resume")
    ),
    *(
        (
            (command, "nights/nigth.json"),
            ("nights/nigth.json must be an existing file, ", "(did you mean nights/night.json?); give a configuration"),
        )
        for command in ("halt", "resume")
    ),
    *(
        (
            (command, "configs/night.json"),
            ("configs/night.json must be an existing file, was not found (there is no state file in configs)",),
        )
        for command in ("halt", "resume")
    ),
    (("halt", "nihgts/night.json"), ("was not found (there is no folder nihgts)",)),
    (("halt", "nights"), ("nights: a configuration must be a YAML file, was a folder",)),
    (
        ("sandbox", PAPER, *KEPT, "--set", "feed.catalog=catlog"),
        ("--set feed.catalog: the catalog ", "catlog does not exist; did you mean ", "catalog?"),
    ),
    *(
        (
            ("sandbox", PAPER, "--set", f"{key}=taken", *more),
            (f"--set {key}: {key.partition('.')[2]} must be a writable folder, was taken: Not a directory",),
        )
        for key, more in (
            ("output.directory", KEPT),
            ("state.directory", ()),
            ("recording.catalog", (*KEPT, "--set", "recording.enabled=true")),
        )
    ),
    (("sandbox", PAPER, "--out", "taken/runs"), ("error: --out must be a writable folder, was taken/runs: Not a dir",)),
    *(
        (
            ("config", "check", file, "--set", f"{key}={folder}"),
            (f"--set {key}: {key.partition('.')[2]} must be a writable folder, was {folder}: ",),
        )
        for file, key, folder in (
            (CONFIG, "output.directory", "taken"),
            (CONFIG, "output.directory", "/proc/x"),
            (PAPER, "output.directory", "taken/runs"),
            (PAPER, "state.directory", "/proc/x/y"),
        )
    ),
    (("backtest", "elsewhere/x.yaml"), ("there is no folder elsewhere; `mm-nautilus config init` writes one",)),
    *(
        (words, ("the catalog catlog does not exist; did you mean catalog?",))
        for words in (
            ("calibrate", "catlog"),
            ("data", "list", "catlog"),
            ("data", "check", "catlog"),
            ("data", "export", "catlog", "--out", "flat"),
            ("data", "recover", "catlog"),
            ("venue", "catlog"),
            ("config", "init", "--catalog", "catlog"),
            ("config", "init", "--sandbox", "--catalog", "catlog"),
        )
    ),
    (
        ("backtest", CONFIG, "--set", "catalog=catlog"),
        ("--set catalog: the catalog ", "catlog does not exist; did you mean ", "catalog?"),
    ),
    *(
        (words, ("a run's folder is needed, was ", "T1200Z-backtest (did you mean ", "T120000Z-backtest?)"))
        for words in (
            ("report", "runs/20251213T1200Z-backtest"),
            ("compare", "runs/20251213T1200Z-backtest", "runs/20251213T120000Z-backtest"),
        )
    ),
    (("report", "catalog"), ("catalog has no summary.json: it must be a run's own folder",)),
    (("compare", "catalog", "runs/20251213T120000Z-backtest"), ("catalog has no summary.json",)),
    (("compare", "runs/20251213T120000Z-backtest"), ("compare needs at least two runs, was 1",)),
    (("report", "runs"), ("runs has no summary.json: it holds the folders of 1 run; name one of them",)),
    (("backtest", CONFIG, "--set", "catalog=taken"), ("--set catalog: ", "taken is a file; a catalog is a folder")),
    (("data", "recover", "taken"), ("taken is a file; a catalog is a folder",)),
    (("data", "recover", "configs"), ("configs holds no catalog (it has no folder `data`)", *FILL)),
    (("data", "list", "taken"), ("taken is a file; a catalog is a folder",)),
    (
        (*TARDIS, "bok.csv", "--catalog", "new", *INSTRUMENT),
        ("bok.csv does not exist (did you mean book.csv?)",),
    ),
    (
        (*TARDIS, "book.csv", "--catalog", "new", "--instrument", "configs/instruments/binance_btcusdt.yml"),
        ("--instrument must be an existing file, was ", "(did you mean configs/instruments/binance_btcusdt.yaml?)"),
    ),
    (
        ("backtest", CONFIG, "--out", "taken"),
        ("error: --out must be a writable folder, was taken: Not a directory",),
    ),
    (("backtest", CONFIG, "--out", "/proc/x"), ("error: --out must be a writable folder, was /proc/x: No such file",)),
    (("calibrate", CATALOG, "--out", "taken/x.yaml"), ("--out must lie in a folder, was taken/x.yaml, and taken",)),
    (("calibrate", CATALOG, "--out", "configs"), ("--out must be a file, was the folder configs",)),
    (("config", "init", "--out", CONFIG), ("configs/backtest.yaml exists; --force replaces it, --out names another",)),
    (("config", "init", "--out", "taken/x.yaml"), ("--out must lie in a folder, was taken/x.yaml, and taken ",)),
    (("config", "schema", "--out", "absent/x.json"), ("--out must be a file that can be written, was absent/x.json",)),
    (("data", "export", CATALOG, "--out", "taken/x"), ("--out must be a folder, was taken/x, and taken is a file",)),
    (("data", "simulate", "taken"), ("taken is a file; a catalog is a folder",)),
    (("data", "simulate", CATALOG), ("catalog already holds a catalog; remove catalog/data first or choose another",)),
    ((*TARDIS, "book.csv", "--catalog", "taken", *INSTRUMENT), ("taken is a file; a catalog is a folder",)),
]  # fmt: skip

DATES = [
    (("backtest", CONFIG, "--set", "start=yesterday"), ("--set start: start", *DATE, "was 'yesterday'")),
    (("backtest", CONFIG, "--set", "start=2031-01-01T00:00:00Z"), (*HELD, "was 2031-01-01T00:00:00.000000Z to open")),
    (
        ("backtest", CONFIG, "--set", "start=2025-12-13T12:10:00Z", "--set", "end=2025-12-13T12:05:00Z"),
        ("end must be after start (2025-12-13T12:10:00+00:00), was 2025-12-13T12:05:00+00:00",),
    ),
    (
        ("sandbox", PAPER, *KEPT, "--duration", "soon"),
        ("error: --duration must be a length of time ", "such as 2h, 90s or 1d12h, or null, was 'soon'"),
    ),
    (("sandbox", PAPER, *KEPT, "--set", "duration=90"), ("--set duration: duration must be a length ", "was 90")),
    (("sandbox", PAPER, *KEPT, "--set", "start=2025-12-13T12:00:00Z"), ("--set start: unknown key start",)),
    (("calibrate", CATALOG, "--start", "13.12.2025"), ("--start", *DATE, "was '13.12.2025'")),
    (("calibrate", CATALOG, "--end", "2020-01-01T00:00:00Z"), (*HELD, "was open to 2020-01-01T00:00:00.000000Z")),
    (("calibrate", CATALOG, "--window", "soon"), ("--window must be a number above 0 followed by s, m, h or d",)),
    (("data", "export", CATALOG, "--out", "flat", "--end", "12/13/2025"), ("--end", *DATE, "was '12/13/2025'")),
    (
        ("data", "export", CATALOG, "--out", "flat", "--start", "2031-01-01T00:00:00Z"),
        (*HELD, "was 2031-01-01T00:00:00.000000Z to open"),
    ),
]  # fmt: skip

EMPTY = [
    (words, ("hollow holds no instruments", *FILL))
    for words in (
        ("backtest", CONFIG, "--set", "catalog=hollow"),
        ("calibrate", "hollow"),
        ("data", "list", "hollow"),
        ("data", "check", "hollow"),
        ("data", "export", "hollow", "--out", "flat"),
        ("data", "recover", "hollow"),
        ("venue", "hollow"),
        ("sandbox", PAPER, *KEPT, "--set", "feed.catalog=hollow"),
        ("config", "init", "--catalog", "hollow"),
        ("config", "init", "--sandbox", "--catalog", "hollow"),
    )
] + [
    (("backtest", CONFIG, "--set", "catalog=configs"), ("holds no catalog (it has no folder `data`)", *FILL)),
]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder as a user has it: configurations, a catalog, an empty one, and a file where folders are wanted."""
    folder = tmp_path_factory.mktemp("work")
    shutil.copytree(ROOT / "configs", folder / "configs")
    shutil.copytree(ROOT / "catalog", folder / CATALOG)
    shutil.copytree(ROOT / "calibration", folder / "calibration")
    (folder / "hollow" / "data").mkdir(parents=True)
    (folder / "taken").write_text("")
    (folder / "runs" / "20251213T120000Z-backtest").mkdir(parents=True)
    (folder / "runs" / "20251213T120000Z-backtest" / "summary.json").write_text("{}")
    (folder / "book.csv").write_text(BOOK)
    (folder / "broken.yaml").write_text("name: x\ncatalogue: x\n")
    (folder / "fed.yaml").write_text("duration: 2m\nfed: {source: local}\n")
    (folder / "misfit.yaml").write_text(MISFIT)
    (folder / "nights").mkdir()
    (folder / "nights" / "night.json").write_text("{}")
    return folder


def contents(folder):
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def named(value):
    return " ".join(value) if isinstance(value, tuple) and value[0].isalpha() else ""


def assert_told(code, printed, errors, expected):
    """One line says all that is expected, and every line is an error's."""
    assert (code, printed) == (2, ""), errors
    lines = errors.splitlines()
    assert lines
    assert all(line.startswith("error: ") for line in lines), errors
    telling = [line for line in lines if expected[0] in line]
    assert len(telling) == 1, errors
    assert [part for part in expected if part not in telling[0]] == []


@pytest.mark.parametrize(("words", "expected"), [*SYMBOLS, *KEYS, *PATHS, *DATES, *EMPTY], ids=named)
def test_a_mistake_is_told_with_what_to_do_and_nothing_is_written(
    workplace, words, expected, monkeypatch, command
):
    monkeypatch.chdir(workplace)
    before = contents(workplace)
    assert_told(*command(*words), expected)
    assert contents(workplace) == before


def test_mistakes_of_values_are_told_at_once_with_json_for_machines(workplace, command, monkeypatch):
    monkeypatch.chdir(workplace)
    done = command("backtest", CONFIG, "--json", "--set", "strategy.gamma=7", "--set", "nam=x")
    assert (done.returncode, done.stdout) == (2, "")
    document = json.loads(done.stderr)
    assert document["exit_code"] == 2
    assert len(document["errors"]) == 2


def test_doctor_tells_of_an_empty_catalog_and_goes_on(workplace, command, monkeypatch):
    monkeypatch.chdir(workplace)
    done = command("doctor", CONFIG, "--set", "catalog=hollow", "--json")
    assert (done.returncode, done.stderr) == (1, "")
    document = json.loads(done.stdout)
    assert document["ok"] is False
    (problem,) = [check for check in document["checks"] if check["state"] == "problem"]
    assert problem["name"] == "catalog"
    assert "holds no instruments; fill one with" in problem["text"]
    assert document["checks"][-1]["name"] == "disk of output.directory"


def test_doctor_tells_of_what_a_sandbox_lacks_and_goes_on(workplace, command, monkeypatch):
    monkeypatch.chdir(workplace)
    done = command(
        "doctor", PAPER, "--set", "feed.catalog=hollow", "--set", "state.directory=taken", "--json"
    )
    assert (done.returncode, done.stderr) == (1, "")
    document = json.loads(done.stdout)
    problems = {check["name"]: check["text"] for check in document["checks"] if check["state"] == "problem"}
    assert set(problems) == {"feed.catalog", "state", "state.directory"}
    assert "holds no instruments; fill one with" in problems["feed.catalog"]
    assert problems["state.directory"].endswith("taken is a file; state.directory names another folder")
