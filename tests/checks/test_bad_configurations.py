"""Bad configurations, each refused with its key, its value and what is allowed, and nothing written."""

import subprocess
import sys
from pathlib import Path

import pytest

from mm_nautilus.checks.config_source import load_config
from mm_nautilus.cli import main
from mm_nautilus.errors import ConfigError

ROOT = Path(__file__).parents[2]

GOOD = """\
name: probe
catalog: catalog
start: 2025-12-13T00:00:00Z
venue:
  name: KRAKEN
  starting_balances: [1000 USDT, 500 XRP]
  fees:
    maker_fee_pct: 0.1
    taker_fee_pct: 0.1
strategy:
  position_size_usd: 20
  max_inventory: 100
  gamma: 0.1
  symbols:
    XRP/USDT:
      min_spread_pct: 0.05
    BTC/USDT:
      cooldown_seconds: 3
"""

GAMMA = "gamma: 0.1"
OF_GAMMA: dict[str, tuple[str, ...]] = {
    # name: (what replaces GAMMA in GOOD, fragments of the one message)
    "gamma above its range": ("gamma: 5.0", "gamma must be between 0.01 and 1.0, got 5.0"),
    "gamma below its range": ("gamma: 0", "gamma must be between 0.01 and 1.0, got 0"),
    "gamma not a number": ("gamma: high", "gamma", "between 0.01 and 1.0", "'high'"),
    "gamma in quotes": ("gamma: '0.1'", "gamma", "finite number between 0.01", "'0.1'"),
    "gamma NaN": ("gamma: .nan", "gamma", "finite number between 0.01 and 1.0", "nan"),
    "gamma infinite": ("gamma: .inf", "gamma", "finite number", "was inf"),
    "gamma a boolean": ("gamma: true", "gamma", "finite number", "was true"),
    "gamma a list": ("gamma: [0.1]", "gamma", "finite number", "was [0.1]"),
    "gamma empty": ("gamma:", "gamma", "finite number", "was null"),
    "gamma too large to be a float": ("gamma: 1e999", "gamma", "finite number", "was inf"),
    "size given twice": (
        "position_size: 25 XRP",
        "position_size and position_size_usd must not be given together",
        "was 25 XRP and 20.0",
    ),
    "stop loss null": ("stop_loss_pct: null", "Missing required config: stop_loss_pct"),
    "stop loss above 100 %": ("stop_loss_pct: 500", "stop_loss_pct", "at most 100, was 500"),
    "take profit zero": ("take_profit_pct: 0", "take_profit_pct must be positive, got 0"),
    "skew above 1": ("inventory_skew: 1.5", "must be between 0 and 1.0, got 1.5"),
    "lookback not whole": ("volatility_lookback: 20.5", "whole number between 2 and 1440", "20.5"),
    "lookback too short": (
        "volatility_lookback: 1",
        ": volatility_lookback must be between 2 and 1440, was 1",
    ),
    "multiplier below 1": ("volatility_threshold_mult: 0.5", "between 1 and 100, was 0.5"),
    "switch a word": ("use_trade_flow: yes", "use_trade_flow must be true or false, was 'yes'"),
    "switch a number": ("use_trailing_stop: 1", "must be true or false, was 1"),
    "quoting unknown": ("quoting: both", "quoting must be two_sided or signal, was 'both'"),
    "taker without signal": (
        "entry_order: taker",
        "entry_order must be maker with quoting: two_sided (taker needs signal), was taker",
    ),
    "trail too far": (
        "trailing_stop_distance: 0.2",
        "trailing_stop_distance must be below trailing_stop_activation (0.2), was 0.2",
    ),
    "model unknown": ("reservation_model: as", "must be simplified, avellaneda_stoikov or glft, was 'as'"),
    "model without figures": (
        "use_reservation_price: true\n  reservation_model: glft",
        ":14:",
        "calibration or recalibrate_minutes must be given with reservation_model: glft, was null for both",
    ),
    "calibration missing": (
        "calibration: c.yaml",
        ":13:",
        "the calibration must be an existing file, was not found (did you mean",
        "bad.yaml?)",
    ),
    "calibration that is none": (
        "calibration: .",
        "strategy.calibration: ",
        "a calibration must be a YAML file, was a folder",
    ),
    "calibration a number": ("calibration: 5", "calibration must be the path of a file, or null"),
    "fair price unknown": ("fair_price: last", "must be mid, weighted_mid or microprice"),
    "gamma and skew": (
        "gamma: 0.1\n  skew_bps_at_max_inventory: 5",
        ":14:",
        "skew_bps_at_max_inventory and gamma must not be given together, was 5.0 and 0.1",
    ),
    "skew too far": ("skew_bps_at_max_inventory: 501", "must be above 0 and at most 500, or null, was 501"),
    "target beyond the cap": (
        "inventory_target: -100.5",
        "inventory_target must be at most max_inventory (100 USDT) in either direction, was -100.5 USDT",
    ),
    "levels that cross": (
        "levels: [{width_bps: 2}, {width_bps: 4}, {width_bps: 4, size: 2}]",
        "levels[2].width_bps must be above that of the level before (4.0), was 4.0: levels 2 and 3 cross",
    ),
    "levels without a distance": (
        "levels: 3",
        "level_spacing_bps or level_spacing_volatility must be given with levels: 3, was null for both",
    ),
    "too many levels": (
        "levels: 11",
        "levels must be a whole number between 1 and 10, or a list of as many levels such as",
        "was 11",
    ),
    "two spacings": (
        "levels: 2\n  level_spacing_bps: 2\n  level_spacing_volatility: 1",
        "level_spacing_bps and level_spacing_volatility must not be given together, was 2.0 and 1.0",
    ),
    "levels of a signal": (
        "quoting: signal\n  levels: 2\n  level_spacing_bps: 2",
        "levels must be 1 with quoting: signal (several need two_sided), was 2",
    ),
    "target a word": (
        "inventory_target: short",
        "a number, an amount with its currency such as -50 XRP, or a share of the account between -100 % and 100 %",
        "was 'short'",
    ),
    "target beyond the account": (
        "inventory_target: 101 %",
        "inventory_target must be a number, an amount",
        "a share of the account between -100 % and 100 %, of a cash account between 0 % and 100 %, was '101 %'",
    ),
    "horizon zero": ("horizon_seconds: 0", "above 0 and at most 86400, was 0"),
    "window too short": (
        "recalibrate_minutes: 61",
        "recalibrate_window_minutes must be at least recalibrate_minutes (61.0), was 60.0",
    ),
    "regimes without a calibration": (
        "volatility_regimes: [{above_quantile: 0.9, pause: true}]",
        "calibration must be given with volatility_regimes",
    ),
    "regimes alike": (
        "calibration: none.yaml\n  volatility_regimes: [{above_quantile: 0.9}, {above_quantile: 0.9, width: 2}]",
        "volatility_regimes must have different above_quantile values, was [0.9, 0.9]",
    ),
    "session at no time of day": (
        "session_hours: [{start: '24:00', end: '08:00'}]",
        "a time of day in quotes",
        "was '24:00'",
    ),
    "session without a factor": (
        "session_hours: [{start: '08:00', end: '09:00'}]",
        "a session must have a width or a size other than 1, was 1 for both",
    ),
    "session without length": (
        "session_hours: [{start: '08:00', end: '08:00'}]",
        "end must differ from start (08:00), was 08:00",
    ),
    "trend of no slope": ("trend_threshold_bps: 0", "above 0 and at most 10000, or null, was 0"),
    "correlation with an unknown pair": (
        "correlation_pause: {symbol: ETH/USDT, above: 0.8}",
        "correlation_pause.symbol must be one of the symbols (",
        "was ETH/USDT",
    ),
    "key misspelt": (
        "min_spred_pct: 0.1",
        "unknown key min_spred_pct (did you mean min_spread_pct?), was 0.1",
    ),
    "key unknown": ("colour: red", "unknown key colour", "not shown"),
    "key repeated": ("gamma: 0.1\n  gamma: 0.2", ":14:", "gamma", "was given again as 0.2", "line 13"),
    "key a number": ("5: 0.1", "a key must be text, was 5"),
    "merge key": ("<<: {gamma: 0.1}", "merge keys must be written out", "was <<"),
    "tag": ("gamma: !!float 0.1", "must have no YAML tag", "float"),
    "another limit than the venue's": (
        "rate_limit: {kraken: pro}",
        "strategy.rate_limit",
        "must be venue.rate_limit (null) or not given, was {kraken: pro}",
    ),
    "own orders on a simulated venue": (
        "own_orders_in_book: true",
        "strategy.own_orders_in_book",
        "must be false with a simulated venue",
        "was true",
    ),
    "own orders in best quotes": (
        "own_orders_in_book: true\n  book_data: quotes",
        "strategy.own_orders_in_book",
        "must be false with book_data: quotes",
        "must be false with a simulated venue",
        "was true",
    ),
    "quote life negative": (
        "min_quote_life_seconds: -1",
        "min_quote_life_seconds",
        "between 0 and 3600, was -1",
    ),
    "other venue": ("venue: BINANCE", "must be venue.name (KRAKEN)", "was BINANCE"),
}
CASES: dict[str, tuple[str, ...]] = {name: (GAMMA, *case) for name, case in OF_GAMMA.items()} | {
    # name: (text in GOOD, what replaces it, fragments of the one message)
    "gamma of one symbol": (
        "min_spread_pct: 0.05",
        "gamma: 7",
        ":16:",
        "XRP/USDT.gamma",
        "0.01 and 1.0, got 7",
    ),
    "size negative": ("position_size_usd: 20", "position_size_usd: -5", "must be positive, got -5"),
    "size zero": ("position_size_usd: 20", "position_size_usd: 0", "must be positive, got 0"),
    "size missing": (
        "position_size_usd: 20",
        "position_size_usd:",
        ":11:",
        "Missing required config: position_size_usd",
    ),
    "size with separators": (
        "usd: 20",
        "usd: 1_000",
        "position_size_usd",
        "finite number above 0",
        "'1_000'",
    ),
    "size a sexagesimal": ("usd: 20", "usd: 1:30", "position_size_usd", "finite number above 0", "'1:30'"),
    "size octal": ("usd: 20", "usd: 020", "position_size_usd", "finite number above 0", "'020'"),
    "size beyond the engine": (
        "usd: 20",
        "usd: 1e15",
        "position_size_usd",
        "at most 1000000000000",
        "was 1000000000000000.0",
    ),
    "size above the cap": (
        "max_inventory: 100",
        "max_inventory: 10",
        ":12:",
        "max_inventory must be at least one quote (position_size_usd 20 USDT), was 10 USDT",
    ),
    "amount without currency": ("position_size_usd: 20", "position_size: 25", "a positive amount", "was 25"),
    "amount negative": (
        "max_inventory: 100",
        "max_inventory: -3 XRP",
        ": max_inventory must be positive, got -3 XRP",
    ),
    "amount zero": (
        "max_inventory: 100",
        "max_inventory: 0 XRP",
        ": max_inventory must be positive, got 0 XRP",
    ),
    "amount in small letters": ("inventory: 100", "inventory: 3 xrp", "max_inventory", "150 XRP", "'3 xrp'"),
    "cooldown zero": ("cooldown_seconds: 3", "cooldown_seconds: 0", ":18:", "must be positive, got 0"),
    "spread zero": ("min_spread_pct: 0.05", "min_spread_pct: 0", "above 0 and at most 5, was 0"),
    "spread a percentage": ("min_spread_pct: 0.05", "min_spread_pct: 5%", "above 0 and at most 5, was '5%'"),
    "trail too far when merged": (
        "min_spread_pct: 0.05",
        "trailing_stop_activation: 0.1",
        ":16:",
        "XRP/USDT",
        "must be below trailing_stop_activation (0.1), was 0.15",
    ),
    "micro-price without a table": (
        "min_spread_pct: 0.05",
        "fair_price: microprice",
        ":16:",
        "calibration must be given with fair_price: microprice",
        "was null",
    ),
    "correlation of a pair with itself": (
        "BTC/USDT:",
        "BTC/USDT:\n      correlation_pause: {symbol: BTC/USDT, above: 0.8}",
        "correlation_pause.symbol must be another pair than its own (BTC/USDT)",
        "was BTC/USDT",
    ),
    "key of a symbol misspelt": (
        "cooldown_seconds",
        "cooldown_second",
        "did you mean cooldown_seconds?",
        "was 3",
    ),
    "key at the wrong level": ("name: probe", "gamma: 0.1", "(it belongs under strategy)", "was 0.1"),
    "symbol with a space": ("BTC/USDT:", "BTC USDT:", "letters, digits", "was 'BTC USDT'"),
    "symbol that is a number": ("BTC/USDT:\n      cooldown_seconds: 3", "BTC/USDT: 5", "BTC/USDT", "was 5"),
    "catalog empty": (
        "catalog: catalog",
        "catalog: ''",
        "a folder or a URL such as s3://bucket/path",
        "was ''",
    ),
    "catalog missing": ("catalog: catalog\n", "", "Missing required config: catalog"),
    "start a word": ("2025-12-13T00:00:00Z", "yesterday", "start must be a date from", "was 'yesterday'"),
    "start no day": ("2025-12-13T00:00:00Z", "2025-02-30", "start must be a date from", "was '2025-02-30'"),
    "start before the engine's time": ("2025-12-13", "1900-01-01", "from 1970 to 2261", "1900-01-01T"),
    "start a number": ("2025-12-13T00:00:00Z", "1765584000", "a date from", "was 1765584000"),
    "end before start": (
        "venue:",
        "end: 2025-12-12T00:00:00Z\nvenue:",
        "end must be after start (2025-12-13T00:00:00+00:00), was 2025-12-12T00:00:00+00:00",
    ),
    "name with a slash": ("name: probe", "name: ../probe", "one to sixty letters", "was '../probe'"),
    "name a number": ("name: probe", "name: 5", "name must be a text", "was 5"),
    "venue a text": ("strategy:", "output: runs\nstrategy:", "output must be a mapping of keys, was 'runs'"),
    "fee above 5 %": ("maker_fee_pct: 0.1", "maker_fee_pct: 10", "maker_fee_pct", "between -5 and 5, was 10"),
    "fee missing": ("    taker_fee_pct: 0.1\n", "", ":7:", "Missing required config: taker_fee_pct"),
    "balance negative": ("500 XRP", "-1 XRP", "starting_balances[1]", "0 or more", "'-1 XRP'"),
    "balance repeated": ("500 XRP", "5 USDT", "each currency once, was 5 USDT"),
    "balance finer than money": (
        "500 XRP",
        "0.123456789 XRP",
        "starting_balances[1]",
        "at most 8 decimal places",
        "'0.123456789 XRP'",
    ),
    "balances empty": ("[1000 USDT, 500 XRP]", "[]", "starting_balances must be a list", "was []"),
    "leverage with cash": ("  fees:", "  leverage: 3\n  fees:", "leverage must be 1", "cash, was 3.0"),
    "fees of another symbol": (
        "  fees:",
        "  symbol_fees: {ETH/USDT: {maker_fee_pct: 0, taker_fee_pct: 0}}\n  fees:",
        "must be one of strategy.symbols (XRP/USDT, BTC/USDT), was ETH/USDT",
    ),
    "levels of one symbol that cross": (
        "min_spread_pct: 0.05",
        "levels: [{width_bps: 2}, {width_bps: 1}]",
        ":16:",
        "XRP/USDT.levels",
        "(2.0), was 1.0: levels 1 and 2 cross",
    ),
    "unknown tier": (
        "  fees:",
        "  rate_limit: {kraken: gold}\n  fees:",
        "rate_limit.kraken",
        "starter, intermediate or pro, or null, was 'gold'",
    ),
    "half a bucket": (
        "  fees:",
        "  rate_limit: {actions: 50}\n  fees:",
        "rate_limit",
        "both of actions and seconds must be given, was {actions: 50}",
    ),
    "a limit of nothing": (
        "  fees:",
        "  rate_limit: {kraken: null}\n  fees:",
        "either kraken or both of actions and seconds must be given, was {kraken: null}",
    ),
    "tier and bucket": (
        "  fees:",
        "  rate_limit: {kraken: pro, seconds: 2}\n  fees:",
        "kraken must not be given together with actions or seconds, was {kraken: pro, seconds: 2.0}",
    ),
    "bucket too small to budget": (
        "  fees:",
        "  rate_limit: {actions: 7, seconds: 1}\n  fees:",
        "rate_limit.actions",
        "at least 8 with rate_limit_policy: budget, which keeps 6",
        "was 7",
    ),
    "log level": ("venue:", "output: {log_level: loud}\nvenue:", "ERROR, WARNING, INFO or DEBUG", "'loud'"),
    "tab": ("  gamma: 0.1", "\tgamma: 0.1", ":13:1: not valid YAML", "indent with spaces"),
    "two documents": ("venue:", "---\nvenue:", ":4: the text must be one YAML document"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def bad_file(folder: Path, name: str) -> Path:
    wanted, replacement, *_ = CASES[name]
    assert GOOD.count(wanted) >= 1
    path = folder / "bad.yaml"
    path.write_text(GOOD.replace(wanted, replacement, 1), encoding="utf-8")
    return path


def test_there_are_enough_and_the_good_one_is_good(folder):
    assert len(CASES) >= 45
    path = folder / "good.yaml"
    path.write_text(GOOD, encoding="utf-8")
    assert load_config(path).config.name == "probe"


@pytest.mark.parametrize("name", CASES)
def test_bad_configuration_is_refused(name, folder, capsys):
    path = bad_file(folder, name)
    with pytest.raises(ConfigError) as refused:
        load_config(path)
    assert len(refused.value.problems) == 1
    assert refused.value.problems[0].startswith(f"{path}:")
    for fragment in CASES[name][2:]:
        assert fragment in refused.value.problems[0]
    with pytest.raises(SystemExit) as left:
        main(["backtest", str(path)])
    output = capsys.readouterr()
    assert left.value.code == 2
    assert output.err == f"error: {refused.value.problems[0]}\n"
    assert output.out == ""
    assert [entry.name for entry in folder.iterdir()] == ["bad.yaml"]


def test_process_ends_with_2_and_one_line(folder):
    words = [sys.executable, str(ROOT / "run_backtest.py"), str(bad_file(folder, "tab"))]
    ended = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("error: ")
    assert len(ended.stderr.splitlines()) == 1
    assert "Traceback" not in ended.stderr
    assert [entry.name for entry in folder.iterdir()] == ["bad.yaml"]


def test_every_problem_is_listed_at_once(folder, command, monkeypatch):
    monkeypatch.chdir(folder)
    path = folder / "bad.yaml"
    path.write_text(GOOD.replace("gamma: 0.1", "gamma: 5\n  colour: red"), encoding="utf-8")
    ended = command("backtest", "bad.yaml", "--set", "venue.leverage=500", "--set", "nonsense")
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [
        "error: --set must be KEY.KEY=VALUE such as strategy.gamma=0.3, was 'nonsense'",
        "error: bad.yaml:13: strategy.gamma: gamma must be between 0.01 and 1.0, got 5",
        "error: bad.yaml:14: strategy.colour: unknown key colour (no known key is similar; the "
        "configuration reference lists them); what was given is not shown, as it may be "
        "a secret",
        "error: --set venue.leverage: leverage must be between 1 and 100, was 500",
    ]


def test_missing_file_is_one_line(folder, command, monkeypatch):
    monkeypatch.chdir(folder)
    ended = command("backtest", "absent.yaml")
    assert ended.returncode == 2
    hint = "there is no YAML file in .; `mm-nautilus config init` writes one"
    expected = f"the configuration must be an existing file, was not found ({hint})"
    assert ended.stderr == f"error: absent.yaml: {expected}\n"
