from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_nautilus.market.rates import Leg, Rates

PAIRS = {
    "XRP/USDT": ("XRP", "USDT"),
    "BTC/USDT": ("BTC", "USDT"),
    "XRP/BTC": ("XRP", "BTC"),
    "ETH/BTC": ("ETH", "BTC"),
    "SOL/ETH": ("SOL", "ETH"),
}
PRICES = {
    "XRP/USDT": Decimal("2.5"),
    "BTC/USDT": Decimal(80_000),
    "XRP/BTC": Decimal("0.00003"),
    "ETH/BTC": Decimal("0.05"),
    "SOL/ETH": Decimal("0.04"),
}


@pytest.fixture
def prices():
    return dict(PRICES)


@pytest.fixture
def rates(prices):
    return Rates(PAIRS, prices.get, Decimal(1))


@pytest.mark.parametrize(
    ("source", "target", "rate"),
    [
        ("USDT", "USDT", Decimal(1)),
        ("DOGE", "DOGE", Decimal(1)),
        ("XRP", "USDT", Decimal("2.5")),
        ("USDT", "XRP", Decimal("0.4")),
        ("XRP", "BTC", Decimal("0.00003")),  # its own pair, not the two over USDT
        ("ETH", "USDT", Decimal(4000)),
        ("USDT", "ETH", Decimal("0.00025")),
        ("SOL", "BTC", Decimal("0.002")),
        ("SOL", "USDT", None),  # three pairs away
        ("DOGE", "USDT", None),
        ("USDT", "DOGE", None),
    ],
)
def test_rate_over_at_most_two_pairs(rates, source, target, rate):
    assert rates.rate(source, target) == rate


def test_path_names_the_pairs_and_their_direction(rates):
    assert rates.path("USDT", "ETH") == (Leg("BTC/USDT", inverse=True), Leg("ETH/BTC", inverse=True))
    assert rates.path("XRP", "USDT") == (Leg("XRP/USDT", inverse=False),)
    assert rates.path("USDT", "USDT") == ()
    assert rates.path("SOL", "USDT") is None


@pytest.mark.parametrize("missing", ["BTC/USDT", "ETH/BTC"])
def test_a_pair_without_a_price_makes_the_rate_unknown_until_it_comes(rates, prices, missing):
    price = prices.pop(missing)

    before = rates.rate("ETH", "USDT")
    prices[missing] = price

    assert before is None
    assert rates.rate("ETH", "USDT") == 4000


def test_rates_follow_the_prices(rates, prices):
    rates.rate("XRP", "USDT")

    prices["XRP/USDT"] = Decimal(3)

    assert rates.rate("XRP", "USDT") == 3


def test_decimals_stay_decimals_and_floats_stay_floats():
    floats = Rates(PAIRS, lambda symbol: float(PRICES[symbol]), 1.0)
    decimals = Rates(PAIRS, PRICES.get, Decimal(1))

    assert type(floats.rate("ETH", "USDT")) is float
    assert type(floats.rate("USDT", "USDT")) is float
    assert type(decimals.rate("USDT", "ETH")) is Decimal


@settings(max_examples=100)
@given(
    price=st.integers(1, 10**9),
    second=st.integers(1, 10**9),
    ends=st.sampled_from([("XRP", "USDT"), ("ETH", "USDT"), ("XRP", "BTC"), ("ETH", "XRP")]),
)
def test_there_and_back_is_one(price, second, ends):
    prices = {symbol: Decimal(price if symbol != "BTC/USDT" else second) / 1000 for symbol in PAIRS}
    rates = Rates(PAIRS, prices.get, Decimal(1))

    there, back = rates.rate(*ends), rates.rate(*reversed(ends))

    assert float(there * back) == pytest.approx(1.0, rel=1e-12)
