"""Keeping a plan while the touch stays in its band does what planning at every event would do."""

import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from nautilus_trader.model import Price, Quantity, QuoteTick
from scripting import SECOND, T0, XRP_USDT, Watched, config, restless

from mm_nautilus.config.amount import Amount
from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.pricing.no_action_band import NoActionBand
from mm_nautilus.pricing.not_quoting import NotQuoting
from mm_nautilus.pricing.quotes import OrderAction, Quote, decide_action
from mm_nautilus.trading.instruments import engine_instrument
from mm_nautilus.trading.symbol import SymbolState
from mm_nautilus.trading.working_order import QUOTE, OrderState, QuoteSide, WorkingOrder

# -- Any parameters, touch and standing orders ------------------------------------------------------------

BITS = Decimal(10**8)
"""Of the quote currency's smallest unit in one."""


@st.composite
def symbols(draw: Any) -> SymbolState:
    """Return a flat or laden symbol with a book, in any money and of any size."""
    tick, lot = (Decimal(draw(st.sampled_from(("0.00001", "0.01", "0.1")))) for _ in range(2))
    bid_ticks = draw(st.integers(2, 200) | st.integers(200, 2_000_000))
    mid = (bid_ticks + Decimal("0.5")) * tick
    in_money = draw(st.booleans())
    full_lots = draw(st.integers(1, 2_000) | st.integers(2_000, 1_000_000))
    cap_lots = math.ceil(full_lots * draw(st.floats(1.0, 30.0)))

    def amount(lots: float, *, money: bool = in_money) -> Amount:
        value = Decimal(lots) * lot * (mid if money else 1)
        return Amount(round(value, 12), "USDT" if money else "XRP")

    def size(least: float, most: float) -> Decimal | None:
        share = draw(st.none() | st.floats(least, most))
        return None if share is None else max(1, round(share * full_lots)) * lot

    def value(least: float, most: float) -> Decimal | None:
        share = draw(st.none() | st.floats(least, most))
        return None if share is None else math.ceil(Decimal(share) * full_lots * lot * mid * BITS) / BITS

    spec = InstrumentSpec(
        XRP_USDT,
        "KRAKEN",
        "XRP",
        "USDT",
        tick,
        lot,
        min_quantity=size(0.01, 1.2),
        min_notional=value(0.01, 1.2),
        max_quantity=size(0.3, 3.0),
        max_notional=value(0.3, 3.0),
    )
    params = SymbolParams(
        position_size=amount(full_lots),
        position_size_usd=None,
        max_inventory=amount(cap_lots),
        inventory_target=amount(
            round(draw(st.just(0.0) | st.floats(-1.0, 1.0)) * cap_lots), money=draw(st.booleans())
        ),
        min_spread_pct=draw(st.sampled_from((1e-10, 0.001, 0.05)) | st.floats(0.001, 2.0)),
        requote_tolerance_bps=draw(st.just(0.0) | st.floats(0.0, 30.0) | st.floats(0.0, 1000.0)),
        requote_size_tolerance_pct=draw(st.floats(0.0, 100.0)),
        inventory_skew=draw(st.floats(0.0, 1.0)),
        use_reservation_price=True,
        skew_bps_at_max_inventory=draw(st.floats(0.001, 500.0)),
    )
    symbol = SymbolState(engine_instrument(spec), spec, params, "USDT", lambda _base, _other: None)
    symbol.position.hold(draw(st.just(0) | st.integers(-cap_lots - 3, cap_lots + 3)), T0)
    assert take(symbol, bid_ticks, bid_ticks + draw(st.integers(1, max(1, bid_ticks // 1000))), T0)
    return symbol


def take(symbol: SymbolState, bid_ticks: int, ask_ticks: int, now_ns: int) -> bool:
    """Show a touch to a symbol and return whether an order may have to move."""
    size = Quantity(1.0, symbol.spec.size_precision)
    prices = [Price(ticks * symbol.tick, symbol.spec.price_precision) for ticks in (bid_ticks, ask_ticks)]
    symbol.book.apply_quote(QuoteTick(symbol.instrument_id, *prices, size, size, now_ns, now_ns))
    return symbol.on_book(now_ns)


def stand(draw: Any, symbol: SymbolState, side: QuoteSide) -> None:
    """Give a side what the strategy may have left it with: an order near its target, none yet, or a reason."""
    kind = draw(st.sampled_from(("order", "order", "order", "in flight", "refused", "cooldown")))
    if kind == "refused":
        side.retry_at_ns = T0 + SECOND
    elif kind == "cooldown" or draw(st.booleans()):
        side.last_fill_ns = T0
    if not isinstance(side.target, Quote) or kind in {"refused", "cooldown"}:
        return
    reach = 0 if draw(st.booleans()) else math.ceil(symbol.tolerance_ticks)
    ticks = max(1, side.target.price_ticks + draw(st.integers(-reach, reach)))
    lots = max(1, round(side.target.size_lots * draw(st.just(1.0) | st.floats(0.7, 1.4))))
    grounds = symbol.grounds(ticks, lots, T0)
    order = WorkingOrder(
        symbol, side, None, QUOTE, side.is_bid, Quote(ticks, lots), grounds, Quote(ticks, lots)
    )
    order.accepted()
    order.state = OrderState.PENDING_AMEND if kind == "in flight" else order.state
    side.order = order


def wants(symbol: SymbolState, side: QuoteSide) -> tuple[OrderAction, NotQuoting | None] | None:
    """Return what the present target asks for and why there is no quote; None while a command is in flight."""
    if not side.is_settled:
        return None
    action = decide_action(
        side.working,
        side.target,
        tolerance_ticks=symbol.tolerance_ticks,
        size_tolerance=symbol.params.requote_size_tolerance_pct / 100.0,
        may_amend=True,
    )
    return action, None if isinstance(side.target, Quote) else side.target


def touch_in(draw: Any, band: NoActionBand) -> tuple[int, int]:
    """Return a touch inside of a band, most often at one of its edges."""
    lowest, highest = math.ceil(band.lowest_sum), math.floor(band.highest_sum)
    total = draw(st.sampled_from((lowest, highest)) | st.integers(lowest, highest))
    spread = 2 * draw(st.integers(0, 3) | st.integers(0, max(1, total // 500))) + (1 if total % 2 else 2)
    bid, ask = (total - spread) // 2, (total + spread) // 2
    assume(bid >= 1 and ask > band.ask_above and bid < band.bid_below)
    return bid, ask


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_no_touch_in_the_band_asks_for_anything(data: st.DataObject) -> None:
    symbol = data.draw(symbols())
    sides = (symbol.bid, symbol.ask)
    symbol.schedule(T0)
    symbol.check_risk(T0)
    symbol.plan(T0)
    for side in sides:
        stand(data.draw, symbol, side)
    symbol.schedule(T0)
    symbol.plan(T0)
    before = [wants(symbol, side) for side in sides]
    assume(all(wish is None or wish[0] is OrderAction.NOTHING for wish in before))
    for side, wish in zip(sides, before, strict=True):
        if wish is not None:
            side.set_reason(wish[1], T0)
    symbol.keep_band()
    symbol._find_band(T0)
    band = symbol._band
    assume(band is not None and math.ceil(band.lowest_sum) <= math.floor(band.highest_sum))
    assert band is not None
    for wish in before:
        event(f"a side: {wish}")
    for moment in range(1, 4):
        at, symbol._band = touch_in(data.draw, band), band
        assert not take(symbol, *at, T0 + moment), "the band holds"
        symbol.plan(T0 + moment)
        assert [wants(symbol, side) for side in sides] == before, f"{band} at {at}"


# -- Whole runs -------------------------------------------------------------------------------------------

VARIANTS: dict[str, dict[str, Any]] = {
    "cooldowns and exits": {"cooldown_seconds": 2.0, "stop_loss_pct": 0.3, "take_profit_pct": 0.2},
    "a trailing stop": {
        "use_trailing_stop": True,
        "trailing_stop_activation": 0.1,
        "trailing_stop_distance": 0.05,
        "stop_loss_pct": 0.4,
    },
    "sizes in money": {
        "max_inventory": "100 USDT",
        "position_size": "20 USDT",
        "inventory_skew": 0.7,
        "requote_size_tolerance_pct": 10.0,
    },
    "a leaning price": {
        "use_reservation_price": True,
        "skew_bps_at_max_inventory": 20.0,
        "inventory_target": "-20 XRP",
    },
    "replaced orders, few a second": {"amend_orders": False, "max_order_actions_per_second": 3},
    "halts": {"max_drawdown_pct": 0.2, "stale_after_seconds": 0.3, "resume_after_seconds": 0.5},
}
BALANCES = {"rich": ("10000 USDT", "10000 XRP"), "poor": ("40 USDT", "12 XRP")}


class Counting(Watched):
    """Count how often quotes are planned."""

    plans = 0

    def _requote(self, symbol: SymbolState, now_ns: int) -> None:
        self.plans += 1
        super()._requote(symbol, now_ns)


def fact(order: Any, happened: Any) -> tuple[Any, ...]:
    """Return an event of an order without what is made up anew in each run."""
    changes = (getattr(happened, name, None) for name in ("price", "quantity", "last_px", "last_qty"))
    return (happened.ts_init, order.client_order_id, type(happened).__name__, *changes)


@pytest.mark.parametrize(
    ("latency_ms", "balances"), [(0, "rich"), (50, "poor"), ((20, 300, 80), "rich")], ids=str
)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_run_that_keeps_its_plans_sends_what_one_that_never_does_sends(
    run: Any, monkeypatch: pytest.MonkeyPatch, variant: str, latency_ms: Any, balances: str
) -> None:
    given = config(max_inventory="35 XRP", requote_tolerance_bps=3.0, cooldown_seconds=0.1)
    sent, plans = [], []
    for keeps in (True, False):
        if not keeps:
            monkeypatch.setattr(SymbolState, "keep_band", SymbolState.forget_plan)
        mm = Counting(given | VARIANTS[variant])
        market = restless(11, 120, stir=0.0002)
        outcome = run(mm, market, symbols=[XRP_USDT], latency_ms=latency_ms, balances=BALANCES[balances])
        assert mm.failures == []
        assert len(outcome.fills) > 2
        sent.append([fact(order, event) for order in outcome.orders for event in order.events()])
        plans.append(mm.plans)
    assert sent[0] == sent[1]
    assert plans[0] < 0.9 * plans[1]
