"""The configuration model: what every parameter means, its unit, its default and what is allowed."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    create_model,
    model_serializer,
    model_validator,
)

from mm_nautilus.config.amount import Amount
from mm_nautilus.config.contradictions import (
    Finding,
    calibration_findings,
    level_findings,
    parameter_findings,
)
from mm_nautilus.config.fields import (
    LARGEST_AMOUNT,
    AccountShare,
    AmountField,
    CurrencyCode,
    FilePath,
    InventoryCap,
    InventoryTarget,
    OrderTag,
    PlainValues,
    Section,
    StrategyName,
    SymbolName,
    VenueName,
)
from mm_nautilus.config.levels import FURTHEST_BPS, FURTHEST_VOLATILITIES, LevelsField, level_count
from mm_nautilus.config.moods import CorrelationPause, SessionHours, VolatilityRegime, own_pair_problems
from mm_nautilus.config.object_reference import ObjectField, ObjectReference
from mm_nautilus.config.problems import Problem, refuse
from mm_nautilus.config.rate_limit import RateLimitConfig
from mm_nautilus.market.instrument import LARGEST_FEE_PCT

REPORT_CURRENCY: Final = "USDT"
"""Default currency of bare amounts and reports."""


LARGEST_GAMMA: Final = 1.0


class SymbolParams(Section):
    """Parameters of one symbol: given for all symbols, overridden per symbol under ``symbols``."""

    # Quoting
    quoting: Literal["two_sided", "signal"] = "two_sided"
    """two_sided keeps a bid and an ask; signal is v1.4.0's rule: a side is open only while book imbalance and trade
    flow agree."""
    entry_order: Literal["maker", "taker"] = "maker"
    """maker posts quotes that never take; taker, with quoting: signal only, sends the marketable order of v1.4.0 when
    the signal is on."""
    fair_price: Literal["mid", "weighted_mid", "microprice"] = "mid"
    """Centre of the quotes before inventory moves them: the mid; the mid weighted with the touch's sizes; or
    Stoikov's micro-price, whose table comes from calibration."""
    min_spread_pct: float = Field(0.1, gt=0, le=5)
    """Least full width between our bid and ask, % of mid."""
    min_edge_bps: float | None = Field(None, ge=0, le=500)
    """With it, the full width is never below two maker fees plus this, in basis points of mid."""
    position_size_usd: float | None = Field(20.0, gt=0, le=LARGEST_AMOUNT)
    """Size of one quote as a value in the report currency (v1.4.0's name; USDT by default)."""
    position_size: AmountField | None = None
    """Size of one quote as an amount with its currency, for example 25 XRP; instead of position_size_usd."""
    requote_tolerance_bps: float = Field(0.5, ge=0, le=1000)
    """A working order is kept while its price is within this distance of its target, basis points of mid."""
    requote_size_tolerance_pct: float = Field(50.0, ge=0, le=100)
    """A working order is kept while its open size is within this % of its target."""
    min_quote_life_seconds: float = Field(0.0, ge=0, le=3_600)
    """A working order younger than this is not requoted for its price alone, seconds."""
    cooldown_seconds: float = Field(5.0, gt=0, le=86_400)
    """Least time between a fill on a side and a new quote there, seconds."""

    # Levels
    levels: LevelsField = 1
    """Quotes a side: their number, or a list of each one's distance beyond the model's quote and its size in quotes."""
    level_spacing_bps: float | None = Field(None, gt=0, le=FURTHEST_BPS)
    """With a number of levels: distance between the first two of a side, basis points of mid."""
    level_spacing_volatility: float | None = Field(None, gt=0, le=FURTHEST_VOLATILITIES)
    """The same in units of the measured one-minute volatility; instead of level_spacing_bps."""
    level_spacing_ratio: float = Field(1.0, ge=1, le=10)
    """Each further distance between levels is this many times the one before: 1 spaces them evenly."""
    level_size_step: float = Field(0.0, ge=0, le=10)
    """Each level is larger than the one before by this many quotes."""
    level_size_ratio: float = Field(1.0, gt=0, le=10)
    """Each level is this many times as large as the one before, below 1 smaller."""
    order_optimization: bool = False
    """Whether the nearest quote stands at most one tick inside the touch, even if its price is better than that."""
    hanging_orders: bool = False
    """Whether the opposite quote of a level whose quote is filled stays as it is until it is filled too."""
    hanging_max_distance_bps: float = Field(100.0, gt=0, le=10_000)
    """Distance from mid beyond which a hanging order is an ordinary quote again, basis points of mid."""
    hanging_max_age_seconds: float = Field(600.0, gt=0, le=31_536_000)
    """Time since that fill after which a hanging order is an ordinary quote again, seconds."""

    # Inventory
    max_inventory: InventoryCap = 100.0
    """Cap on the position's value with all pending orders filled; a bare number is in the report currency."""
    inventory_target: InventoryTarget = 0.0
    """Position that prices and sizes lean towards, negative for short; a bare number is in the report currency, 50 %
    the base's share of the pair. q = (position - inventory_target) / max_inventory. The cap stays around zero."""
    inventory_skew: float = Field(0.5, ge=0, le=1.0)
    """Shrinks the quote that would move the position away from its target: size * max(1 - abs(q) * inventory_skew,
    0.1)."""

    # Signals
    imbalance_threshold: float = Field(0.1, ge=0, le=1)
    """Book imbalance over ten levels that opens a side with quoting: signal."""
    use_trade_flow: bool = True
    """Whether the signal also needs the trade tape to agree."""
    trade_flow_threshold: float = Field(0.15, ge=0, le=1)
    """Trade flow over the last 50 trades that confirms a signal."""

    # Volatility
    base_volatility_pct: float = Field(0.5, gt=0, le=100)
    """One-minute volatility, %, up to which widths are not scaled."""
    volatility_lookback: int = Field(20, ge=2, le=1440)
    """Number of one-minute returns in the volatility estimate."""
    volatility_threshold_mult: float = Field(1.5, ge=1, le=100)
    """Cap on the factor by which volatility widens quotes; 1 switches it off."""

    # Moods of the market
    volatility_regimes: list[VolatilityRegime] | None = Field(None, min_length=1)
    """Factors on width and size, or a pause, while the one-minute volatility lies above quantiles of what the
    calibration measured; the highest of them that is passed holds."""
    session_hours: list[SessionHours] | None = Field(None, min_length=1)
    """Factors on width and size at certain hours of the day, UTC; those of overlapping sessions are multiplied."""
    trend_threshold_bps: float | None = Field(None, gt=0, le=10_000)
    """Slope of the mid, basis points a minute, from which on a trend stops the side that would sell into a rise or buy
    into a fall, unless it reduces the position; null has no trend filter."""
    trend_window_seconds: float = Field(60.0, ge=15, le=86_400)
    """How far back the slope is measured, seconds; it is measured every 5 seconds."""
    trend_confirmations: int = Field(3, ge=1, le=1000)
    """Number of such slopes in a row, all in one direction, that make a trend."""
    correlation_pause: CorrelationPause | None = None
    """Another pair whose position stops the side that would add to the same risk while both pairs move together."""

    # Reservation price
    use_reservation_price: bool = False
    """Whether inventory moves what quotes are centred on: the reservation price instead of the fair price."""
    reservation_model: Literal["simplified", "avellaneda_stoikov", "glft"] = "simplified"
    """Model of the reservation price, and of the width that belongs to it: simplified is v1.4.0's and leaves the width
    alone; the others take volatility and order arrivals from calibration."""
    gamma: float = Field(0.1, ge=0.01, le=LARGEST_GAMMA)
    """Risk aversion, 0.01..1.0. simplified: without unit, for an amount of money equal to the cap's value.
    avellaneda_stoikov and glft: per basis point of price and full quote of position."""
    skew_bps_at_max_inventory: float | None = Field(None, gt=0, le=500)
    """Instead of gamma: how far inventory moves the reservation price at abs(q) = 1, basis points of mid, whatever the
    volatility. The gamma of avellaneda_stoikov's and glft's width follows from it. A gamma of the same level has to be
    null beside it."""
    horizon_seconds: float = Field(30.0, gt=0, le=86_400)
    """avellaneda_stoikov: constant time T - t for which inventory is assumed to be held, seconds."""
    recalibrate_minutes: float | None = Field(None, ge=0.1, le=10_080)
    """avellaneda_stoikov and glft: time between two estimates of volatility and order arrivals from what the run has
    seen, minutes; null keeps those of calibration."""
    recalibrate_window_minutes: float = Field(60.0, ge=0.1, le=10_080)
    """How far back such an estimate looks, minutes; at least recalibrate_minutes."""
    pricing: ObjectField | None = Field(None, examples=["my_module:my_model"])
    """Function of your own that returns reservation price and widths in the place of reservation_model. Its module is
    looked for beside the configuration file, then in the current folder, then among what is installed."""
    pricing_parameters: PlainValues = Field({}, validate_default=True, examples=[{"width_bps": 3.0}])
    """Values for pricing, which finds them in `params.pricing_parameters`; those of a symbol replace those for all as a
    whole."""

    # Exits
    take_profit_pct: float = Field(0.4, gt=0, le=100)
    """Profit that closes the position, % from entry."""
    stop_loss_pct: float = Field(0.5, gt=0, le=100)
    """Loss that closes the position, % from entry."""
    use_trailing_stop: bool = False
    """Whether the trailing stop is armed by profit."""
    trailing_stop_activation: float = Field(0.2, gt=0, le=100)
    """Profit that arms the trailing stop, % from entry."""
    trailing_stop_distance: float = Field(0.15, gt=0, le=100)
    """Distance of the trailing stop from the best price since entry, %; less than trailing_stop_activation."""
    take_profit_decay_seconds: float | None = Field(None, gt=0, le=31_536_000)
    """Age of a position, seconds, at which the profit that closes it has fallen to 0, in proportion to time; null keeps
    take_profit_pct."""
    max_position_seconds: float | None = Field(None, gt=0, le=31_536_000)
    """Age of a position at which it is closed at market, seconds; null never closes it for its age."""

    # Guards
    stale_after_seconds: float = Field(30.0, gt=0, le=86_400)
    """Quotes are cancelled after this long without a book event, seconds."""
    stale_tape_after_seconds: float | None = Field(600.0, gt=0, le=86_400)
    """Live: quotes are cancelled after this long without a trade, and trades are resubscribed, seconds; null
    disables the guard."""
    resume_after_seconds: float = Field(1.0, ge=0, le=86_400)
    """How long the book must have been sound again before quoting resumes, seconds."""
    retry_after_seconds: float = Field(1.0, ge=0, le=3600)
    """Pause on a side after the venue refused an order there, seconds."""
    max_drawdown_pct: float | None = Field(None, gt=0, le=100)
    """Fall of the symbol's total PnL from its best, % of max_inventory, that halts the symbol; null never halts."""
    flatten_on_halt: bool = False
    """Whether a halt also closes the position at market."""
    max_consecutive_losses: int | None = Field(None, ge=1, le=1000)
    """Orders in a row that reduced the position at a loss, fees included, after which the symbol is halted; null never
    halts."""
    max_refused_orders: int | None = Field(10, ge=1, le=1000)
    """Most refusals of orders and amends tolerated within refused_orders_window_seconds; one more pauses the
    symbol; null never pauses."""
    refused_orders_window_seconds: float = Field(10.0, gt=0, le=3600)
    """Window in which refused orders are counted, seconds."""
    refused_orders_pause_seconds: float = Field(60.0, gt=0, le=86_400)
    """Pause of the symbol after too many refused orders, seconds."""
    max_refused_orders_pauses: int | None = Field(3, ge=0, le=1000)
    """Most such pauses in a row, each begun within one pause's length after the previous one's end; instead of one more
    the symbol is halted; null never halts."""
    max_trade_age_seconds: float = Field(10.0, gt=0, le=86_400)
    """Trades older than this on arrival, seconds, are reported and left out of the trade tape and of estimates:
    a feed may send past trades again when it connects."""

    # Fees assumed by the strategy
    maker_fee_pct: float | None = Field(None, ge=-LARGEST_FEE_PCT, le=LARGEST_FEE_PCT)
    """Maker fee assumed by the strategy, % of value; null takes the venue's."""
    taker_fee_pct: float | None = Field(None, ge=-LARGEST_FEE_PCT, le=LARGEST_FEE_PCT)
    """Taker fee assumed by the strategy, % of value; null takes the venue's."""

    @model_validator(mode="before")
    @classmethod
    def _leave_out_what_is_replaced(cls, data: Any) -> Any:
        """Remove ``position_size_usd``'s default if ``position_size`` is given."""
        if isinstance(data, dict) and data.get("position_size") is not None:
            data = {"position_size_usd": None, **data}
        return _without_null_gamma(data)

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        found = [*level_findings(self), *parameter_findings(self, REPORT_CURRENCY)]
        refuse(Problem(finding.names[:1], finding.message) for finding in found)
        return self

    @model_serializer(mode="wrap")
    def _leave_replaced_gamma_out(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Remove ``gamma``'s default if ``skew_bps_at_max_inventory`` is given."""
        written: dict[str, Any] = handler(self)
        if self.skew_bps_at_max_inventory is not None and "gamma" not in self.model_fields_set:
            written.pop("gamma", None)
        return written

    @property
    def is_calibrated(self) -> bool:
        """Whether the quote model needs calibrated inputs."""
        return self.pricing is None and self.use_reservation_price and self.reservation_model != "simplified"

    def size(self, report_currency: str) -> Amount:
        """Return the size of one full quote with its currency; a ValueError where validation has let none pass."""
        if self.position_size is not None:
            return self.position_size
        if self.position_size_usd is None:
            raise ValueError("one of position_size and position_size_usd must be given, was neither")
        return Amount.of(self.position_size_usd, report_currency)

    def inventory_cap(self, report_currency: str) -> Amount:
        """Return the cap on the position with its currency."""
        cap = self.max_inventory
        return cap if isinstance(cap, Amount) else Amount.of(cap, report_currency)

    def target(self, report_currency: str) -> Amount:
        """Return the target position with its currency; 0 where it is a share of the account."""
        target = 0.0 if isinstance(self.inventory_target, AccountShare) else self.inventory_target
        return target if isinstance(target, Amount) else Amount.of(target, report_currency)

    @property
    def target_share(self) -> float | None:
        """Share of the pair's balances that the base currency is to have, None where the target is an amount."""
        target = self.inventory_target
        return target.percent / 100.0 if isinstance(target, AccountShare) else None


def _without_null_gamma(data: Any) -> Any:
    """Treat ``gamma: null`` as not given if ``skew_bps_at_max_inventory`` replaces it."""
    if not isinstance(data, dict) or data.get("skew_bps_at_max_inventory") is None:
        return data
    return {name: value for name, value in data.items() if name != "gamma" or value is not None}


def _without_defaults(schema: dict[str, Any]) -> None:
    """Remove defaults from a JSON schema, because an override that is not given keeps the common value."""
    for described in schema.get("properties", {}).values():
        described.pop("default", None)


class _Overrides(Section):
    model_config = ConfigDict(json_schema_extra=_without_defaults)

    @model_validator(mode="before")
    @classmethod
    def _leave_out_what_is_replaced(cls, data: Any) -> Any:
        return _without_null_gamma(data)

    @model_validator(mode="after")
    def _check_level(self) -> Self:
        refuse(Problem(finding.names[:1], finding.message) for finding in level_findings(self))
        return self

    @model_serializer(mode="wrap")
    def _write_what_is_given(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if name in self.model_fields_set}


def _optional_fields() -> dict[str, Any]:
    overrides: dict[str, Any] = {}
    for name, field in SymbolParams.model_fields.items():
        copied = copy(field)
        copied.default, copied.validate_default = None, False
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


if TYPE_CHECKING:
    _WithClass = SymbolParams
else:  # the key is a Python keyword, which an annotation cannot name
    _WithClass = create_model(
        "_WithClass",
        __base__=SymbolParams,
        **{
            "class": (
                ObjectField | None,
                Field(
                    None,
                    examples=["my_module:MyMaker"],
                    description="Subclass of `MarketMaker` that a run trades with; null is `MarketMaker` itself. "
                    "Its module is looked for as that of pricing.",
                ),
            )
        },
    )


class MarketMakerConfig(_WithClass):
    """Configuration of the `MarketMaker` strategy: parameters for all symbols, and what differs for each."""

    venue: VenueName | None = None
    """Venue of the symbols; null takes the only one that lists them."""
    report_currency: CurrencyCode = REPORT_CURRENCY
    """Currency of bare amounts and of totals."""
    symbols: dict[SymbolName, _SymbolEntry] = Field(..., min_length=1, examples=[{"XRP/USDT": {}}])
    """The symbols to quote, each with the parameters that differ from the above."""
    calibration: FilePath | None = Field(None, examples=["calibration/sample.yaml"])
    """File that the calibrate command wrote: volatility, order arrivals and micro-price of each symbol; relative to the
    configuration file."""
    book_data: Literal["deltas", "depth", "quotes"] = "deltas"
    """Market data the book is kept from: level-2 deltas, snapshots of some levels, or best quotes."""
    own_orders_in_book: bool = False
    """Whether the venue's book shows our own orders, which are then taken out before prices and sizes are read from it:
    true on a real venue, false on a simulated one."""
    amend_orders: bool = True
    """Whether a working order is amended; otherwise it is cancelled and replaced."""
    max_order_actions_per_second: int = Field(20, ge=1, le=1000)
    """Cap on new, amended and cancelled orders per second; exits, halts and cancels on an unsound book are
    exempt."""
    rate_limit: RateLimitConfig | None = None
    """The venue's rate limit on order commands; null takes that of venue in a run, and none elsewhere."""
    rate_limit_policy: Literal["budget", "ignore"] = "budget"
    """With a rate_limit: budget requotes the worst orders first and keeps a reserve for cancels and exits, so that no
    command is refused; ignore sends all commands, and the venue refuses those beyond the limit."""
    max_account_drawdown_pct: float | None = Field(None, gt=0, le=100)
    """Fall of all symbols' total PnL from its best, % of the equity at the start, that halts everything; null never
    halts."""
    max_clock_step_seconds: float = Field(1.0, ge=0.1, le=60)
    """Live: jump of the wall clock against a monotonic clock, seconds, after which quotes are cancelled until
    both have agreed for three seconds."""
    kill_switch_flatten: bool = False
    """Whether the kill switch also closes all positions at market by default."""
    flatten_on_stop: bool = False
    """Whether stopping the strategy closes its positions at market."""
    strategy_id: StrategyName | None = None
    """The engine's id of the strategy; null derives it from its class and order_id_tag."""
    order_id_tag: OrderTag = "001"
    """Tag that distinguishes the order ids of several strategies."""

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        """Check the merged parameters of every symbol, not the common ones."""
        found = [Problem(finding.names[:1], finding.message) for finding in level_findings(self)]
        found += self.problems(lambda params: parameter_findings(params, self.report_currency))
        found += self.problems(self._unknown_pairs)
        found += own_pair_problems({pair: dict(it)["correlation_pause"] for pair, it in self.symbols.items()})
        if self.own_orders_in_book and self.book_data == "quotes":
            text = (
                "own_orders_in_book must be false with book_data: quotes, which show no size behind ours, and must be "
                "false with a simulated venue, was true"
            )
            found.append(Problem(("own_orders_in_book",), text))
        if self.calibration is None:
            found += self.problems(calibration_findings)
        if self.rate_limit is not None and self.rate_limit_policy == "budget":
            found += self.rate_limit.problems_of_budget(self.most_orders, "rate_limit")
        refuse(found)
        return self

    def _unknown_pairs(self, params: SymbolParams) -> Iterator[Finding]:
        pause = params.correlation_pause
        if pause is not None and pause.symbol not in self.symbols:
            known = ", ".join(self.symbols)
            text = f"correlation_pause.symbol must be one of the symbols ({known}), was {pause.symbol}"
            yield Finding(("correlation_pause",), text)

    @property
    def most_orders(self) -> int:
        """The most orders that may be live at once: the quotes of all symbols, and an exit of each."""
        return sum(2 * level_count(self.for_symbol(name).levels) + 1 for name in self.symbols)

    @property
    def strategy_class(self) -> ObjectReference | None:
        """Value of the key ``class``."""
        return getattr(self, "class")  # type: ignore[no-any-return]

    def for_symbol(self, symbol: str) -> SymbolParams:
        """Return the merged parameters of one symbol; a KeyError says that it is not configured."""
        merged = merge_symbol(_given(self), _given(self.symbols[symbol]))
        merged.setdefault("pricing_parameters", self.pricing_parameters)  # a default would not be validated
        return SymbolParams.model_construct(**merged)

    def given_name(self, symbol: str, names: Iterable[str]) -> str:
        """Return the first of some parameters that is given for a symbol, else for all, else the first."""
        here, above = self.symbols[symbol].model_fields_set, self.model_fields_set
        return min(names, key=lambda name: 0 if name in here else 1 if name in above else 2)

    def problems(
        self, rule: Callable[[SymbolParams], Iterable[Finding]], *, is_warning: bool = False
    ) -> list[Problem]:
        """Apply a rule to the merged parameters of every symbol, and return each problem once.

        A problem is at the symbol's key if one of the parameters is given there, else at the common key.
        """
        found = dict[Problem, None]()
        for symbol, overrides in self.symbols.items():
            for finding in rule(self.for_symbol(symbol)):
                name = self.given_name(symbol, finding.names)
                path = ("symbols", symbol, name) if name in overrides.model_fields_set else (name,)
                found[Problem(path, finding.message, is_warning)] = None
        return list(found)


def _given(level: BaseModel) -> dict[str, Any]:
    names = SymbolParams.model_fields
    return {name: getattr(level, name) for name in names if name in level.model_fields_set}


def merge_symbol(defaults: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Merge one symbol's parameters over the common ones.

    A symbol's ``position_size`` replaces a common ``position_size_usd`` and vice versa; the same holds for the two
    spacings of levels, and for ``gamma`` and ``skew_bps_at_max_inventory``.
    """
    merged = {**defaults, **overrides}
    for one, two in (
        ("position_size", "position_size_usd"),
        ("level_spacing_bps", "level_spacing_volatility"),
    ):
        for given, other in ((one, two), (two, one)):
            if overrides.get(given) is not None and other not in overrides:
                merged[other] = None
    if overrides.get("gamma") is not None and "skew_bps_at_max_inventory" not in overrides:
        merged["skew_bps_at_max_inventory"] = None
    if "position_size" in defaults and "position_size_usd" not in merged:
        merged["position_size_usd"] = None
    return merged
