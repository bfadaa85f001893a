"""A strategy class and pricing functions from files outside the package, named in a configuration."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from made_markets import MadeMarket, instrument

import mm_nautilus
from mm_nautilus import RunConfig, run_backtest
from mm_nautilus.checks.config_source import load_config

MODULE = '''\
from mm_nautilus import MarketMaker
from mm_nautilus.pricing import PricedQuote

NO_FUNCTION = 5
asked = 0


def my_model(market, position, params):
    """Quote around a price a third of a basis point above the mid, lower with inventory."""
    global asked
    asked += 1
    width = market.mid_price * params.pricing_parameters["width_bps"] / 10_000
    return PricedQuote(market.mid_price * (1.00003 - 0.00001 * position.share), width, 2 * width)


def of_two(market, position):
    return None


class MyMaker(MarketMaker):
    def on_position_event(self, event):
        super().on_position_event(event)
        assert self.conditions.start_ns > 0
        with open("mine.txt", "a") as file:
            print(self.settings.pricing, list(self.symbols), self.strategy_id, file=file)


class NoMaker:
    pass


class Narrow(MarketMaker):
    def __init__(self, config):
        super().__init__(config)
'''
CONFIGURATION = """\
name: own
catalog: catalog
venue: {name: MADE, starting_balances: [100000 USDT, 1000 AAA], fees: {maker_fee_pct: 0, taker_fee_pct: 0}}
strategy:
  class: my_module:MyMaker
  pricing: my_module:my_model
  pricing_parameters: {width_bps: 0.5}
  cooldown_seconds: 1
  symbols: {AAA/USDT: {position_size: 1 AAA, max_inventory: 5 AAA}}
output: {directory: runs}
"""
COPIED = "my_module.py"


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "catalog"
    MadeMarket(seconds=120).write(folder, instrument())
    return folder


@pytest.fixture
def home(tmp_path: Path, catalog: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a configuration and its module, from which another one is the current folder."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "catalog").symlink_to(catalog)
    (tmp_path / "home" / "run.yaml").write_text(CONFIGURATION)
    (tmp_path / "home" / COPIED).write_text(MODULE)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path / "home"


def only_run(folder: Path) -> Path:
    (found,) = folder.iterdir()
    return found


def journal(folder: Path, kind: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    return [line[kind] for line in lines if line["type"] == kind]


def test_a_backtest_trades_with_them_and_says_so(home: Path, command: Callable[..., Any]) -> None:
    done = command("backtest", home / "run.yaml", "--quiet")
    assert done.returncode == 0, done.stderr
    folder = only_run(Path("runs"))
    summary = json.loads((folder / "summary.json").read_text())
    model = summary["symbols"]["AAA/USDT"]["quote_model"]
    assert model["model"] == "my_module:my_model"
    assert model["half_width_bps"] == pytest.approx(0.75)
    assert model["skew_bps"] is None
    assert "my_module:my_model" in (folder / "report.html").read_text()
    told = set(Path("mine.txt").read_text().splitlines())
    assert told == {"my_module:my_model ['AAA/USDT'] MyMaker-001"}
    signals = journal(folder, "signal")
    assert len(signals) > 5
    for signal in signals:
        share = signal["inventory"] / signal["inventory_cap"]
        expected = signal["mid_price"] * (1.00003 - 0.00001 * share)
        assert signal["reservation_price"] == pytest.approx(expected, rel=1e-9)
        width = -0.5 if signal["side"] == "BUY" else 1.0
        assert float(signal["price"]) == pytest.approx(expected * (1 + width / 10_000), abs=0.00101)
    assert (folder / COPIED).read_text() == MODULE
    config = load_config(folder / "config.yaml").config.strategy
    assert (str(config.pricing), str(config.strategy_class)) == ("my_module:my_model", "my_module:MyMaker")
    assert sorted(path.name for path in home.iterdir()) == ["catalog", COPIED, "run.yaml"]  # no cache either


def test_a_run_is_repeated_from_its_folder_after_its_module_has_changed(home: Path) -> None:
    first = run_backtest(home / "run.yaml")
    (home / COPIED).write_text(MODULE.replace("1.00003", "1.00002"))
    changed, again = run_backtest(home / "run.yaml"), run_backtest(first.folder / "config.yaml")
    columns = ["ts_event", "side", "price", "quantity"]
    pd.testing.assert_frame_equal(first.fills[columns], again.fills[columns])
    assert not first.fills[columns].equals(changed.fills[columns])


def test_a_comparison_names_what_differs(home: Path, command: Callable[..., Any]) -> None:
    built_in = ("--set", "strategy.pricing=null", "--set", "strategy.class=null")
    assert command("backtest", home / "run.yaml", "--quiet", "--out", "a").returncode == 0
    assert command("backtest", home / "run.yaml", "--quiet", "--out", "b", *built_in).returncode == 0
    (home / COPIED).write_text(MODULE + "# changed\n")
    assert command("backtest", home / "run.yaml", "--quiet", "--out", "c").returncode == 0
    runs = [only_run(Path(name)) for name in "abc"]
    told = json.loads(command("compare", *runs, "--json").stdout)
    assert told["parameters"]["strategy.pricing"] == ["my_module:my_model", None, "my_module:my_model"]
    assert told["parameters"]["strategy.class"] == ["my_module:MyMaker", None, "my_module:MyMaker"]
    assert "these runs have different versions of my_module.py" in told["notes"]


def test_each_symbol_may_have_a_function_of_its_own_and_parameters(home: Path) -> None:
    (home / "lean.py").write_text(
        "from mm_nautilus.pricing import PricedQuote\n"
        "class Model:\n"
        "    def __call__(self, market, position, params):\n"
        "        return PricedQuote(market.mid_price, 0.01, 0.01, 0.0)\n"
        "model = Model()\n"
    )
    loaded = load_config(home / "run.yaml", ["strategy.symbols.AAA/USDT.pricing=lean:model"])
    model = run_backtest(loaded.config).summary["symbols"]["AAA/USDT"]["quote_model"]
    assert (model["model"], model["skew_bps"]) == ("lean:model", 0.0)
    loaded = load_config(home / "run.yaml", ["strategy.symbols.AAA/USDT.pricing=null"])
    assert run_backtest(loaded.config).summary["symbols"]["AAA/USDT"]["quote_model"]["model"] == "none"


def test_a_module_is_looked_for_beside_the_file_then_here_then_among_the_installed(home: Path) -> None:
    def half_width(config: Any) -> float:
        figures = run_backtest(config).summary["symbols"]["AAA/USDT"]["quote_model"]
        return round(figures["half_width_bps"], 6)

    here, installed = Path(COPIED), home.parent / "installed"
    here.write_text(MODULE.replace("2 * width", "3 * width"))
    installed.mkdir()
    (installed / COPIED).write_text(MODULE.replace("2 * width", "5 * width"))
    sys.path.append(str(installed))
    assert half_width(home / "run.yaml") == 0.75
    (home / COPIED).unlink()
    assert half_width(home / "run.yaml") == 1.0
    here.unlink()
    outcome = run_backtest(home / "run.yaml")
    del sys.modules["my_module"]
    assert round(outcome.summary["symbols"]["AAA/USDT"]["quote_model"]["half_width_bps"], 6) == 1.5
    assert (outcome.folder / "my_module.installed.py").is_file()


KINDS = "a subclass of mm_nautilus.MarketMaker that takes its arguments config, takes_over and pricing"
FUNCTION = "a function of market, position and parameters"
LATE = """
from functools import partial
async def later(market, position, params): return None
def yields(market, position, params): yield
async def yields_later(market, position, params): yield
class Called:
    async def __call__(self, market, position, params): return None
called, bound = Called(), partial(yields)
"""
IMPORTED = "be in a module that can be imported, was "
PLACES = "be in a module that is beside the configuration file ({home}), in the current folder ({here}) or installed"


@pytest.mark.parametrize(
    ("key", "given", "expected"),
    [
        ("pricing", "my_modul:f", f"{PLACES} (did you mean my_module?), was my_modul:f"),
        ("pricing", "my_module:my_modl", "be a name that {home}/my_module.py has (did you mean my_model?), "
         "was my_module:my_modl"),
        ("pricing", "my_module:NO_FUNCTION", f"be {FUNCTION}, was my_module:NO_FUNCTION, of type int"),
        ("pricing", "my_module:NoMaker", f"be {FUNCTION}, was my_module:NoMaker, a class"),
        ("pricing", "my_module:of_two", f"be {FUNCTION}, was my_module:of_two, which takes (market, position)"),
        ("pricing", "late:later", f"be {FUNCTION}, was late:later, an async function"),
        ("pricing", "late:yields", f"be {FUNCTION}, was late:yields, a generator"),
        ("pricing", "late:yields_later", f"be {FUNCTION}, was late:yields_later, an async generator"),
        ("pricing", "late:called", f"be {FUNCTION}, was late:called, an async function"),
        ("pricing", "late:bound", f"be {FUNCTION}, was late:bound, a generator"),
        ("pricing", "fails:f", f"{IMPORTED}fails:f: ZeroDivisionError at {{home}}/fails.py:2: division by zero"),
        ("pricing", "wrong:f", f"{IMPORTED}wrong:f: SyntaxError at {{home}}/wrong.py:1: '(' was never closed"),
        ("pricing", "lacks:f", f"{IMPORTED}lacks:f: ModuleNotFoundError at {{home}}/lacks.py:1: No module named 'no'"),
        ("pricing", "null:f", f"{IMPORTED}null:f: SyntaxError at {{home}}/null.py: "
         "source code string cannot contain null bytes"),
        ("pricing", "leaves:f", f"{IMPORTED}leaves:f: SystemExit at {{home}}/leaves.py:2: 3"),
        ("class", "my_module:NoMaker", f"be {KINDS}, was my_module:NoMaker, a class"),
        ("class", "my_module:Narrow", f"be {KINDS}, was my_module:Narrow, a class"),
        ("class", "my_module:my_model", f"be {KINDS}, was my_module:my_model, which takes (market, position, params)"),
        ("class", "json:JSONEncoder", f"be {KINDS}, was json:JSONEncoder, a class"),
        ("class", "nowhere.at.all:X", f"{PLACES}, was nowhere.at.all:X"),
        ("class", "x", "be a module, a colon and a name in it such as my_module:my_model, or null, was 'x'"),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_refused_before_anything_is_written(
    home: Path, command: Callable[..., Any], key: str, given: str, expected: str
) -> None:
    for name, text in {
        "fails": "\n1 / 0\n",
        "wrong": "print((1)\n",
        "lacks": "import no\n",
        "null": "\0",
        "leaves": "import sys\nsys.exit(3)\n",
        "late": LATE,
    }.items():
        (home / f"{name}.py").write_text(text)
    words = expected.format(home=home, here=Path.cwd())
    for name in ("backtest", ("config", "check")):
        line = [name] if isinstance(name, str) else name
        done = command(*line, home / "run.yaml", "--set", f"strategy.{key}={given}")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"error: --set strategy.{key}: {key} must {words}\n"
    assert not Path("runs").exists()


def test_an_interrupted_import_ends_as_an_interruption(home: Path, command: Callable[..., Any]) -> None:
    """Whoever presses Ctrl-C while a slow module is imported has not made a mistake in the configuration."""
    (home / "breaks.py").write_text("raise KeyboardInterrupt\n")
    done = command("backtest", home / "run.yaml", "--set", "strategy.pricing=breaks:f")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "error: interrupted\n")
    assert not Path("runs").exists()


def assert_failed(done: Any, told: str) -> Path:
    """Check that a run failed with one sentence on the terminal, and return its folder, which has the traceback."""
    folder = only_run(Path("runs"))
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    failure, _, saved = line.partition("; quotes cancelled; ")
    assert failure.startswith(f"error: the run failed: {told}"), failure
    assert saved == (
        f"see {folder}/failure.txt, which has the whole traceback; what could be saved is in {folder}"
    )
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["status"], summary["stop"]["cause"]) == ("failed", "failure")
    assert f"error: the run failed: {summary['stop']['text']}" == failure
    assert "\nTraceback (most recent call last):\n" in (folder / "failure.txt").read_text()
    return folder


def assert_no_quotes_are_left(folder: Path) -> None:
    """Check that the table of quotes ends when the last one was cancelled, and the summary says the same."""
    orders, quotes = (pd.read_parquet(folder / f"{name}.parquet") for name in ("orders", "quotes"))
    last = quotes.iloc[-1]
    assert quotes.bid_price.notna().any()
    assert last[["bid_price", "bid_size", "ask_price", "ask_size", "reservation_price"]].isna().all()
    assert (last.bid_reason, last.ask_reason) == ("stopping", "stopping")
    assert last.ts_event == orders.ts_last.max()
    summary = json.loads((folder / "summary.json").read_text())["symbols"]["AAA/USDT"]
    assert summary["quoting"] == {"bid": "stopping", "ask": "stopping"}
    assert summary["not_quoting"]["bid"]["stopping"] == {"count": 1, "seconds": 0}


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        ("PricedQuote(nan, 0.1, 0.1)", "returned a wrong quote: reservation_price must be a "
         "finite positive number, was nan of type float"),
        ("1 / 0", "raised ZeroDivisionError at {home}/bad.py:7: division by zero"),
        pytest.param("json.loads('x')",
                     "raised JSONDecodeError at {home}/bad.py:7: Expecting value: line 1 column 1 (char 0)",
                     marks=pytest.mark.long),
        ("sys.exit(3)", "raised SystemExit at {home}/bad.py:7: 3"),
        pytest.param("open('/nowhere/x')", "raised FileNotFoundError at {home}/bad.py:7: [Errno 2] No such "
                     "file or directory: '/nowhere/x'", marks=pytest.mark.long),
        ("None", "must return a PricedQuote or a NotQuoting, was None"),
    ],
)  # fmt: skip
def test_a_model_that_gives_no_prices_ends_the_run(
    home: Path, command: Callable[..., Any], returned: str, expected: str
) -> None:
    (home / "bad.py").write_text(
        "import json, sys\n"
        "from math import nan\n"
        "from mm_nautilus.pricing import PricedQuote\n"
        "asked = []\n"
        "def bad(market, position, params):\n"
        "    asked.append(market)\n"
        f"    return {returned} if len(asked) > 40 else PricedQuote(market.mid_price, 0.5, 0.5)\n"
    )
    latency = "venue.latency={insert_ms: 50, amend_ms: 50, cancel_ms: 50}"
    sets = ("--set", "strategy.pricing=bad:bad", "--set", latency)
    done = command("backtest", home / "run.yaml", "--quiet", *sets)
    folder = assert_failed(done, f"the pricing model bad:bad of AAA/USDT {expected.format(home=home)}")
    assert_no_quotes_are_left(folder)
    orders = pd.read_parquet(folder / "orders.parquet")
    assert set(orders.side) == {"BUY", "SELL"}
    assert orders.price.dropna().astype(float).between(99, 101).all()


@pytest.mark.parametrize(
    ("method", "line", "expected"),
    [
        ("on_start(self)", "1 / 0", "Bad.on_start raised ZeroDivisionError at {home}/bad.py:5: division by zero"),
        ("on_quote(self, quote)", "sys.exit()", "Bad.on_quote of AAA/USDT raised SystemExit at {home}/bad.py:5"),
        ("on_order_event(self, event)", "getcontext().prec = 3",
         "Bad.on_order_event must leave the decimal context as it was, as decimal.localcontext() does: amounts are "
         "computed by it; was Context(prec=3, "),
    ],
)  # fmt: skip
def test_a_class_that_raises_ends_the_run(
    home: Path, command: Callable[..., Any], method: str, line: str, expected: str
) -> None:
    (home / "bad.py").write_text(
        "import sys; from decimal import getcontext\n"
        "from mm_nautilus import MarketMaker\n"
        "class Bad(MarketMaker):\n"
        f"    def {method}:\n"
        f"        {line}; super().{method.replace('self, ', '').replace('self', '')}\n"
    )
    done = command("backtest", home / "run.yaml", "--quiet", "--set", "strategy.class=bad:Bad")
    assert_failed(done, expected.format(home=home))


def test_the_traceback_of_a_class_is_in_the_log(home: Path) -> None:
    """Only the first engine of a process has one."""
    (home / "bad.py").write_text(
        "from mm_nautilus import MarketMaker\n"
        "class Bad(MarketMaker):\n"
        "    def on_position_event(self, event):\n"
        "        super().on_position_event(event)\n"
        "        self.symbols['BBB/USDT']\n"
    )
    words = ["backtest", str(home / "run.yaml"), "--quiet", "--set", "strategy.class=bad:Bad"]
    done = subprocess.run(
        [sys.executable, "-m", "mm_nautilus.cli", *words], capture_output=True, text=True, check=False
    )
    told = f"Bad.on_position_event of AAA/USDT raised KeyError at {home}/bad.py:5: 'BBB/USDT'"
    log = (assert_failed(done, told) / "run.log").read_text()
    assert f"{told}\nTraceback (most recent call last):\n" in log


def test_a_class_that_cannot_be_made_ends_the_run(home: Path, command: Callable[..., Any]) -> None:
    (home / "bad.py").write_text(
        "from mm_nautilus import MarketMaker\n"
        "class Bad(MarketMaker):\n"
        "    def __init__(self, config, **options):\n"
        "        1 / 0\n"
    )
    done = command("backtest", home / "run.yaml", "--set", "strategy.class=bad:Bad")
    assert done.returncode == 1
    told = (
        f"error: the run failed: bad:Bad raised ZeroDivisionError at {home}/bad.py:4: division by zero; see "
    )
    assert done.stderr.splitlines()[-1].startswith(told)


def test_a_model_and_its_module_change_no_decimals_but_their_own(home: Path) -> None:
    rough = "import decimal\ndecimal.getcontext().prec = 2\n" + MODULE.replace(
        "    global asked\n",
        "    global asked\n    assert decimal.getcontext().prec == 28\n    decimal.getcontext().prec = 2\n",
    )
    before = run_backtest(home / "run.yaml")
    (home / COPIED).write_text(rough)
    after = run_backtest(home / "run.yaml")
    assert len(before.fills) > 5
    pd.testing.assert_frame_equal(after.equity, before.equity)


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (
            "PricedQuote(float('nan'), 0.1, 0.1)",
            "returned a wrong quote: reservation_price must be a finite pos",
        ),
        (
            "PricedQuote(market.mid_price, -0.1, 0.1)",
            "returned a wrong quote: bid_width must be a finite numb",
        ),
        ("1 / market.volatility_pct", "raised ZeroDivisionError at {home}/bad.py:3: float division by zero"),
        ("exit()", "raised SystemExit at {home}/bad.py:3"),
    ],
)
def test_a_check_calls_a_model_once(
    home: Path, command: Callable[..., Any], returned: str, expected: str
) -> None:
    (home / "bad.py").write_text(
        f"from mm_nautilus.pricing import PricedQuote\ndef bad(market, position, params):\n    return {returned}\n"
    )
    done = command("config", "check", home / "run.yaml", "--set", "strategy.pricing=bad:bad")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    told = "error: --set strategy.pricing: pricing must price the catalog's first book, was bad:bad: the pricing model "
    assert line.startswith(f"{told}bad:bad of AAA/USDT {expected.format(home=home)}")


@pytest.mark.parametrize("line", [("backtest",), ("config", "check")])
def test_a_model_has_the_fees_of_the_run(
    home: Path, command: Callable[..., Any], line: Sequence[str]
) -> None:
    (home / "paid.py").write_text(
        "from mm_nautilus.pricing import PricedQuote\n"
        "def paid(market, position, params):\n"
        "    width = market.mid_price * (params.maker_fee_pct + params.taker_fee_pct) / 100\n"
        "    return PricedQuote(market.mid_price, width, width)\n"
    )
    done = command(*line, home / "run.yaml", "--set", "strategy.pricing=paid:paid")
    assert done.returncode == 0
    assert "error" not in done.stderr


@pytest.mark.parametrize("line", [("backtest",), ("config", "check")])
def test_what_own_code_prints_is_beside_the_json(
    home: Path, command: Callable[..., Any], line: Sequence[str]
) -> None:
    told = MODULE.replace("    asked += 1\n", "    asked += 1\n    print('asked')\n")
    (home / COPIED).write_text(f"{told}\nprint('imported')\n")
    done = command(*line, home / "run.yaml", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)
    assert {"imported", "asked"} <= set(done.stderr.splitlines())
    assert "asked" in command(*line, home / "run.yaml").stdout.splitlines()


def test_what_own_code_of_a_sandbox_prints_is_beside_the_json(
    home: Path, command: Callable[..., Any]
) -> None:
    (home / "run.yaml").write_text(
        CONFIGURATION.replace("catalog: catalog", "feed: {source: local, catalog: catalog}").replace(
            "MADE", "KRAKEN"
        )
    )
    (home / COPIED).write_text("print('imported')\n")
    done = command("sandbox", home / "run.yaml", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    printed, error = done.stderr.splitlines()
    assert printed == "imported"
    assert "pricing must be a name that" in json.loads(error)["errors"][0]


def test_a_class_that_leaves_out_the_start_of_its_base_ends_the_run(
    home: Path, command: Callable[..., Any]
) -> None:
    (home / "idle.py").write_text(
        "from mm_nautilus import MarketMaker\n"
        "class Idle(MarketMaker):\n"
        "    def on_start(self):\n"
        "        self.log.info('ready')\n"
    )
    done = command("backtest", home / "run.yaml", "--quiet", "--set", "strategy.class=idle:Idle")
    told = f"Idle.on_start at {home}/idle.py:3 must call super().on_start(), or nothing is traded"
    assert_failed(done, told)


def warnings_of(command: Callable[..., Any], path: Path, *sets: str) -> list[str]:
    done = command("config", "check", path, "--json", *(word for one in sets for word in ("--set", one)))
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)["warnings"]
    return [text.partition("Warning: ")[2].rpartition(" (")[0] for text in found]


def test_the_model_that_is_replaced_is_not_judged(home: Path, command: Callable[..., Any]) -> None:
    plain = warnings_of(command, home / "run.yaml", "venue.fees.maker_fee_pct=0.1")
    assert [text for text in plain if "min_spread_pct" in text] == []
    judged = warnings_of(command, home / "run.yaml", "venue.fees.maker_fee_pct=0.1", "strategy.pricing=null")
    assert [text for text in judged if "min_spread_pct" in text]
    assert (
        "pricing_parameters {'width_bps': 0.5} have no effect without pricing" not in judged
    )  # its class may read them
    without = warnings_of(command, home / "run.yaml", "strategy.pricing=null", "strategy.class=null")
    assert "pricing_parameters {'width_bps': 0.5} have no effect without pricing" in without
    given = (
        "strategy.use_reservation_price=true",
        "strategy.reservation_model=glft",
        "strategy.recalibrate_minutes=5",
    )
    told = set(warnings_of(command, home / "run.yaml", *given)) - set(warnings_of(command, home / "run.yaml"))
    assert told == {
        "use_reservation_price true, reservation_model glft, recalibrate_minutes 5.0 have no effect: pricing "
        "my_module:my_model replaces the reservation model"
    }
    done = command("backtest", home / "run.yaml", *(word for one in given for word in ("--set", one)))
    assert done.returncode == 0, done.stderr  # no calibration is asked for
    assert "reservation price moves" not in done.stderr


def test_the_public_names_are_all_there() -> None:
    assert set(mm_nautilus.__all__) <= set(dir(mm_nautilus))
    assert all(getattr(mm_nautilus, name) is not None for name in mm_nautilus.__all__)


def test_a_backtest_is_run_from_a_path_a_mapping_or_a_configuration(home: Path) -> None:
    loaded = load_config(home / "run.yaml")
    values = loaded.config.model_dump()
    (Path.cwd() / COPIED).write_text(MODULE)
    outcomes = [
        run_backtest(given) for given in (str(home / "run.yaml"), values, RunConfig.model_validate(values))
    ]
    assert len({len(outcome.fills) for outcome in outcomes}) == 1
    outcome = outcomes[0]
    assert len(outcome.fills) == outcome.summary["symbols"]["AAA/USDT"]["fills"] > 0
    assert outcome.fills.ts_event.dt.tz is not None
    assert sum(outcome.fills.commission) == 0
    for frame in (
        outcome.orders,
        outcome.positions,
        outcome.metrics,
        outcome.equity,
        outcome.frame("quotes"),
    ):
        assert len(frame) > 0
    with pytest.raises(
        mm_nautilus.errors.DataError, match=r"a table must be one of .*fills.*did you mean fills"
    ):
        outcome.frame("fill")
    with pytest.raises(mm_nautilus.errors.ConfigError, match=r"^strategy.gamma: gamma must be between"):
        run_backtest(values | {"strategy": values["strategy"] | {"gamma": 7.0}})
