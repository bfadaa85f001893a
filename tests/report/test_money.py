import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_nautilus.report.money import signed_amount, unsigned_amount


@pytest.mark.parametrize(
    ("value", "currency", "text"),
    [
        (1.25, "USDT", "+$1.25"),
        (8.5, "USD", "+$8.50"),
        (-3.12, "USDC", "-$3.12"),
        (0.0, "USDT", "+$0.00"),
        (-0.0, "USDT", "+$0.00"),
        (-0.00499, "USDT", "-$0.0050"),
        (0.0037, "USD", "+$0.0037"),
        (1.2e-7, "USDT", "+$0.00000012"),
        (-4e-9, "USDT", "+$0.00"),
        (-0.00501, "USDT", "-$0.01"),
        (-4e-9, "BTC", "+0.00000000 BTC"),
        (1234.5, "USDT", "+$1234.50"),
        (0.00000125, "BTC", "+0.00000125 BTC"),
        (-0.00000125, "BTC", "-0.00000125 BTC"),
        (25.0, "XRP", "+25.00000000 XRP"),
        (1.5, "EUR", "+1.50 EUR"),
        (-1234.567, "JPY", "-1234.57 JPY"),
        (0.00372, "JPY", "+0.0037 JPY"),
    ],
)
def test_amount_with_its_sign(value, currency, text):
    assert signed_amount(value, currency) == text


@pytest.mark.parametrize(
    ("value", "currency", "text"),
    [
        (195.38, "USDT", "$195.38"),
        (0.0, "USDT", "$0.00"),
        (-0.0, "BTC", "0.00000000 BTC"),
        (-4e-9, "BTC", "0.00000000 BTC"),
        (-0.004, "USDT", "-$0.0040"),
        (-12.5, "USDT", "-$12.50"),
        (0.5, "BTC", "0.50000000 BTC"),
        (-0.5, "BTC", "-0.50000000 BTC"),
    ],
)
def test_amount_with_a_sign_only_if_negative(value, currency, text):
    assert unsigned_amount(value, currency) == text


@settings(max_examples=100)
@given(value=st.floats(-1e9, 1e9), currency=st.sampled_from(["USDT", "BTC", "XRP", "CHF"]))
def test_an_amount_reads_back_and_names_its_currency(value, currency):
    text = signed_amount(value, currency)

    number = text.replace("$", "").removesuffix(f" {currency}")
    assert math.isclose(
        float(number), value, abs_tol=0.005 if currency in ("USDT", "CHF") else 5e-9, rel_tol=1e-12
    )
    assert ("$" in text) == (currency == "USDT") != text.endswith(f" {currency}")
    assert text[0] in "+-"
    assert unsigned_amount(abs(value), currency) == text[1:]
    assert (float(number) == 0) == (abs(value) < 5e-9)
