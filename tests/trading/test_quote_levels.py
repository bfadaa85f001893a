"""Several quotes a side: each in its slot, and all of them together within the position's cap."""

import random
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nautilus_trader.model import OrderSide
from scripting import SPECS, XRP_USDT, Watched, around, book, config, engine_runs, ns, trade

from mm_nautilus.calibration.figures import VolatilityQuantile
from mm_nautilus.pricing.not_quoting import NotQuoting

THREE = {"levels": 3, "level_spacing_bps": 8.0, "max_inventory": "45 XRP", "min_spread_pct": 0.05}
CAP = 45_000_000
"""The cap in lots."""
START = {"USDT": Decimal(10_000), "XRP": Decimal(10_000)}


@dataclass
class Reach:
    """What an order may still trade, as its commands and events say."""

    is_bid: bool
    lots: int
    filled: int = 0
    asked: int = 0
    """Whole size of an amend in flight."""

    @property
    def open_lots(self) -> int:
        return max(self.lots, self.asked) - self.filled


class Witness(Watched):
    """Reckon from commands and events alone, after each of them, how far the position may still go."""

    def __init__(self, given: Any) -> None:
        super().__init__(given)
        self.reach: dict[Any, Reach] = {}
        self.position, self.worst, self.most_live, self.amends_open = 0, 0, 0, 0

    def submit_order(self, order: Any, **options: Any) -> None:
        self.reach[order.client_order_id] = Reach(order.side == OrderSide.BUY, lots_of(order.quantity))
        self.reckon()
        super().submit_order(order, **options)

    def modify_order(self, order_id: Any, **changes: Any) -> None:
        if changes.get("quantity") is not None:
            self.reach[order_id].asked = lots_of(changes["quantity"])
        self.reckon()
        super().modify_order(order_id, **changes)

    def on_order_event(self, event: Any) -> None:
        name, known = type(event).__name__, self.reach.get(event.client_order_id)
        if known is None:
            pass
        elif name == "OrderFilled":
            known.filled += lots_of(event.last_qty)
            self.position += lots_of(event.last_qty) * (1 if event.is_buy else -1)
            if known.filled >= known.lots:  # an amend that is still on its way comes too late
                del self.reach[event.client_order_id]
        elif name == "OrderUpdated":
            known.lots, known.asked = lots_of(event.quantity), 0
        elif name == "OrderModifyRejected":
            known.asked = 0
        elif name in {"OrderCanceled", "OrderRejected", "OrderDenied"}:
            del self.reach[event.client_order_id]
        super().on_order_event(event)
        self.reckon()

    def look(self, now: int) -> None:
        self.reckon()

    def reckon(self) -> None:
        for is_bid in (True, False):
            live = [order for order in self.reach.values() if order.is_bid is is_bid and order.open_lots]
            worst = (self.position if is_bid else -self.position) + sum(order.open_lots for order in live)
            self.worst = max(self.worst, worst if live else 0)
            self.most_live = max(self.most_live, len(live))
            self.amends_open += any(order.asked for order in live)
        slots = [side.order.order_id for side in self.symbols[XRP_USDT].sides if side.order is not None]
        assert len(set(slots)) == len(slots)
        assert self.reach.keys() <= set(slots), "each live order is that of one level"


def lots_of(quantity: Any) -> int:
    return round(quantity.as_decimal() / SPECS[XRP_USDT].size_increment)


def wild(draw: random.Random, steps: int) -> list[Any]:
    """Return a market whose takers reach several levels, with small and large trades."""
    mid, events = 2.35, []
    for step in range(steps):
        at = 0.2 * step
        mid = round(mid + draw.gauss(0, 0.001), 5)
        events.append(book(at, [(round(mid - 0.0005, 5), 40.0)], [(round(mid + 0.0005, 5), 40.0)]))
        if draw.random() < 0.6:
            taker, reach = draw.choice(("buy", "sell")), draw.choice((0.001, 0.003, 0.008))
            price = round(mid + (reach if taker == "buy" else -reach), 5)
            events.append(trade(at + 0.07, price, draw.choice((1, 3, 8, 30, 80)), taker))
    return events


SHAPES = st.fixed_dictionaries(
    {
        "level_size_ratio": st.sampled_from((1.0, 1.7)),
        "amend_orders": st.booleans(),
        "inventory_skew": st.sampled_from((0.0, 1.0)),
        "cooldown_seconds": st.sampled_from((0.001, 1.0)),
        "requote_size_tolerance_pct": st.sampled_from((0.0, 50.0)),
        "max_order_actions_per_second": st.sampled_from((6, 100)),
    }
)


@given(st.integers(0, 10_000), SHAPES, st.sampled_from((0, 60, (20, 300, 80), (250, 30, 400))))
@settings(max_examples=12, deadline=None)
def test_all_orders_together_never_take_the_position_beyond_its_cap(
    seed: int, shape: dict[str, Any], latency_ms: Any
) -> None:
    mm = Witness(config(**THREE | shape))
    with engine_runs() as run:
        market = wild(random.Random(seed), 120)
        start = [f"{amount} {code}" for code, amount in START.items()]
        outcome = run(mm, market, symbols=[XRP_USDT], latency_ms=latency_ms, balances=start)
        fills, balances = outcome.events("OrderFilled"), dict(START)
    assert mm.failures == []
    assert len(fills) > 10
    assert 0.5 * CAP < mm.worst <= CAP
    assert mm.most_live == 3
    for fill in fills:
        sign, quantity, price = (
            1 if fill.is_buy else -1,
            fill.last_qty.as_decimal(),
            fill.last_px.as_decimal(),
        )
        balances["XRP"] += sign * quantity
        balances["USDT"] -= sign * (quantity * price).quantize(Decimal("1e-8")) + fill.commission.as_decimal()
    assert outcome.balances == balances


def slots(mm: Watched) -> dict[str, tuple[float, float] | NotQuoting | None]:
    """Return each slot's price and size, or why it has no order."""
    symbol = mm.symbols[XRP_USDT]
    return {
        side.name: (
            round(side.order.resting.price_ticks * symbol.tick, 5),
            side.order.resting.size_lots * symbol.lot,
        )
        if side.order
        else side.stats.current
        for side in symbol.sides
    }


class Looking(Watched):
    """Keep each slot's order as it was before every book event."""

    def look(self, now: int) -> None:
        self.slots = slots(self)


def test_each_level_stands_further_out_and_has_its_size(run):
    mm = Looking(
        config(**THREE | {"level_spacing_ratio": 2.0, "level_size_step": 0.5, "max_inventory": "90 XRP"})
    )
    run(mm, [around(0, 2.35), around(1, 2.35)])
    assert mm.slots == {
        "bid": (2.34941, 10.0),
        "ask": (2.35059, 10.0),
        "bid 2": (2.34753, 15.0),
        "ask 2": (2.35247, 15.0),
        "bid 3": (2.34377, 20.0),
        "ask 3": (2.35623, 20.0),
    }


def test_each_level_publishes_its_own_changes(run):
    class Listening(Looking):
        def _start_quoting(self) -> None:
            super()._start_quoting()
            self.states: list[Any] = []
            self.symbols[XRP_USDT].on_quotes_changed.append(self.states.append)

    mm = Listening(config(**THREE))
    run(mm, [around(0, 2.35), around(1, 2.35), trade(2, 2.349, 4, "sell"), around(3, 2.35)])
    placed = {
        state.level: (state.bid_price, state.ask_price) for state in mm.states if state.ts_event < ns(2)
    }
    assert placed == {1: (2.34941, 2.35059), 2: (2.34753, 2.35247), 3: (2.34565, 2.35435)}
    filled = [state for state in mm.states if ns(2) <= state.ts_event < ns(3)]
    assert {state.level for state in filled} == {1}
    assert filled[0].bid_size == 6.0


def test_a_fill_cools_its_own_level_and_takes_room_from_the_furthest(run):
    """Ten of XRP are bought at the nearest level: of a cap of thirty, two levels of ten are left."""
    mm = Looking(config(**THREE | {"max_inventory": "30 XRP", "cooldown_seconds": 5.0}))
    events = [around(0, 2.35), trade(1, 2.349, 10, "sell"), around(2, 2.35), around(3, 2.35)]
    outcome = run(mm, events)
    assert [(fill.side, fill.size) for fill in outcome.fills] == [("buy", 10)]
    assert mm.slots["bid"] is NotQuoting.COOLDOWN
    assert mm.slots["bid 2"] == (2.34753, 10.0)
    assert mm.slots["bid 3"] is NotQuoting.INVENTORY_CAP
    assert mm.slots["ask 3"] == (2.35435, 10.0)


def test_levels_in_units_of_volatility_wait_until_it_is_known(run):
    given = THREE | {"level_spacing_bps": None, "level_spacing_volatility": 0.5}
    mm = Looking(config(**given))
    events = [around(step, 2.35 + 0.001 * (step // 10 % 2)) for step in range(0, 200, 2)]
    run(mm, events[:10])
    assert [mm.slots[name] for name in ("bid 2", "ask 3")] == [NotQuoting.WARMING_UP] * 2
    mm = Looking(config(**given))
    run(mm, events)
    unit = 2.35 * mm.symbols[XRP_USDT].volatility.volatility_pct / 100
    gaps = [mm.slots[f"ask {k + 1}" if k else "ask"][0] for k in range(3)]
    assert gaps[1] - gaps[0] == pytest.approx(0.5 * unit, rel=0.05)
    assert gaps[2] - gaps[1] == pytest.approx(0.5 * unit, rel=0.05)


def test_a_restart_keeps_the_cooldown_of_each_level(run):
    mm = Looking(config(**THREE | {"cooldown_seconds": 60.0}))
    run(mm, [around(0, 2.35), trade(1, 2.345, 25, "sell"), around(2, 2.35)])
    saved, later = mm.on_save(), Looking(config(**THREE | {"levels": 2, "cooldown_seconds": 60.0}))
    later.on_load(saved)
    run(later, [around(3, 2.35), around(4, 2.35)])
    assert [later.slots[name] for name in ("bid", "bid 2")] == [NotQuoting.COOLDOWN] * 2
    assert later.slots["ask 2"] == (2.35247, 10.0)


@pytest.mark.parametrize(
    "spacing",
    [
        {"levels": [{"width_bps": 2.0}, {"width_bps": 8.0, "size": 2.0}, {"width_bps": 20.0}]},
        {"levels": 3, "level_spacing_bps": 8.0, "level_spacing_ratio": 2.0},
        {"levels": 3, "level_spacing_bps": None, "level_spacing_volatility": 0.5},
    ],
    ids=["each given", "in bps", "in volatilities"],
)
@pytest.mark.parametrize("mood", ["session", "regime"])
def test_moods_widen_and_shrink_every_level(run, spacing, mood, calibration_file, symbol_calibration):
    """Each quote stands three times as far out and is half as large; a mood that does not hold changes none."""
    made = symbol_calibration(volatility=0.8)
    quantiles = [VolatilityQuantile(quantile=q, volatility_pct=v) for q, v in ((0.0, 0.0), (1.0, 0.1))]
    figures = made.volatility.model_copy(update={"quantiles": quantiles})
    measured = made.model_copy(update={"volatility": figures})
    given = (
        THREE
        | spacing
        | {"max_inventory": "90 XRP", "calibration": str(calibration_file({XRP_USDT: measured}))}
    )
    factors = {"width": 3.0, "size": 0.5}
    on, off = {
        "session": (
            {"session_hours": [{"start": "06:00", "end": "06:01", **factors}]},
            {"session_hours": [{"start": "06:01", "end": "06:02", **factors}]},
        ),
        "regime": (
            {"volatility_regimes": [{"above_quantile": 0.5, **factors}]},
            {"volatility_regimes": [{"above_quantile": 0.9, **factors}]},
        ),
    }[mood]
    events = [around(0, 2.35), around(1, 2.35)]
    plain, neutral, wide = (after(run, events, **given, **moods) for moods in ({}, off, on))
    assert neutral == plain
    assert len(wide) == 6
    for name, (price, size) in wide.items():
        assert price - 2.35 == pytest.approx(3 * (plain[name][0] - 2.35), abs=5e-5)
        assert size == 0.5 * plain[name][1]


# -- Orders that hang, the touch, and a share of the account ---------------------------------------------------

HANGING = {"hanging_orders": True, "hanging_max_distance_bps": 50.0, "hanging_max_age_seconds": 60.0}
FILLED = [
    around(0, 2.35),
    trade(1, 2.348, 10, "sell"),
    *(around(1.1 + 0.1 * step, 2.348) for step in range(8)),
]
"""The nearest bid is filled, and the market goes down by 8.5 bps."""


def after(run: Any, events: list[Any], **changes: Any) -> dict[str, Any]:
    mm = Looking(config(**{"min_spread_pct": 0.05, "requote_tolerance_bps": 0.0, **changes}))
    run(mm, events)
    assert mm.failures == []
    return mm.slots


@pytest.mark.parametrize("levels", [{}, THREE])
def test_the_opposite_order_of_a_filled_quote_hangs_where_it_was(run, levels):
    """Both markets are the same; an order that does not hang follows the mid."""
    moved = after(run, FILLED, **levels)
    hung = after(run, FILLED, **levels, **HANGING)
    assert moved["ask"] == (2.34859, 10.0)
    assert hung["ask"] == (2.35059, 10.0)
    assert {name: slot for name, slot in hung.items() if name != "ask"} == {
        name: slot for name, slot in moved.items() if name != "ask"
    }


@pytest.mark.parametrize(
    ("then", "changes"),
    [
        ([around(3, 2.336)], {}),
        ([around(62.5, 2.348)], {}),
        ([trade(2.5, 2.352, 10, "buy"), around(3, 2.348)], {}),
        ([around(3, 2.348)], {"hanging_max_distance_bps": 5.0}),
    ],
    ids=["too far", "too old", "filled", "at once too far"],
)
def test_a_hanging_order_ends_with_distance_age_or_its_own_fill(run, then, changes):
    last = then[-1].ts_init
    at = (last - ns(0)) / 1e9
    events = [*FILLED, *then, around(at + 0.1, 2.348), around(at + 0.2, 2.348)]
    slots = after(run, events, **HANGING | changes)
    assert slots["ask"] == (2.34859, 10.0)
    assert slots["bid"] == (2.34741, 10.0)


def test_guards_and_exits_cancel_a_hanging_order(run):
    mm = Looking(config(min_spread_pct=0.05, **HANGING))
    outcome = run(mm, [*FILLED, book(3, 2.3485, 2.3475), book(3.1, 2.3485, 2.3475)])
    assert mm.slots["ask"] is NotQuoting.CROSSED_BOOK
    assert outcome.events("OrderCanceled")[-1].ts_init == ns(3)
    mm = Looking(config(min_spread_pct=0.05, stop_loss_pct=0.2, **HANGING))
    outcome = run(mm, [*FILLED, around(3, 2.344), around(3.1, 2.344)])
    assert len(outcome.of("stop_loss")) == 1
    assert mm.symbols[XRP_USDT].ask.hangs_since_ns is None


def test_a_hanging_order_counts_in_the_worst_case():
    mm = Witness(config(**THREE | HANGING))
    with engine_runs() as run:
        run(mm, wild(random.Random(3), 200), symbols=[XRP_USDT], latency_ms=(20, 300, 80))
    assert mm.failures == []
    assert 0.5 * CAP < mm.worst <= CAP


def test_the_nearest_quote_is_at_most_one_tick_inside_a_wide_touch(run):
    wide = [book(at, 2.345, 2.355) for at in (0, 1)]
    assert after(run, wide)["bid"] == (2.34941, 10.0)
    slots = after(run, wide, order_optimization=True, **THREE)
    assert (slots["bid"], slots["ask"]) == ((2.34501, 10.0), (2.35499, 10.0))
    assert (slots["bid 2"], slots["ask 2"]) == ((2.345, 10.0), (2.355, 10.0))
    near = [book(at, 2.3499, 2.3501) for at in (0, 1)]
    assert after(run, near, order_optimization=True) == after(run, near)


@pytest.mark.parametrize("cash", [True, False])
def test_a_target_may_be_a_share_of_the_account(run, cash):
    """Of 200 XRP and 630 USDT at 2.1, half in XRP would be 250 XRP; of a margin account's 630 USDT it is 150."""
    balances = ["630 USDT", "200 XRP"] if cash else ["630 USDT"]
    mm = Looking(config(inventory_target="50 %", max_inventory="200 XRP", inventory_skew=1.0))
    run(mm, [around(0, 2.1), around(1, 2.1)], cash=cash, balances=balances, symbols=[XRP_USDT])
    symbol = mm.symbols[XRP_USDT]
    target = symbol.sizes.at(2.1).target_lots
    assert target == (50_000_000 if cash else 150_000_000)
    assert mm.slots["bid"][1] == 10.0
    assert mm.slots["ask"][1] == pytest.approx(7.5 if cash else 2.5)
