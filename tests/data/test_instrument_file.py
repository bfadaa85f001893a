"""Instrument definitions from YAML and flags."""

from decimal import Decimal
from pathlib import Path

import pytest

from mm_nautilus.config.run import FeeConfig
from mm_nautilus.data.instrument_file import load_instrument
from mm_nautilus.errors import ConfigError

GOOD = """\
symbol: XRP/USDT
venue: KRAKEN
base: XRP
quote: USDT
price_increment: 0.00010
size_increment: "0.00000001"
min_quantity: 1e1
min_notional: null
maker_fee_pct: 0.25
taker_fee_pct: -0.4
source_symbol: 123
"""


def write(tmp_path, text):
    path = tmp_path / "instrument.yaml"
    path.write_text(text)
    return path


def problems(path, flags=None):
    with pytest.raises(ConfigError) as caught:
        load_instrument(path, flags or {})
    return caught.value.problems


def test_numbers_are_read_digit_by_digit(tmp_path):
    text = GOOD.replace("min_quantity: 1e1", "min_quantity: 1e-1")
    source = load_instrument(write(tmp_path, text + "max_quantity: 0.3\nmax_notional: 7\n"), {})
    spec = source.spec
    assert (str(spec.price_increment), str(spec.size_increment)) == ("0.00010", "1E-8")
    assert (spec.price_precision, spec.size_precision) == (5, 8)
    assert (spec.min_quantity, spec.min_notional) == (Decimal("0.1"), None)
    assert (spec.max_quantity, spec.max_notional) == (Decimal("0.3"), 7)
    assert (spec.maker_fee_rate, spec.taker_fee_rate) == (Decimal("0.0025"), Decimal("-0.004"))
    assert (source.source_symbol, source.off_lot_sizes) == ("123", "refuse")


def test_flags_stand_in_for_the_file(tmp_path):
    source = load_instrument(write(tmp_path, GOOD), {"venue": "BINANCE", "off_lot_sizes": "round_down"})
    assert source.spec.instrument_id == "XRP/USDT.BINANCE"
    assert source.off_lot_sizes == "round_down"


def test_every_problem_is_said_at_once_with_line_and_value(tmp_path):
    text = (
        GOOD.replace("venue", "venu")
        .replace("0.00010", "-1")
        .replace('"0.00000001"', "nan")
        .replace("0.25", "200")
    )
    path = write(tmp_path, text + "symbol: X\nmin_quantity2: [1]\n")
    assert problems(path, {"min_notional": "lots"}) == [
        f"{path}:12: symbol is given twice",
        f"{path}:13: min_quantity2 must be a single value, was a list or a mapping",
        f"{path}: missing venue: a code of letters and digits, such as BINANCE",
        f"{path}:5: price_increment must be a positive number, was -1",
        f"{path}:6: size_increment must be a positive number, was nan",
        "--min-notional: min_notional must be a positive number, was lots",
        f"{path}:9: maker_fee_pct must be a percentage between -5 and 5, was 200",
        f"{path}:2: unknown key venu; did you mean venue?",
    ]


def test_values_that_contradict_each_other(tmp_path):
    path = write(tmp_path, GOOD.replace("quote: USDT", "quote: XRP").replace("1e1", "0.000000015"))
    assert problems(path) == [
        f"{path}:4: quote must differ from base, was XRP for both",
        f"{path}:7: min_quantity must be a multiple of size_increment 1E-8, was 1.5E-8",
    ]


def test_largest_orders_below_the_smallest(tmp_path):
    path = write(tmp_path, GOOD.replace("null", "5"))
    assert problems(path, {"max_quantity": "9.000000001", "max_notional": "4"}) == [
        "--max-quantity: max_quantity must be a multiple of size_increment 1E-8, was 9.000000001",
        "--max-quantity: max_quantity must be at least min_quantity 1E+1, was 9.000000001",
        "--max-notional: max_notional must be at least min_notional 5, was 4",
    ]


@pytest.mark.parametrize(("symbol", "base"), [("XRP/USDT", "ETH"), ("XRPUSDT", "ETH"), ("USDT_XRP", "XRP")])
def test_currencies_that_are_not_those_of_the_symbol(tmp_path, symbol, base):
    path = write(tmp_path, GOOD.replace("XRP/USDT", symbol).replace("base: XRP", f"base: {base}"))
    assert problems(path) == [
        f"{path}:3: base and quote must be those of the symbol {symbol}, was {base} and USDT"
    ]


@pytest.mark.parametrize("fee", ["10", "5.01", "-6"])
def test_a_fee_has_the_limits_it_has_in_a_run(tmp_path, fee):
    path = write(tmp_path, GOOD.replace("0.25", fee))
    assert problems(path) == [f"{path}:9: maker_fee_pct must be a percentage between -5 and 5, was {fee}"]
    assert FeeConfig(maker_fee_pct=5, taker_fee_pct=-5).maker_fee_pct == 5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1, 2]", "must hold keys and values"),
        ("", "must hold keys and values"),
        ("a: [", "is no valid YAML"),
    ],
)
def test_files_that_are_no_definition(tmp_path, text, words):
    assert words in problems(write(tmp_path, text))[0]


def test_a_missing_file(tmp_path):
    there, absent = tmp_path / "absend.yml", tmp_path / "absent.yaml"
    there.touch()
    assert problems(absent) == [
        f"--instrument must be an existing file, was {absent} (did you mean {there}?)"
    ]


def test_the_simulated_mark_is_read(tmp_path):
    assert not load_instrument(write(tmp_path, GOOD), {}).spec.simulated
    assert load_instrument(write(tmp_path, GOOD + "simulated: true\n"), {}).spec.simulated
    assert problems(write(tmp_path, GOOD + "simulated: perhaps\n"))[0].endswith(
        "simulated must be true or false, was perhaps"
    )


def test_without_file_or_flags_every_needed_key_is_missing():
    assert [text.split(":")[0] for text in problems(None)] == [
        f"missing {key}" for key in ("symbol", "venue", "base", "quote", "price_increment", "size_increment")
    ]


@pytest.mark.parametrize("base", ["BTC", "ETH"])
def test_the_shipped_definitions(base):
    path = Path(__file__).parents[2] / "configs" / "instruments" / f"binance_{base.lower()}usdt.yaml"
    source = load_instrument(path, {})
    assert source.spec.instrument_id == f"{base}/USDT.BINANCE"
    assert source.spec.min_quantity == source.spec.size_increment
    assert (source.spec.min_notional, source.spec.maker_fee_rate) == (5, Decimal("0.001"))
    assert source.source_symbol == f"{base}USDT"


PERPETUAL = GOOD.replace("XRP/USDT", "XRPUSDT-PERP").replace("1e1", "0.1") + "type: perpetual\n"


def test_a_perpetual_has_margins_that_leverage_divides(tmp_path):
    text = PERPETUAL + "settlement: USDT\nmultiplier: 1\nmargin_init_pct: 5\nmargin_maint_pct: 2.5\n"
    spec = load_instrument(write(tmp_path, text), {}).spec
    assert (spec.kind, spec.margin_init_rate, spec.margin_maint_rate) == (
        "perpetual",
        Decimal("0.05"),
        Decimal("0.025"),
    )
    plain = load_instrument(write(tmp_path, PERPETUAL), {}).spec
    assert (plain.margin_init_rate, plain.margin_maint_rate) == (1, 1)


def test_what_is_not_linear_is_refused_by_name(tmp_path):
    text = PERPETUAL + "settlement: XRP\nmultiplier: 0.001\nmargin_init_pct: 101\n"
    path = write(tmp_path, text)
    assert problems(path) == [f"{path}:15: margin_init_pct must be a percentage between 0 and 100, was 101"]
    path = write(tmp_path, text.replace("margin_init_pct: 101", ""))
    only = "only spot pairs and linear perpetuals and futures of multiplier 1 are quoted"
    assert problems(path) == [
        f"{path}:14: multiplier must be 1, was 0.001; {only}",
        f"{path}:13: settlement must be the quote currency USDT, was XRP (an inverse or quanto contract); {only}",
    ]
    path = write(tmp_path, PERPETUAL + "margin_init_pct: 5\nmargin_maint_pct: 5.5\n")
    assert problems(path) == [f"{path}:14: margin_maint_pct must be at most margin_init_pct 5, was 5.5"]
    path = write(tmp_path, PERPETUAL + "margin_init_pct: 5\n")
    assert problems(path) == [
        f"{path}:13: margin_maint_pct must be at most margin_init_pct 5, was 100, its default"
    ]
    path = write(tmp_path, GOOD + "margin_init_pct: 5\n")
    assert f"{path}:12: margin_init_pct is for type: perpetual, was given for a spot pair" in problems(path)
