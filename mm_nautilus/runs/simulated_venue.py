"""The simulated venue as the engine wants it described."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from nautilus_trader.adapters.sandbox import SandboxExecutionClientConfig
from nautilus_trader.backtest import BacktestVenueConfig
from nautilus_trader.execution import MakerTakerFeeModel, StaticLatencyModel
from nautilus_trader.model import AccountId, AccountType, BookType, InstrumentId, Money, OmsType, Venue

from mm_nautilus.checks.fees import with_venue_fees
from mm_nautilus.config.run import LatencyConfig, VenueConfig
from mm_nautilus.errors import ConfigError
from mm_nautilus.market.instrument import InstrumentSpec

__all__ = ["fee_rates", "latency_model", "sandbox_venue", "simulated_venue"]

_NS_PER_MS: Final = 1_000_000


def fee_rates(venue: VenueConfig, specs: Mapping[str, InstrumentSpec]) -> dict[str, tuple[Decimal, Decimal]]:
    """Return each symbol's maker and taker fee as fractions of the traded value.

    A symbol's own entry under ``symbol_fees`` counts before ``fees``, and that before the instrument's own.

    Raises
    ------
    ConfigError
        If a symbol has no fee from any of the three.
    """
    rates = {}
    for symbol, spec in specs.items():
        charged = with_venue_fees(venue, spec)
        if charged.maker_fee_rate is None or charged.taker_fee_rate is None:
            raise ConfigError(
                f"venue.fees must be given for {spec.symbol}, whose instrument has no fees of its own, was null"
            )
        rates[symbol] = charged.maker_fee_rate, charged.taker_fee_rate
    return rates


def latency_model(latency: LatencyConfig) -> StaticLatencyModel | None:
    """Return the engine's latency model, None without any latency.

    A live node's simulated client would otherwise wait on a timer for no time, and be late by that timer.
    """
    if not (latency.insert_ms or latency.amend_ms or latency.cancel_ms):
        return None
    return StaticLatencyModel(
        base_latency_nanos=0,
        insert_latency_nanos=round(latency.insert_ms * _NS_PER_MS),
        update_latency_nanos=round(latency.amend_ms * _NS_PER_MS),
        cancel_latency_nanos=round(latency.cancel_ms * _NS_PER_MS),
    )


def _shared_settings(venue: VenueConfig, specs: Mapping[str, InstrumentSpec]) -> dict[str, Any]:
    """Return what the backtest's venue and the sandbox's are both told, every realism switch included."""
    fees = {
        InstrumentId.from_str(specs[symbol].instrument_id): rates
        for symbol, rates in fee_rates(venue, specs).items()
    }
    highest = (max(maker for maker, _ in fees.values()), max(taker for _, taker in fees.values()))
    is_cash = venue.account_type == "cash"
    return {
        "oms_type": OmsType.NETTING,
        "account_type": AccountType.CASH if is_cash else AccountType.MARGIN,
        "default_leverage": None if is_cash else Decimal(str(venue.leverage)),
        "fee_model": MakerTakerFeeModel(*highest, fees),
        "latency_model": latency_model(venue.latency),
        "queue_position": venue.queue_position,
        "liquidity_consumption": venue.liquidity_consumption,
        "trade_execution": True,
        "bar_execution": False,
        "use_reduce_only": True,
    }


def simulated_venue(
    venue: VenueConfig, specs: Mapping[str, InstrumentSpec], *, book_data: str
) -> BacktestVenueConfig:
    """Describe the venue to the backtest engine; every realism switch is given, none left to a default."""
    return BacktestVenueConfig(
        name=venue.name,
        starting_balances=[str(amount) for amount in venue.starting_balances],
        book_type=BookType.L1_MBP if book_data == "quotes" else BookType.L2_MBP,
        allow_cash_borrowing=False,
        use_random_ids=False,
        **_shared_settings(venue, specs),
    )


def sandbox_venue(
    venue: VenueConfig,
    specs: Mapping[str, InstrumentSpec],
    account_id: AccountId,
    starting_balances: Sequence[Money],
) -> SandboxExecutionClientConfig:
    """Describe the venue to a live node's simulated execution client, as `simulated_venue` does to a backtest."""
    return SandboxExecutionClientConfig(
        venue=Venue(venue.name),
        account_id=account_id,
        starting_balances=starting_balances,
        book_type=BookType.L2_MBP,
        # Ids that count from 1 anew would be met again after a restart.
        use_random_ids=True,
        **_shared_settings(venue, specs),
    )
