"""The configuration model: what every parameter means, its unit, its default and what is allowed."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    create_model,
    model_serializer,
    model_validator,
)

from mm_nautilus.config.amount import Amount
from mm_nautilus.config.fields import (
    LARGEST_AMOUNT,
    STRICT,
    Allowed,
    AmountField,
    CurrencyCode,
    FilePath,
    Finding,
    InventoryCap,
    InventoryTarget,
    SymbolName,
    VenueName,
    refuse_findings,
)
from mm_nautilus.market.instrument import LARGEST_FEE_PCT

__all__ = [
    "REPORT_CURRENCY",
    "AmountField",
    "MarketMakerConfig",
    "SymbolOverrides",
    "SymbolParams",
    "merge_symbol",
    "parameter_findings",
]

REPORT_CURRENCY: Final = "USDT"
"""Currency of bare amounts and of reports where nothing else is configured."""


class SymbolParams(BaseModel):
    """Parameters of one symbol: given for all symbols, overridden per symbol under ``symbols``."""

    model_config = STRICT

    # Quoting
    quoting: Literal["two_sided", "signal"] = Field(
        default="two_sided",
        description="two_sided keeps a bid and an ask; signal is v1.4.0's rule: a side is open only while "
        "book imbalance and trade flow agree.",
    )
    entry_order: Literal["maker", "taker"] = Field(
        default="maker",
        description="maker posts quotes that never take; taker, with quoting: signal only, sends the "
        "marketable order of v1.4.0 when the signal is on.",
    )
    fair_price: Literal["mid", "weighted_mid", "microprice"] = Field(
        default="mid",
        description="What quotes are centred on before inventory moves them: the mid; the mid weighted with the "
        "touch's sizes; or Stoikov's micro-price, whose table comes from calibration.",
    )
    min_spread_pct: float = Field(
        default=0.1, gt=0, le=5, description="Least full width between our bid and ask, % of mid."
    )
    min_edge_bps: float | None = Field(
        default=None,
        ge=0,
        le=500,
        description="With it, the full width is never below two maker fees plus this, in basis points of "
        "mid.",
    )
    position_size_usd: float | None = Field(
        default=20.0,
        gt=0,
        le=LARGEST_AMOUNT,
        description="Size of one quote as a value in the report currency (v1.4.0's name; USDT by default).",
    )
    position_size: AmountField | None = Field(
        default=None,
        description="Size of one quote as an amount with its currency, for example 25 XRP; instead of "
        "position_size_usd.",
    )
    requote_tolerance_bps: float = Field(
        default=0.5,
        ge=0,
        le=1000,
        description="A working order is kept while its price is within this distance of its target, basis "
        "points of mid.",
    )
    requote_size_tolerance_pct: float = Field(
        default=50.0,
        ge=0,
        le=100,
        description="A working order is kept while its open size is within this % of its target.",
    )
    cooldown_seconds: float = Field(
        default=5.0,
        gt=0,
        le=86_400,
        description="Least time between a fill on a side and a new quote there, seconds.",
    )

    # Inventory
    max_inventory: InventoryCap = Field(
        default=100.0,
        description="Cap on the position's value with all pending orders filled; a bare number is in the "
        "report currency.",
    )
    inventory_target: InventoryTarget = Field(
        default=0.0,
        description="Position that prices and sizes lean towards, negative for short; a bare number is in the "
        "report currency. q = (position - inventory_target) / max_inventory. The cap stays around zero.",
    )
    inventory_skew: float = Field(
        default=0.5,
        ge=0,
        le=1.0,
        description="Shrinks the quote that would move the position away from its target: size * "
        "max(1 - abs(q) * inventory_skew, 0.1).",
    )

    # Signals
    imbalance_threshold: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Book imbalance over ten levels that opens a side with quoting: signal.",
    )
    use_trade_flow: bool = Field(
        default=True, description="Whether the signal also needs the trade tape to agree."
    )
    trade_flow_threshold: float = Field(
        default=0.15, ge=0, le=1, description="Trade flow over the last 50 trades that confirms a signal."
    )

    # Volatility
    base_volatility_pct: float = Field(
        default=0.5, gt=0, le=100, description="One-minute volatility, %, up to which widths are not scaled."
    )
    volatility_lookback: int = Field(
        default=20, ge=2, le=1440, description="Number of one-minute returns in the volatility estimate."
    )
    volatility_threshold_mult: float = Field(
        default=1.5,
        ge=1,
        le=100,
        description="Cap on the factor by which volatility widens quotes; 1 switches it off.",
    )

    # Reservation price
    use_reservation_price: bool = Field(
        default=False,
        description="Whether inventory moves what quotes are centred on: the reservation price instead of the "
        "fair price.",
    )
    reservation_model: Literal["simplified", "avellaneda_stoikov", "glft"] = Field(
        default="simplified",
        description="Model of the reservation price, and of the width that belongs to it: simplified is v1.4.0's "
        "and leaves the width alone; the others take volatility and order arrivals from calibration.",
    )
    gamma: float = Field(
        default=0.1,
        ge=0.01,
        le=1.0,
        description="Risk aversion, 0.01..1.0. simplified: without unit, for an amount of money equal to the cap's "
        "value. avellaneda_stoikov and glft: per basis point of price and full quote of position.",
    )
    skew_bps_at_max_inventory: float | None = Field(
        default=None,
        gt=0,
        le=500,
        description="Instead of gamma: how far inventory moves the reservation price at abs(q) = 1, basis points of "
        "mid, whatever the volatility. The gamma of avellaneda_stoikov's and glft's width follows from it. A gamma "
        "of the same level has to be null beside it.",
    )
    horizon_seconds: float = Field(
        default=30.0,
        gt=0,
        le=86_400,
        description="avellaneda_stoikov: time T - t that inventory is reckoned to be held, always the same, seconds.",
    )
    recalibrate_minutes: float | None = Field(
        default=None,
        ge=0.1,
        le=10_080,
        description="avellaneda_stoikov and glft: time between two estimates of volatility and order arrivals from "
        "what the run has seen, minutes; null keeps those of calibration.",
    )
    recalibrate_window_minutes: float = Field(
        default=60.0,
        ge=0.1,
        le=10_080,
        description="How far back such an estimate looks, minutes; at least recalibrate_minutes.",
    )

    # Exits
    take_profit_pct: float = Field(
        default=0.4, gt=0, le=100, description="Profit that closes the position, % from entry."
    )
    stop_loss_pct: float = Field(
        default=0.5, gt=0, le=100, description="Loss that closes the position, % from entry."
    )
    use_trailing_stop: bool = Field(
        default=False, description="Whether the trailing stop is armed by profit."
    )
    trailing_stop_activation: float = Field(
        default=0.2, gt=0, le=100, description="Profit that arms the trailing stop, % from entry."
    )
    trailing_stop_distance: float = Field(
        default=0.15,
        gt=0,
        le=100,
        description="Distance of the trailing stop from the best price since entry, %; less than "
        "trailing_stop_activation.",
    )

    # Guards
    stale_after_seconds: float = Field(
        default=30.0,
        gt=0,
        le=86_400,
        description="Quotes are cancelled after this long without a book event, seconds.",
    )
    stale_tape_after_seconds: float | None = Field(
        default=600.0,
        gt=0,
        le=86_400,
        description="Live: quotes are cancelled after this long without a trade, and the venue is asked for trades "
        "anew, seconds; null never doubts.",
    )
    resume_after_seconds: float = Field(
        default=1.0,
        ge=0,
        le=86_400,
        description="How long the book must have been sound again before quoting resumes, seconds.",
    )
    retry_after_seconds: float = Field(
        default=1.0,
        ge=0,
        le=3600,
        description="Pause on a side after the venue refused an order there, seconds.",
    )
    max_drawdown_pct: float | None = Field(
        default=None,
        gt=0,
        le=100,
        description="Fall of the symbol's total PnL from its best, % of max_inventory, that halts the "
        "symbol; null never halts.",
    )
    flatten_on_halt: bool = Field(
        default=False, description="Whether a halt also closes the position at market."
    )
    max_consecutive_losses: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Orders in a row that reduced the position at a loss, fees included, after which the symbol is "
        "halted; null never halts.",
    )
    max_refused_orders: int | None = Field(
        default=10,
        ge=1,
        le=1000,
        description="Orders and amends refused within refused_orders_window_seconds that are still no storm; one more "
        "pauses the symbol; null never pauses.",
    )
    refused_orders_window_seconds: float = Field(
        default=10.0, gt=0, le=3600, description="Window in which refused orders are counted, seconds."
    )
    refused_orders_pause_seconds: float = Field(
        default=60.0,
        gt=0,
        le=86_400,
        description="Pause of the symbol after a storm of refused orders, seconds.",
    )
    max_refused_orders_pauses: int | None = Field(
        default=3,
        ge=0,
        le=1000,
        description="Such pauses in a row, each begun within one pause's length after the last one's end, before the "
        "next storm halts the symbol; null never halts.",
    )
    max_trade_age_seconds: float = Field(
        default=10.0,
        gt=0,
        le=86_400,
        description="Trades that were this old when they came, seconds, are reported and left out of the trade tape "
        "and of estimates: a feed may send past trades again when it connects.",
    )

    # Fees the strategy reckons with
    maker_fee_pct: float | None = Field(
        default=None,
        ge=-LARGEST_FEE_PCT,
        le=LARGEST_FEE_PCT,
        description="Maker fee the strategy reckons with, % of value; null takes the venue's.",
    )
    taker_fee_pct: float | None = Field(
        default=None,
        ge=-LARGEST_FEE_PCT,
        le=LARGEST_FEE_PCT,
        description="Taker fee the strategy reckons with, % of value; null takes the venue's.",
    )

    @model_validator(mode="before")
    @classmethod
    def _leave_out_what_is_replaced(cls, data: Any) -> Any:
        """Leave ``position_size_usd``'s default out where ``position_size`` is given."""
        if isinstance(data, dict) and data.get("position_size") is not None:
            data = {"position_size_usd": None, **data}
        return _without_null_gamma(data)

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        refuse_findings([*_level_findings(self), *parameter_findings(self, REPORT_CURRENCY)])
        return self

    @model_serializer(mode="wrap")
    def _leave_replaced_gamma_out(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave ``gamma``'s default out where ``skew_bps_at_max_inventory`` is given."""
        written: dict[str, Any] = handler(self)
        if self.skew_bps_at_max_inventory is not None and "gamma" not in self.model_fields_set:
            written.pop("gamma", None)
        return written

    @property
    def is_calibrated(self) -> bool:
        """Whether a model that takes its figures from the market is in force."""
        return self.use_reservation_price and self.reservation_model != "simplified"

    def size(self, report_currency: str) -> Amount:
        """Return the size of one full quote with its currency.

        Raises
        ------
        ValueError
            If no size is given, which no validated configuration of a symbol leaves open.
        """
        if self.position_size is not None:
            return self.position_size
        if self.position_size_usd is None:
            raise ValueError("one of position_size and position_size_usd must be given, was neither")
        return Amount.of(self.position_size_usd, report_currency)

    def inventory_cap(self, report_currency: str) -> Amount:
        """Return the cap on the position with its currency."""
        if isinstance(self.max_inventory, Amount):
            return self.max_inventory
        return Amount.of(self.max_inventory, report_currency)

    def target(self, report_currency: str) -> Amount:
        """Return the position that quotes lean towards with its currency."""
        if isinstance(self.inventory_target, Amount):
            return self.inventory_target
        return Amount.of(self.inventory_target, report_currency)


def _without_null_gamma(data: Any) -> Any:
    """Read ``gamma: null`` as not given where ``skew_bps_at_max_inventory`` stands in for it."""
    if not isinstance(data, dict) or data.get("skew_bps_at_max_inventory") is None:
        return data
    return {name: value for name, value in data.items() if name != "gamma" or value is not None}


def _level_findings(level: BaseModel) -> list[Finding]:
    """Refuse two ways to say one thing at one level; `level` is a `SymbolParams` or a `SymbolOverrides`."""
    return [*_two_sizes(level), *_two_leans(level)]


def _two_sizes(level: BaseModel) -> list[Finding]:
    amount, bare = getattr(level, "position_size", None), getattr(level, "position_size_usd", None)
    if amount is None or bare is None:
        return []
    text = f"position_size and position_size_usd must not be given together, was {amount} and {bare}"
    return [Finding((("position_size",), ("position_size_usd",)), text)]


def _two_leans(level: BaseModel) -> list[Finding]:
    skew, gamma = getattr(level, "skew_bps_at_max_inventory", None), getattr(level, "gamma", None)
    if skew is None or gamma is None or "gamma" not in level.model_fields_set:
        return []
    text = f"skew_bps_at_max_inventory and gamma must not be given together, was {skew} and {gamma}"
    return [Finding((("skew_bps_at_max_inventory",), ("gamma",)), text)]


def _no_size(params: SymbolParams) -> list[Finding]:
    if params.position_size is None and params.position_size_usd is None:
        keys = (("position_size_usd",), ("position_size",))
        return [Finding(keys, "Missing required config: position_size_usd")]
    return []


def _taker_without_signal(params: SymbolParams) -> list[Finding]:
    if params.entry_order == "taker" and params.quoting != "signal":
        text = f"entry_order must be maker with quoting: {params.quoting} (taker needs signal), was taker"
        return [Finding((("entry_order",), ("quoting",)), text)]
    return []


def _trail_too_far(params: SymbolParams) -> list[Finding]:
    distance, activation = params.trailing_stop_distance, params.trailing_stop_activation
    if distance < activation:
        return []
    text = f"trailing_stop_distance must be below trailing_stop_activation ({activation}), was {distance}"
    return [Finding((("trailing_stop_distance",), ("trailing_stop_activation",)), text)]


def _size_above_cap(params: SymbolParams, report_currency: str) -> list[Finding]:
    """Refuse a quote that alone breaks its own cap, so that a full one is never sent."""
    if _no_size(params):
        return []
    size, cap = params.size(report_currency), params.inventory_cap(report_currency)
    if size.currency != cap.currency or size.value <= cap.value:
        return []
    name = "position_size_usd" if params.position_size is None else "position_size"
    text = f"max_inventory must be at least one quote ({name} {size}), was {cap}"
    return [Finding((("max_inventory",), (name,)), text)]


def _target_above_cap(params: SymbolParams, report_currency: str) -> list[Finding]:
    target, cap = params.target(report_currency), params.inventory_cap(report_currency)
    if target.currency != cap.currency or abs(target.value) <= cap.value:
        return []
    text = f"inventory_target must be at most max_inventory ({cap}) either way, was {target}"
    return [Finding((("inventory_target",), ("max_inventory",)), text)]


def _window_too_short(params: SymbolParams) -> list[Finding]:
    interval, window = params.recalibrate_minutes, params.recalibrate_window_minutes
    if interval is None or window >= interval:
        return []
    text = f"recalibrate_window_minutes must be at least recalibrate_minutes ({interval}), was {window}"
    return [Finding((("recalibrate_window_minutes",), ("recalibrate_minutes",)), text)]


def parameter_findings(params: SymbolParams, report_currency: str) -> list[Finding]:
    """Return the contradictions between one symbol's merged parameters.

    Parameters
    ----------
    params
        The merged parameters, each valid by itself.
    report_currency
        Currency of amounts given as bare numbers.
    """
    return [
        *_no_size(params),
        *_taker_without_signal(params),
        *_trail_too_far(params),
        *_size_above_cap(params, report_currency),
        *_target_above_cap(params, report_currency),
        *_window_too_short(params),
    ]


def _uncalibrated(params: SymbolParams, calibration: Path | None) -> list[Finding]:
    """Refuse what takes figures from the market where none will ever come."""
    if calibration is not None:
        return []
    found = []
    if params.is_calibrated and params.recalibrate_minutes is None:
        text = (
            f"calibration or recalibrate_minutes must be given with reservation_model: "
            f"{params.reservation_model}, was null for both"
        )
        found.append(Finding((("reservation_model",), ("recalibrate_minutes",), ("calibration",)), text))
    if params.fair_price == "microprice":
        text = "calibration must be given with fair_price: microprice, which takes its table from there, was null"
        found.append(Finding((("fair_price",), ("calibration",)), text))
    return found


def _without_defaults(schema: dict[str, Any]) -> None:
    """Take the defaults out of a JSON schema: an override that is not given leaves the value for all."""
    for described in schema.get("properties", {}).values():
        described.pop("default", None)


class _Overrides(BaseModel):
    model_config = STRICT | {"json_schema_extra": _without_defaults}

    @model_validator(mode="before")
    @classmethod
    def _leave_out_what_is_replaced(cls, data: Any) -> Any:
        return _without_null_gamma(data)

    @model_validator(mode="after")
    def _check_level(self) -> Self:
        refuse_findings(_level_findings(self))
        return self

    @model_serializer(mode="wrap")
    def _write_what_is_given(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if name in self.model_fields_set}


def _optional_fields() -> dict[str, Any]:
    overrides: dict[str, Any] = {}
    for name, field in SymbolParams.model_fields.items():
        copied = copy(field)
        copied.default = None
        overrides[name] = (field.annotation, copied)
    return overrides


SymbolOverrides = create_model(
    "SymbolOverrides",
    __base__=_Overrides,
    __doc__="Parameters of one symbol that differ from those given for all.",
    **_optional_fields(),
)


def _nothing_differs(value: Any) -> Any:
    return {} if value is None else value


_SymbolEntry = Annotated[
    SymbolOverrides,
    BeforeValidator(_nothing_differs, json_schema_input_type=SymbolOverrides | None),
]


StrategyName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_]{1,40}-[A-Za-z0-9_]{1,20}$"),
    Allowed("a name, a hyphen and a tag, of letters, digits and _, such as MarketMaker-001"),
]
OrderTag = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_]{1,20}$"),
    Allowed("a text of one to twenty letters, digits and _"),
]


class MarketMakerConfig(SymbolParams):
    """Configuration of the `MarketMaker` strategy: parameters for all symbols, and what differs for each."""

    venue: VenueName | None = Field(
        default=None, description="Venue of the symbols; null takes the only one that lists them."
    )
    report_currency: CurrencyCode = Field(
        default=REPORT_CURRENCY, description="Currency of bare amounts and of totals."
    )
    symbols: dict[SymbolName, _SymbolEntry] = Field(
        ...,
        min_length=1,
        examples=[{"XRP/USDT": {}}],
        description="The symbols to quote, each with the parameters that differ from the above.",
    )
    calibration: FilePath | None = Field(
        default=None,
        examples=["calibration/sample.yaml"],
        description="File that the calibrate command wrote: volatility, order arrivals and micro-price of each "
        "symbol; relative to the configuration file.",
    )
    book_data: Literal["deltas", "depth", "quotes"] = Field(
        default="deltas",
        description="Market data the book is kept from: level-2 deltas, snapshots of some levels, or best "
        "quotes.",
    )
    amend_orders: bool = Field(
        default=True,
        description="Whether a working order is amended; otherwise it is cancelled and replaced.",
    )
    max_order_actions_per_second: int = Field(
        default=20,
        ge=1,
        le=1000,
        description="Cap on new, amended and cancelled orders a second; exits, halts and cancels because of an "
        "unsound book pass it.",
    )
    max_account_drawdown_pct: float | None = Field(
        default=None,
        gt=0,
        le=100,
        description="Fall of all symbols' total PnL from its best, % of the equity at the start, that "
        "halts everything; null never halts.",
    )
    max_clock_step_seconds: float = Field(
        default=1.0,
        ge=0.1,
        le=60,
        description="Live: jump of the wall clock against a clock that nobody sets, seconds, after which quotes are "
        "cancelled until both have agreed for three seconds.",
    )
    kill_switch_flatten: bool = Field(
        default=False,
        description="Whether the kill switch also closes all positions at market where it is not told otherwise.",
    )
    flatten_on_stop: bool = Field(
        default=False, description="Whether stopping the strategy closes its positions at market."
    )
    strategy_id: StrategyName | None = Field(
        default=None,
        description="The engine's id of the strategy; null derives it from its class and order_id_tag.",
    )
    order_id_tag: OrderTag = Field(
        default="001", description="Tag that keeps order ids of several strategies apart."
    )

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        """Check what is used: the merged parameters of every symbol, not the ones given for all."""
        report_currency, calibration = self.report_currency, self.calibration
        found = self.findings(
            lambda params: [
                *parameter_findings(params, report_currency),
                *_uncalibrated(params, calibration),
            ]
        )
        refuse_findings([*_level_findings(self), *found])
        return self

    def for_symbol(self, symbol: str) -> SymbolParams:
        """Return the merged parameters of one symbol.

        Raises
        ------
        KeyError
            If `symbol` is not configured.
        """
        merged = merge_symbol(_given(self), _given(self.symbols[symbol]))
        return SymbolParams.model_construct(**merged)

    def findings(self, rule: Callable[[SymbolParams], Sequence[Finding]]) -> list[Finding]:
        """Apply a rule to the merged parameters of every symbol.

        Returns
        -------
        list[Finding]
            Each once, at the symbol's key where one of its keys is given there, else at the key for all.
        """
        found: dict[Finding, None] = {}
        for symbol in self.symbols:
            for finding in rule(self.for_symbol(symbol)):
                found[self._placed(finding, symbol)] = None
        return list(found)

    def _placed(self, finding: Finding, symbol: str) -> Finding:
        """Put the keys first that are given for the symbol, then those given for all, then the defaults."""
        here, above = _given(self.symbols[symbol]), _given(self)
        placed = [("symbols", symbol, *key) if key[0] in here else key for key in finding.keys]
        placed.sort(key=lambda key: 0 if len(key) > 1 else 1 if key[0] in above else 2)
        return Finding(tuple(placed), finding.message)


def _given(level: BaseModel) -> dict[str, Any]:
    names = SymbolParams.model_fields
    return {name: getattr(level, name) for name in names if name in level.model_fields_set}


def merge_symbol(defaults: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one symbol's parameters over those given for all.

    Either of ``position_size`` and ``position_size_usd`` replaces the other when it is the more specific one, and
    so does either of ``gamma`` and ``skew_bps_at_max_inventory``.
    """
    merged = {**defaults, **overrides}
    for given, other in (("position_size", "position_size_usd"), ("position_size_usd", "position_size")):
        if overrides.get(given) is not None and other not in overrides:
            merged[other] = None
    if overrides.get("gamma") is not None and "skew_bps_at_max_inventory" not in overrides:
        merged["skew_bps_at_max_inventory"] = None
    if "position_size" in defaults and "position_size_usd" not in merged:
        merged["position_size_usd"] = None
    return merged
