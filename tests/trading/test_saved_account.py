"""What is kept of an account, and what it takes to open its positions again."""

import itertools
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_nautilus.trading.saved_account import SavedAccount, SavedPosition

AMOUNTS = st.decimals(-(10**9), 10**9, places=8)
CODES = ("XRP", "BTC", "USDT")
PAIRS = (("XRP", "USDT"), ("BTC", "USDT"), ("XRP", "BTC"))


def position(base: str = "XRP", quote: str = "USDT", **changes: object) -> SavedPosition:
    given = {"quantity": Decimal("10"), "average_price": 2.35, "realized": Decimal("-0.0235")} | changes
    return SavedPosition(symbol=f"{base}/{quote}", base=base, quote=quote, **given)  # type: ignore[arg-type]


@st.composite
def accounts(draw: st.DrawFn) -> SavedAccount:
    balances = draw(st.dictionaries(st.sampled_from(CODES), st.decimals(0, 10**9, places=8)))
    pairs = draw(st.lists(st.sampled_from(PAIRS), unique=True))
    positions = [
        position(
            *pair,
            quantity=draw(AMOUNTS.filter(bool)),
            average_price=draw(st.floats(1e-8, 1e6)),
            realized=draw(AMOUNTS),
        )
        for pair in pairs
    ]
    return SavedAccount(balances, tuple(positions))


@given(accounts())
def test_an_account_comes_back_from_json_as_it_was(account):
    back = SavedAccount.from_dict(json.loads(json.dumps(account.to_dict())))
    assert back == account
    assert [p.average_price.hex() for p in back.positions] == [
        p.average_price.hex() for p in account.positions
    ]
    assert {c: f"{a:f}" for c, a in back.balances.items()} == {
        c: f"{a:f}" for c, a in account.balances.items()
    }


def _opened(balances: dict[str, Decimal], opened: SavedPosition, *, is_cash: bool) -> None:
    """Move what the fill that opens a position moves: sizes against value on a cash account, and the commission."""
    balances[opened.quote] += opened.realized
    if is_cash:
        balances[opened.base] = balances.get(opened.base, Decimal(0)) + opened.quantity
        balances[opened.quote] -= opened.quantity * Decimal(opened.average_price)


@given(accounts(), st.booleans())
def test_positions_can_be_opened_again_in_any_order_without_an_overdraft(account, is_cash):
    for order in itertools.permutations(account.positions):
        balances = account.before_positions(is_cash=is_cash)
        for each in order:
            _opened(balances, each, is_cash=is_cash)
            assert min(balances.values()) >= 0


def test_what_opening_takes_is_in_whole_units():
    account = SavedAccount(
        {"USDT": Decimal("5.5")}, (position(), position("BTC", quantity=Decimal("-0.5"), realized=Decimal(3)))
    )
    assert account.before_positions(is_cash=True) == {"USDT": Decimal("29.5"), "BTC": Decimal(1)}
    assert account.before_positions(is_cash=False) == {"USDT": Decimal("6.5")}


def test_without_positions_the_balances_are_the_saved_ones():
    balances = {"USDT": Decimal("5.12345678")}
    assert SavedAccount(balances).before_positions(is_cash=True) == balances


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"quantity": Decimal(0)}, "the quantity of XRP/USDT must be a number other than 0, was 0"),
        ({"quantity": Decimal("NaN")}, "the quantity of XRP/USDT must be a number other than 0, was NaN"),
        ({"average_price": 0.0}, "the average price of XRP/USDT must be a positive number, was 0.0"),
        ({"average_price": float("nan")}, "the average price of XRP/USDT must be a positive number, was nan"),
        ({"average_price": float("inf")}, "the average price of XRP/USDT must be a positive number, was inf"),
        ({"realized": Decimal("Infinity")}, "the realised PnL of XRP/USDT must be a number, was Infinity"),
    ],
)
def test_a_position_that_is_none_is_refused(changes, text):
    with pytest.raises(ValueError, match=f"^{text}$"):
        position(**changes)


def test_balances_that_are_none_are_refused():
    with pytest.raises(ValueError, match="balances must be numbers, was"):
        SavedAccount.from_dict({"balances": {"USDT": "NaN"}, "positions": []})
