"""The engine asks our fees by volume for every execution."""

from unittest.mock import ANY

from scripting import XRP_USDT, Watched, book, config, ns, trade

from mm_nautilus.config.run import FeeScheduleConfig
from mm_nautilus.runs.fee_model import TieredFees, fee_tiers, fee_warnings


def test_fills_without_a_price_in_the_report_currency_are_warned_of(run):
    """Nothing gives this schedule prices, as before another pair's first book."""
    fees = TieredFees(FeeScheduleConfig(published="kraken_spot"), {}, "USDT")
    data = [book(0, 2.3495, 2.3505), trade(1, 2.348, 10, "sell")]
    outcome = run(Watched(config()), data, fee_model=fees)
    assert [fill.fee for fill in outcome.fills] == ["0.05872050 USDT"]
    assert fee_tiers(fees) == [
        {
            "since_ns": ANY,
            "volume": 0.0,
            "maker_fee_pct": 0.25,
            "taker_fee_pct": 0.4,
            "fills": 1,
            "unvalued_fills": 1,
        }
    ]
    assert (
        "fills that are not in the volume of fee_schedule, as their value had no price: 1"
        in fee_warnings(fees)[0]
    )


def test_a_tier_that_has_expired_is_told_once(run):
    """The first fill is at the first second; ten days later a third of the starting volume has expired."""
    fees = TieredFees(FeeScheduleConfig(published="kraken_spot", starting_volume=10_001), {}, "USDT")
    fees.told = {XRP_USDT: ["maker_fee_pct", "taker_fee_pct"], "ETH/USDT": ["taker_fee_pct"]}
    assert fees.changed(ns(86_400 * 10)) == {}, "nothing expires before the first execution"
    run(Watched(config()), [book(0, 2.3495, 2.3505), trade(1, 2.348, 10, "sell")], fee_model=fees)
    assert fees.changed(ns(1)) == {}
    assert fees.changed(ns(86_400 * 10)) == {
        XRP_USDT: {"maker_fee_pct": 0.25, "taker_fee_pct": 0.4},
        "ETH/USDT": {"taker_fee_pct": 0.4},
    }
    assert fees.changed(ns(86_400 * 20)) == {}
