"""The configuration model: what every parameter means, its unit, its default and what is allowed."""

from collections.abc import Mapping
from copy import copy
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    create_model,
)

from mm_nautilus.core.amount import Amount

__all__ = [
    "REPORT_CURRENCY",
    "AmountField",
    "MarketMakerConfig",
    "SymbolOverrides",
    "SymbolParams",
    "merge_symbol",
]

REPORT_CURRENCY: Final = "USDT"
"""Currency of bare amounts and of reports where nothing else is configured."""


def _parse_amount(value: Any) -> Any:
    return Amount.parse(value) if isinstance(value, str) else value


AmountField = Annotated[
    Amount,
    BeforeValidator(_parse_amount),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9.]+ [A-Z0-9]+$", "examples": ["25 XRP"]}),
]

_STRICT = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)


class SymbolParams(BaseModel):
    """Parameters of one symbol: given for all symbols, overridden per symbol under ``symbols``."""

    model_config = _STRICT

    # Quoting
    quoting: Literal["two_sided", "signal"] = Field(
        "two_sided",
        description="two_sided keeps a bid and an ask; signal is v1.4.0's rule: a side is open only while book "
        "imbalance and trade flow agree.",
    )
    entry_order: Literal["maker", "taker"] = Field(
        "maker",
        description="maker posts quotes that never take; taker, with quoting: signal only, sends the marketable order "
        "of v1.4.0 when the signal is on.",
    )
    min_spread_pct: float = Field(
        0.1, gt=0, le=5, description="Least full width between our bid and ask, % of mid."
    )
    min_edge_bps: float | None = Field(
        None,
        ge=0,
        le=500,
        description="With it, the full width is never below two maker fees plus this, in basis points of mid.",
    )
    position_size_usd: float | None = Field(
        20.0,
        gt=0,
        description="Size of one quote as a value in the report currency (v1.4.0's name; USDT by default).",
    )
    position_size: AmountField | None = Field(
        None,
        description="Size of one quote as an amount with its currency, for example 25 XRP; instead of position_size_usd.",
    )
    requote_tolerance_bps: float = Field(
        0.5,
        ge=0,
        le=1000,
        description="A working order is kept while its price is within this distance of its target, basis points of mid.",
    )
    requote_size_tolerance_pct: float = Field(
        50.0,
        ge=0,
        le=100,
        description="A working order is kept while its open size is within this % of its target.",
    )
    cooldown_seconds: float = Field(
        5.0, gt=0, le=86_400, description="Least time between a fill on a side and a new quote there, seconds."
    )

    # Inventory
    max_inventory: float | AmountField = Field(
        100.0,
        description="Cap on the position's value with all pending orders filled; a bare number is in the report currency.",
        json_schema_extra={"exclusiveMinimum": 0},
    )
    inventory_skew: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Shrinks the quote that would grow the position: size * max(1 - abs(q) * inventory_skew, 0.1).",
    )

    # Signals
    imbalance_threshold: float = Field(
        0.1, ge=0, le=1, description="Book imbalance over ten levels that opens a side with quoting: signal."
    )
    use_trade_flow: bool = Field(True, description="Whether the signal also needs the trade tape to agree.")
    trade_flow_threshold: float = Field(
        0.15, ge=0, le=1, description="Trade flow over the last 50 trades that confirms a signal."
    )

    # Volatility
    base_volatility_pct: float = Field(
        0.5, gt=0, le=100, description="One-minute volatility, %, up to which widths are not scaled."
    )
    volatility_lookback: int = Field(
        20, ge=2, le=1440, description="Number of one-minute returns in the volatility estimate."
    )
    volatility_threshold_mult: float = Field(
        1.5, ge=1, le=100, description="Cap on the factor by which volatility widens quotes; 1 switches it off."
    )

    # Reservation price
    use_reservation_price: bool = Field(
        False, description="Whether quotes are centred on the reservation price instead of the mid."
    )
    reservation_model: Literal["simplified"] = Field(
        "simplified", description="Formula of the reservation price; simplified is v1.4.0's."
    )
    gamma: float = Field(0.1, ge=0.01, le=1.0, description="Risk aversion of the reservation price, 0.01..1.0.")

    # Exits
    take_profit_pct: float = Field(0.4, gt=0, le=100, description="Profit that closes the position, % from entry.")
    stop_loss_pct: float = Field(0.5, gt=0, le=100, description="Loss that closes the position, % from entry.")
    use_trailing_stop: bool = Field(False, description="Whether the trailing stop is armed by profit.")
    trailing_stop_activation: float = Field(
        0.2, gt=0, le=100, description="Profit that arms the trailing stop, % from entry."
    )
    trailing_stop_distance: float = Field(
        0.15,
        gt=0,
        le=100,
        description="Distance of the trailing stop from the best price since entry, %; less than trailing_stop_activation.",
    )

    # Guards
    stale_after_seconds: float = Field(
        30.0, gt=0, le=86_400, description="Quotes are cancelled after this long without a book event, seconds."
    )
    resume_after_seconds: float = Field(
        1.0,
        ge=0,
        le=86_400,
        description="How long the book must have been sound again before quoting resumes, seconds.",
    )
    retry_after_seconds: float = Field(
        1.0, ge=0, le=3600, description="Pause on a side after the venue refused an order there, seconds."
    )
    max_drawdown_pct: float | None = Field(
        None,
        gt=0,
        le=100,
        description="Fall of the symbol's total PnL from its best, % of max_inventory, that halts the symbol; "
        "null never halts.",
    )
    flatten_on_halt: bool = Field(False, description="Whether a halt also closes the position at market.")

    # Fees the strategy reckons with
    maker_fee_pct: float | None = Field(
        None, gt=-100, lt=100, description="Maker fee the strategy reckons with, % of value; null takes the venue's."
    )
    taker_fee_pct: float | None = Field(
        None, gt=-100, lt=100, description="Taker fee the strategy reckons with, % of value; null takes the venue's."
    )

    def size(self, report_currency: str) -> Amount:
        """Return the size of one full quote with its currency."""
        if self.position_size is not None:
            return self.position_size
        return Amount(Decimal(str(self.position_size_usd)), report_currency)

    def inventory_cap(self, report_currency: str) -> Amount:
        """Return the cap on the position with its currency."""
        if isinstance(self.max_inventory, Amount):
            return self.max_inventory
        return Amount(Decimal(str(self.max_inventory)), report_currency)


def _optional_fields() -> dict[str, Any]:
    overrides: dict[str, Any] = {}
    for name, field in SymbolParams.model_fields.items():
        copied = copy(field)
        copied.default = None
        overrides[name] = (field.annotation, copied)
    return overrides


SymbolOverrides = create_model(  # type: ignore[call-overload]
    "SymbolOverrides",
    __config__=_STRICT,
    __doc__="Parameters of one symbol that differ from those given for all.",
    **_optional_fields(),
)


class MarketMakerConfig(SymbolParams):
    """Configuration of the `MarketMaker` strategy: parameters for all symbols, and what differs per symbol."""

    venue: str | None = Field(
        None, min_length=1, description="Venue of the symbols; null takes the only one that lists them."
    )
    report_currency: str = Field(
        REPORT_CURRENCY, pattern=r"^[A-Z0-9]{1,10}$", description="Currency of bare amounts and of totals."
    )
    symbols: dict[str, SymbolOverrides] = Field(  # type: ignore[valid-type]
        ..., min_length=1, description="The symbols to quote, each with the parameters that differ from the above."
    )
    book_data: Literal["deltas", "depth", "quotes"] = Field(
        "deltas",
        description="Market data the book is kept from: level-2 deltas, snapshots of some levels, or best quotes.",
    )
    amend_orders: bool = Field(
        True, description="Whether a working order is amended; otherwise it is cancelled and replaced."
    )
    max_order_actions_per_second: int = Field(
        20, ge=1, le=1000, description="Cap on new, amended and cancelled orders a second; exits and halts pass it."
    )
    max_account_drawdown_pct: float | None = Field(
        None,
        gt=0,
        le=100,
        description="Fall of all symbols' total PnL from its best, % of the equity at the start, that halts everything; "
        "null never halts.",
    )
    flatten_on_stop: bool = Field(False, description="Whether stopping the strategy closes its positions at market.")
    strategy_id: str | None = Field(None, min_length=1, description="The engine's id of the strategy; null derives it.")
    order_id_tag: str = Field("001", min_length=1, description="Tag that keeps order ids of several strategies apart.")

    def for_symbol(self, symbol: str) -> SymbolParams:
        """Return the merged parameters of one symbol.

        Raises
        ------
        KeyError
            If `symbol` is not configured.
        """
        overrides = self.symbols[symbol].model_dump(exclude_unset=True)
        return SymbolParams.model_validate(merge_symbol(self._symbol_defaults(), overrides))

    def _symbol_defaults(self) -> dict[str, Any]:
        names = SymbolParams.model_fields
        return {name: getattr(self, name) for name in self.model_fields_set if name in names}


def merge_symbol(defaults: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one symbol's parameters over those given for all.

    Either of ``position_size`` and ``position_size_usd`` replaces the other when it is the more specific one.
    """
    merged = {**defaults, **overrides}
    for given, other in (("position_size", "position_size_usd"), ("position_size_usd", "position_size")):
        if overrides.get(given) is not None and other not in overrides:
            merged[other] = None
    if "position_size" in defaults and "position_size_usd" not in merged:
        merged["position_size_usd"] = None
    return merged
