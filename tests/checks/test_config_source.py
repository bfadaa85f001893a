import itertools
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mm_nautilus.checks.config_source import load_config, resolved_yaml
from mm_nautilus.config.problems import Problem
from mm_nautilus.config.run import RunConfig
from mm_nautilus.config.yaml_source import read_yaml, scalar_value
from mm_nautilus.errors import ConfigError

GOOD = """\
name: probe
catalog: data/catalog
venue:
  name: KRAKEN
  starting_balances: [1000 USDT, 500 XRP]
strategy:
  gamma: 0.2
  symbols:
    XRP/USDT:
      min_spread_pct: 0.05
    BTC/USDT:
"""


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD, encoding="utf-8")
    return path


def refusals(path: Path, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        load_config(path, overrides)
    assert all(text and "\n" not in text for text in error.value.problems)
    return error.value.problems


# -- Files --------------------------------------------------------------------------------------------


def test_values_are_read_with_their_sources(good):
    loaded = load_config(good, ["strategy.symbols.XRP/USDT.gamma=0.3"])
    assert loaded.config.name == "probe"
    assert loaded.config.strategy.for_symbol("XRP/USDT").gamma == 0.3
    assert loaded.config.strategy.for_symbol("BTC/USDT").gamma == 0.2
    assert loaded.source("strategy", "gamma") == f"{good}:7"
    assert loaded.source("venue", "starting_balances", "1") == f"{good}:5"
    assert loaded.source("strategy", "symbols", "XRP/USDT", "gamma") == "--set"
    assert loaded.source("strategy", "stop_loss_pct") == "default"
    assert list(loaded.warnings) == []


def test_warnings_end_with_their_place(good):
    loaded = load_config(good, ["strategy.symbols.XRP/USDT.take_profit_pct=0.225"])
    text = "Warning: XRP/USDT: Poor R:R ratio (0.45:1), requires 69% win rate (--set)"
    assert list(loaded.warnings) == [text]


def test_all_warnings_are_those_and_the_risks_of_the_fees_that_are_configured(good):
    assert load_config(good).all_warnings() == []
    loaded = load_config(
        good, ["venue.fees={maker_fee_pct: 0.1, taker_fee_pct: 0.1}", "strategy.min_spread_pct=0.3"]
    )
    assert list(loaded.warnings) == []
    (narrow,) = [text for text in loaded.all_warnings() if "min_spread_pct" in text]
    assert narrow.startswith("Warning: XRP/USDT: min_spread_pct 0.05 % is below two maker fees")
    assert narrow.endswith(f" ({good}:10)")


def test_problems_found_later_get_their_place(good):
    loaded = load_config(good)
    problem = Problem(("strategy", "symbols", "XRP/USDT", "position_size_usd"), "text")
    assert loaded.located(problem) == f"{good}:9: strategy.symbols.XRP/USDT.position_size_usd: text"


def test_catalog_is_relative_to_the_file_or_to_the_working_directory(good, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert load_config(good).config.catalog == tmp_path / "data" / "catalog"
    assert load_config(good, ["catalog=data"]).config.catalog == elsewhere / "data"
    assert load_config(good, ["output.directory=out"]).config.output.directory == Path("out")


def test_calibration_is_relative_as_the_catalog_is(
    good, tmp_path, monkeypatch, calibration_file, symbol_calibration
):
    file = calibration_file({"XRP/USDT": symbol_calibration()}, "measured.yaml")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    text = GOOD.replace("  gamma: 0.2\n", "  gamma: 0.2\n  calibration: measured.yaml\n")
    good.write_text(text, encoding="utf-8")
    loaded = load_config(good)
    assert loaded.config.strategy.calibration == file
    assert loaded.source("strategy", "calibration") == f"{good}:8"
    resolved = elsewhere / "resolved.yaml"
    resolved.write_text(resolved_yaml(loaded.config), encoding="utf-8")
    assert load_config(resolved).config.strategy.calibration == file
    (elsewhere / "other.yaml").write_bytes(file.read_bytes())
    other = load_config(good, ["strategy.calibration=other.yaml"]).config.strategy.calibration
    assert other == elsewhere / "other.yaml"
    assert load_config(good, ["strategy.calibration=null"]).config.strategy.calibration is None


def test_problems_of_the_calibration_get_the_place_of_its_key(good, calibration_file, symbol_calibration):
    calibration_file({"XRP/USDT": symbol_calibration()}, "measured.yaml")
    model = ("strategy.use_reservation_price=true", "strategy.reservation_model=glft")
    text = GOOD.replace("  gamma: 0.2\n", "  gamma: 7\n  calibration: measured.yaml\n")
    good.write_text(text, encoding="utf-8")
    texts = refusals(good, *model)
    assert texts == [f"{good}:7: strategy.gamma: gamma must be between 0.01 and 1.0, got 7"]
    (lacking,) = refusals(good, *model, "strategy.gamma=0.1")
    assert lacking.startswith(f"{good}:8: strategy.calibration: ")
    assert lacking.endswith("must be in it (XRP/USDT), was BTC/USDT")
    absent = refusals(good, "strategy.gamma=0.1", "strategy.calibration=absent.yaml")
    assert len(absent) == 1
    assert absent[0].startswith("--set strategy.calibration: ")


def test_what_a_faulty_key_hides_is_not_looked_for_in_a_calibration(
    good, calibration_file, symbol_calibration
):
    file = calibration_file({"XRP/USDT": symbol_calibration()})
    model = ("strategy.use_reservation_price=true", "strategy.reservation_model=glft")
    texts = refusals(good, *model, f"strategy.calibration={file}", "strategy.symbols=5")
    assert texts == [
        "--set strategy.symbols: symbols must be a mapping of symbols with at least one of them, was 5"
    ]


def test_byte_order_mark_is_skipped(good):
    good.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert load_config(good).config.name == "probe"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", ": a configuration must be a mapping of keys, was an empty file"),
        (b"# only a comment\n", ": a configuration must be a mapping of keys, was an empty file"),
        (b"- a\n- b\n", ":1: a configuration must be a mapping of keys, was ['a', 'b']"),
        (b"name: a\nx: \xff\n", ":2: a configuration must be UTF-8 text, was byte 0xff"),
        ("name: a\n".encode("utf-16"), ":1: a configuration must be UTF-8 text, was byte 0xff"),
        (b"a:\n\t b: 1\n", ":2:1: not valid YAML: found character '\\t' that cannot start any token"),
        (b"a: [1, 2\n", ":2:1: not valid YAML: expected ',' or ']'"),
        (b"a: b: c\n", ":1:5: not valid YAML: mapping values are not allowed here"),
        (b"a: \x07\n", ":1:4: not valid YAML: character '\\x07' is not allowed"),
        (GOOD.encode() + b"---\nname: b\n", ":12: the text must be one YAML document, was a second one"),
        (b"a: *x\n", ":1:4: not valid YAML: found undefined alias 'x'"),
        (b"a: &x [*x]\n", ":1: values must be nested at most 20 deep, was deeper"),
        (b"a: " + b"[" * 30 + b"]" * 30 + b"\n", ":1: values must be nested at most 20 deep, was deeper"),
        (b"[" * 9_000, ":1: values must be nested at most 20 deep, was deeper"),
        (b"#" * 1_000_001, ": a configuration must have at most 1000000 bytes, was larger"),
    ],
)
def test_files_that_are_no_configuration(tmp_path, content, expected):
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    texts = refusals(path)
    assert len(texts) == 1
    assert texts[0].startswith(f"{path}{expected}")


def test_aliases_that_multiply_are_refused_in_time(tmp_path):
    path = tmp_path / "bomb.yaml"
    rows = [f"k{row}: &a{row} [{', '.join([f'*a{row - 1}'] * 9)}]" for row in range(1, 10)]
    path.write_text("k0: &a0 [x]\n" + "\n".join(rows), encoding="utf-8")
    assert "a text must hold at most 20000 values, was more" in refusals(path)[0]


def test_missing_file_names_the_nearest(good):
    text = refusals(good.with_name("goood.yaml"))[0]
    assert text.endswith(f"the configuration must be an existing file, was not found (did you mean {good}?)")
    made = "; `mm-nautilus config init` writes one)"
    assert refusals(good.with_name("zzz"))[0].endswith(f"was not found (there are good.yaml{made}")
    folder = good.parent / "nowhere"
    assert refusals(folder / "a.yaml")[0].endswith(f"was not found (there is no folder {folder}{made}")
    folder.mkdir()
    (folder / ".a.yaml").touch()
    assert refusals(folder / "a.yaml")[0].endswith(f"was not found (there is no YAML file in {folder}{made}")


def test_folder_is_refused(tmp_path):
    assert refusals(tmp_path) == [f"{tmp_path}: a configuration must be a YAML file, was a folder"]


def test_path_through_a_file_is_refused(good):
    assert refusals(good / "x.yaml") == [
        f"{good / 'x.yaml'}: the configuration cannot be read: Not a directory"
    ]


# -- YAML ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.1", 0.1),
        ("-3", -3),
        ("+5", 5),
        (".5", 0.5),
        ("1e-3", 0.001),
        ("1.", 1.0),
        ("0", 0),
        ("-0.0", 0.0),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        (".inf", float("inf")),
        ("-.INF", float("-inf")),
    ],
)
def test_plain_scalars(text, value):
    read = scalar_value(text)
    assert read == value
    assert type(read) is type(value)


def test_nan_is_read_as_such():
    assert scalar_value(".nan") != scalar_value(".nan")


@pytest.mark.parametrize(
    "text",
    [
        *("no", "on", "yes", "off", "y", "1_000", "1:30", "010", "0x1F", "0o17", "2025-12-13", "1,5"),
        *("inf", "nan", "25 XRP", "- 1", "１", "1e", "9" * 50),
    ],
)
def test_what_yaml_1_1_would_misread_stays_text(text):
    assert scalar_value(text) is text


def test_quoted_scalars_are_texts():
    read = read_yaml("a: '5'\nb: \"true\"\n")
    assert read.value == {"a": "5", "b": "true"}
    assert read.problems == []


def test_aliases_repeat_a_value():
    read = read_yaml("a: &fees {maker: 1}\nb: *fees\n")
    assert read.value == {"a": {"maker": 1}, "b": {"maker": 1}}
    assert read.lines["b", "maker"] == 1
    assert read.problems == []


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "key a must be given once, was given again as 3 (first in line 1)"),
        ("a:\n  b: 1\n  b: 2\n", 3, "key b must be given once, was given again as 2 (first in line 2)"),
        ("a: 1\n5: 2\n", 2, "a key must be text, was 5"),
        ("true: 2\n", 1, "a key must be text, was true"),
        ("? [a]\n: 2\n", 1, "a key must be text, was a list or a mapping"),
        ("a: &x {b: 1}\n<<: *x\n", 2, "merge keys must be written out"),
        ("{a: 1,\n a: 2,\n a: 3}", 2, "key a must be given once, was given again as 2 (first in line 1)"),
        ("a: ! 5\n", 1, "values must have no YAML tag, was !"),
        ("a: !!str 5\n", 1, "values must have no YAML tag, was yaml.org,2002:str"),
        ("a: !!python/object/apply:os.system [x]\n", 1, "values must have no YAML tag"),
    ],
)
def test_problems_of_the_text_have_lines(text, line, message):
    problems = read_yaml(text).problems
    assert problems[0].line == line
    assert all("first in line 1" in problem.message for problem in problems[1:])
    assert problems[0].message.startswith(message)


@settings(max_examples=200)
@given(st.text(alphabet=st.sampled_from("ab:-[]{}&*!|>'\"#%@,? \n\t1.~<") | st.characters(), max_size=60))
def test_any_text_is_read_or_refused(text):
    read = read_yaml(text)
    assert all(problem.line >= 1 and "\n" not in problem.message for problem in read.problems)
    if not read.lines and read.problems == []:
        assert yaml.compose(text, Loader=yaml.SafeLoader) is None


def test_problems_of_the_text_and_of_the_values_are_reported_together(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text(GOOD.replace("gamma: 0.2", "gamma: 7\n  gamma: 8") + "colour: red\n", encoding="utf-8")
    assert refusals(path) == [
        f"{path}:8: key gamma must be given once, was given again as 8 (first in line 7)",
        f"{path}:8: strategy.gamma: gamma must be between 0.01 and 1.0, got 8",
        f"{path}:13: colour: unknown key colour (known here: name, catalog, start, end, chunk_rows, venue, "
        "funding, strategy, metrics, output); what was given is not shown, as it may be "
        "a secret",
    ]


# -- Overrides ----------------------------------------------------------------------------------------


def test_overrides_replace_values_at_any_depth(good):
    config = load_config(
        good,
        [
            "venue.fees.maker_fee_pct=0",
            "venue.fees.taker_fee_pct=0.1",
            "venue.starting_balances.1=5 BTC",
            "start=2025-12-13T00:00:00Z",
            "strategy.symbols.ETH/USDT={gamma: 0.5}",
            "strategy.max_drawdown_pct=",
        ],
    ).config
    assert config.venue.fees is not None
    assert config.venue.fees.taker_fee_pct == 0.1
    assert [str(balance) for balance in config.venue.starting_balances] == ["1000 USDT", "5 BTC"]
    assert config.start == datetime(2025, 12, 13, tzinfo=UTC)
    assert config.strategy.for_symbol("ETH/USDT").gamma == 0.5


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("strategy.gamma", "--set must be KEY.KEY=VALUE such as strategy.gamma=0.3, was 'strategy.gamma'"),
        ("=3", "--set must be KEY.KEY=VALUE such as strategy.gamma=0.3, was '=3'"),
        (
            "strategy..gamma=3",
            "--set must be KEY.KEY=VALUE such as strategy.gamma=0.3, was 'strategy..gamma=3'",
        ),
        ("strategy.gamma=5", "--set strategy.gamma: gamma must be between 0.01 and 1.0, got 5"),
        ("strategy.gama=1", "--set strategy.gama: unknown key gama (did you mean gamma?), was 1"),
        (
            "strategi.gamma=1",
            "--set strategi: unknown key strategi (did you mean strategy?), was {'gamma': 1}",
        ),
        ("gamma=0.1", "--set gamma: unknown key gamma (it belongs under strategy), was 0.1"),
        (
            "strategy.catalog=x",
            "--set strategy.catalog: unknown key catalog (it belongs at the top); what was given is not "
            "shown, as it may be a secret",
        ),
        ("name.x=1", "--set name.x: name must be a mapping to have a key x, was 'probe'"),
        (
            "strategy.symbols.XPR/USDT.gamma=0.1",
            "--set strategy.symbols.XPR/USDT.gamma: a symbol with keys must be configured (XRP/USDT, "
            "BTC/USDT; did you mean XRP/USDT?), was XPR/USDT with 0.1",
        ),
        (
            "venue.starting_balances.7=5 USDT",
            "--set venue.starting_balances.7: an entry of venue.starting_balances must be a number from "
            "0 to 1, was 7",
        ),
        (
            "venue.fees=[",
            "--set venue.fees: not valid YAML: expected the node content, but found '<stream end>'",
        ),
    ],
)
def test_bad_overrides_have_one_message(good, override, expected):
    assert refusals(good, override) == [expected]


def test_a_key_is_set_once(good):
    expected = "--set name: a key must be set once, was set again to 'b'"
    assert refusals(good, "name=a", "name=b") == [expected]


# -- And back -----------------------------------------------------------------------------------------

NUMBERS = st.floats(0.001, 1).map(lambda number: float(f"{number:.6g}"))
OVERRIDES = st.fixed_dictionaries(
    {},
    optional={
        "min_edge_bps": st.none() | NUMBERS,
        "use_trailing_stop": st.booleans(),
        "volatility_lookback": st.integers(2, 1440),
        "max_inventory": NUMBERS.map(lambda number: 200 + number) | st.just("150.50 XRP"),
        "take_profit_pct": st.floats(1e-9, 100),
        "inventory_target": st.integers(-200, 200) | st.sampled_from(["-50.5 XRP", "0 BTC", "33.5 %"]),
        "levels": st.sampled_from([1, [{"width_bps": 0, "size": 2}], [{"width_bps": 0.5}, {"width_bps": 2}]]),
        "fair_price": st.sampled_from(["mid", "weighted_mid"]),
        "recalibrate_minutes": st.none() | st.integers(1, 60),
    },
)
LEANS = st.sampled_from(
    [{}, {"gamma": 0.25}, {"skew_bps_at_max_inventory": 4}, {"skew_bps_at_max_inventory": None}]
)
SIZES = st.sampled_from([{}, {"position_size": "25 XRP"}, {"position_size_usd": 30}])
WORDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True)
MOMENTS = st.none() | st.integers(0, 2**33).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
SYMBOLS = st.from_regex(r"[A-Za-z0-9/_:-]{1,12}", fullmatch=True)
RUNS = st.fixed_dictionaries(
    {
        "name": WORDS,
        "catalog": st.just("/data/catalog"),
        "start": MOMENTS,
        "venue": st.fixed_dictionaries(
            {
                "name": st.from_regex(r"[A-Za-z0-9_-]{1,36}", fullmatch=True),
                "starting_balances": st.sampled_from([["0.00000001 BTC"], ["1000 USDT", "5.10 XRP"]]),
            },
            optional={"fees": st.none() | st.just({"maker_fee_pct": -0.01, "taker_fee_pct": 1e-05})},
        ),
        "strategy": st.builds(
            lambda size, lean, changes, symbols: {
                "max_inventory": 250,
                **size,
                **lean,
                **changes,
                "symbols": symbols,
            },
            SIZES,
            LEANS,
            OVERRIDES,
            st.dictionaries(
                SYMBOLS,
                st.builds(lambda size, lean, changes: {**size, **lean, **changes}, SIZES, LEANS, OVERRIDES),
                min_size=1,
                max_size=3,
            ),
        ),
    },
    optional={
        "output": st.fixed_dictionaries({"directory": st.sampled_from(["runs", "no", "1e3", "a b", "ü: x"])})
    },
)
COUNTER = itertools.count()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(RUNS)
def test_resolved_configurations_are_read_back_as_equal_ones(tmp_path, values: dict[str, Any]):
    config = RunConfig.model_validate(values)
    path = tmp_path / f"{next(COUNTER)}.yaml"
    path.write_text(resolved_yaml(config), encoding="utf-8")
    again = load_config(path).config
    assert again == config
    for symbol in config.strategy.symbols:
        assert again.strategy.for_symbol(symbol) == config.strategy.for_symbol(symbol)
    assert resolved_yaml(again) == path.read_text(encoding="utf-8")
