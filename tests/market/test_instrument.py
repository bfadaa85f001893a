"""What an instrument's definition refuses."""

from decimal import Decimal

import pytest

from mm_nautilus.market.instrument import ORDER_LIMITS, InstrumentSpec, decimal_places, names_currencies


def spec(**changes) -> InstrumentSpec:
    given = {
        "symbol": "XRP/USDT",
        "venue": "KRAKEN",
        "base": "XRP",
        "quote": "USDT",
        "price_increment": Decimal("0.00001"),
        "size_increment": Decimal("0.000001"),
    }
    return InstrumentSpec(**(given | changes))


def test_id_and_precisions_are_derived():
    assert spec().instrument_id == "XRP/USDT.KRAKEN"
    assert (spec().price_precision, spec().size_precision) == (5, 6)
    assert spec(price_increment=Decimal("0.10")).price_precision == 2
    assert spec(price_increment=Decimal(5)).price_precision == 0


@pytest.mark.parametrize("name", ["price_increment", "size_increment", *ORDER_LIMITS])
@pytest.mark.parametrize("value", ["0", "-1", "NaN", "Infinity"])
def test_increments_and_minimums_are_positive(name, value):
    with pytest.raises(ValueError, match=f"{name} of XRP/USDT must be a positive number, was {value}"):
        spec(**{name: Decimal(value)})


@pytest.mark.parametrize("name", ["maker_fee_rate", "taker_fee_rate"])
@pytest.mark.parametrize("value", ["0.050001", "-0.06", "NaN"])
def test_fees_are_small_fractions(name, value):
    spec(**{name: Decimal("-0.05")})
    with pytest.raises(
        ValueError, match=f"{name} of XRP/USDT must be a fraction between -0.05 and 0.05, was {value}"
    ):
        spec(**{name: Decimal(value)})


def test_a_pair_has_two_currencies():
    with pytest.raises(ValueError, match="base and quote of XRP/USDT must differ, was USDT for both"):
        spec(base="USDT")


@pytest.mark.parametrize(("base", "quote"), [("USDT", "XRP"), ("ETH", "USDT"), ("XRP", "USD")])
def test_the_currencies_are_the_symbols(base, quote):
    words = f"base and quote of XRP/USDT must be those of its symbol, was {base} and {quote}"
    with pytest.raises(ValueError, match=words):
        spec(base=base, quote=quote)
    assert spec(symbol="tXRP:UST", base=base, quote=quote).base == base


@pytest.mark.parametrize(
    ("symbol", "base", "quote", "fits"),
    [
        ("BTC/USDT", "BTC", "USDT", True),
        ("BTC/USDT", "BTC", "USD", False),
        ("BTCUSDT", "BTC", "USDT", True),
        ("BTC-USDT-SPOT", "BTC", "USDT", True),
        ("tBTC:UST", "BTC", "UST", True),
        ("BTC_USDT", "USDT", "BTC", False),
        ("BTCUSDT", "ETH", "USDT", False),
    ],
)
def test_a_symbol_names_its_base_before_its_quote(symbol, base, quote, fits):
    assert names_currencies(symbol, base, quote) is fits


def test_only_finite_decimals_have_places():
    with pytest.raises(ValueError, match="a finite decimal is needed, was NaN"):
        decimal_places(Decimal("NaN"))
