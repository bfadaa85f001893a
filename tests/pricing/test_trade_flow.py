import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_nautilus.pricing.trade_flow import TRADE_FLOW_WINDOW, TradeFlow

trades = st.lists(st.tuples(st.floats(0, 1e9), st.booleans()), max_size=120)


def test_no_trade_means_no_flow():
    flow = TradeFlow()

    assert flow.value == 0.0
    assert not flow.is_warm


@pytest.mark.parametrize(("is_buy", "value"), [(True, 1.0), (False, -1.0)])
def test_trades_of_one_direction_are_a_full_flow(is_buy, value):
    flow = TradeFlow()

    flow.add(3.5, is_buy=is_buy)

    assert flow.value == value


def test_flow_weighs_trades_by_size():
    flow = TradeFlow()

    flow.add(3.0, is_buy=True)
    flow.add(1.0, is_buy=False)

    assert flow.value == 0.5


def test_trades_of_no_size_are_no_flow():
    flow = TradeFlow()

    flow.add(0.0, is_buy=True)

    assert flow.value == 0.0


def test_window_is_fifty_trades_and_warm_when_full():
    flow = TradeFlow()
    warm = []

    for _ in range(TRADE_FLOW_WINDOW):
        flow.add(1.0, is_buy=False)
        warm.append(flow.is_warm)

    assert TRADE_FLOW_WINDOW == 50
    assert warm == [False] * 49 + [True]


def test_the_51st_trade_pushes_the_first_out():
    flow = TradeFlow()
    flow.add(1e6, is_buy=True)

    for _ in range(50):
        flow.add(1.0, is_buy=False)

    assert flow.value == -1.0
    assert flow.is_warm


@settings(max_examples=150)
@given(trades=trades, window=st.integers(1, 60))
def test_flow_is_the_imbalance_of_the_last_trades_and_mirrors(trades, window):
    flow, mirror = TradeFlow(window), TradeFlow(window)
    for size, is_buy in trades:
        flow.add(size, is_buy=is_buy)
        mirror.add(size, is_buy=not is_buy)
    last = trades[-window:]
    bought, sold = (sum(size for size, is_buy in last if is_buy is side) for side in (True, False))

    value = flow.value

    assert -1.0 <= value <= 1.0
    assert value == pytest.approx((bought - sold) / (bought + sold) if bought + sold > 0 else 0.0, abs=1e-9)
    assert mirror.value == -value
