"""Checks of a configuration against instruments and, once known, their prices."""

from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final

from mm_nautilus.calibration.figures import Calibration
from mm_nautilus.calibration.model_inputs import ModelInputs, calibrated_inputs
from mm_nautilus.calibration.volatility import one_minute_pct
from mm_nautilus.checks.fees import (
    Fees,
    check_fees,
    configured_fees,
    with_instrument_fees,
    with_venue_fees,
)
from mm_nautilus.config.amount import Amount
from mm_nautilus.config.levels import FURTHEST_BPS
from mm_nautilus.config.problems import Problem
from mm_nautilus.config.run import TradingConfig
from mm_nautilus.config.strategy import MarketMakerConfig, SymbolParams
from mm_nautilus.errors import CalibrationError
from mm_nautilus.market.instrument import InstrumentSpec
from mm_nautilus.market.rates import Rates
from mm_nautilus.pricing.levels import ONE_LEVEL, follows_volatility, levels_of
from mm_nautilus.pricing.quote_model import QuoteMetrics, quote_metrics
from mm_nautilus.system.near_names import known_names

_ROUNDING: Final = 1e-9
"""Relative error of a converted amount that still counts as equal."""


def check_instruments(
    config: MarketMakerConfig,
    instruments: Mapping[str, InstrumentSpec],
    mids: Mapping[str, float] | None = None,
    volatility_pct: Mapping[str, float] | None = None,
    calibration: Calibration | None = None,
    *,
    refused: Mapping[str, str] | None = None,
    listed: Collection[str] = (),
) -> list[Problem]:
    """Return what is wrong with, or risky about, a strategy's configuration on these instruments.

    `instruments` are all that the venue or the catalog has, by symbol, and `listed` all listed symbols where it has
    only some of them; `refused` says why others cannot be quoted. Checks that need one of `mids`, in quote currency,
    are left out where it is missing; call again once prices are known. A missing one-minute volatility, %, is taken
    from `calibration`, or from ``base_volatility_pct`` for the simplified model. `calibration` is the file at
    ``config.calibration``, None if it lacks something the configuration needs.
    """
    known = {symbol: instruments[symbol] for symbol in config.symbols if symbol in instruments}
    prices = {symbol: mid for symbol, mid in (mids or {}).items() if mid > 0}
    rates = _rates(known, prices)
    reasons = refused or {}
    found = [
        Problem(("symbols", symbol), reasons.get(symbol) or _unknown_symbol(symbol, listed or instruments))
        for symbol in config.symbols
        if symbol not in instruments
    ]
    for spec in known.values():
        for rule in (_currency_problems, _size_problems, _level_problems, _target_problems):
            found.extend(rule(config, spec, rates))
    filled = {name: with_instrument_fees(config.for_symbol(name), spec) for name, spec in known.items()}
    fees = {name: fees for name, params in filled.items() if (fees := Fees.of(params)) is not None}
    found.extend(check_fees(config, fees))
    markets = {} if calibration is None else {s: model_inputs(config, calibration, s) for s in known}
    for symbol, spec in known.items():
        measured = (volatility_pct or {}).get(symbol, 0.0)
        found.extend(_model_problems(config, spec, rates, markets.get(symbol), measured))
        if calibration is not None and symbol in calibration.symbols:
            volatility = calibration.symbols[symbol].volatility
            found.extend(
                _volatile_levels(config, symbol, measured or one_minute_pct(volatility.volatility_bps))
            )
    return found


def model_inputs(
    config: MarketMakerConfig, calibration: Calibration | None, symbol: str
) -> ModelInputs | None:
    """Return the inputs of a symbol's model from a calibration, None if it needs none or there are none.

    A CalibrationError says that the inputs are implausible, which `configured_calibration` reports first.
    """
    if calibration is None or symbol not in calibration.symbols or config.calibration is None:
        return None
    if not config.for_symbol(symbol).is_calibrated:
        return None
    return calibrated_inputs(calibration.symbols[symbol], f"from {config.calibration.name}")


def _rates(specs: Mapping[str, InstrumentSpec], mids: Mapping[str, float]) -> Rates[float]:
    return Rates({symbol: (spec.base, spec.quote) for symbol, spec in specs.items()}, mids.get, 1.0)


def _converted(amount: Amount, rates: Rates[float], currency: str) -> float | None:
    rate = rates.rate(amount.currency, currency)
    return None if rate is None else float(amount.value) * rate


def _unknown_symbol(symbol: str, instruments: Collection[str]) -> str:
    known = known_names(symbol, sorted(instruments))
    return f"a symbol must be one of those with data ({known}), was {symbol}"


def _size_key(params: SymbolParams) -> str:
    return "position_size_usd" if params.position_size is None else "position_size"


def _currency_problems(
    config: MarketMakerConfig, spec: InstrumentSpec, rates: Rates[float]
) -> Iterator[Problem]:
    params, report = config.for_symbol(spec.symbol), config.report_currency
    amounts = {_size_key(params): params.size(report), "max_inventory": params.inventory_cap(report)}
    target = params.target(report)
    if target.value and target.currency != amounts["max_inventory"].currency:
        amounts["inventory_target"] = target
    for key, amount in amounts.items():
        ends = (rates.path(amount.currency, currency) for currency in (spec.base, spec.quote))
        if all(path is None for path in ends):
            yield Problem(
                ("symbols", spec.symbol, key),
                f"{key} must be in {spec.base}, {spec.quote} or a currency that the configured pairs convert "
                f"into one of them, was {amount}",
            )
    if rates.path(spec.quote, report) is None:
        yield Problem(
            ("report_currency",),
            f"report_currency must be a currency that the configured pairs convert {spec.quote} "
            f"(the quote currency of {spec.symbol}) into, was {report}",
        )


def _size_problems(config: MarketMakerConfig, spec: InstrumentSpec, rates: Rates[float]) -> Iterator[Problem]:
    params, report = config.for_symbol(spec.symbol), config.report_currency
    size, cap, key = params.size(report), params.inventory_cap(report), _size_key(params)
    for amount, currency, texts in _order_limits(spec, rates, size, 1.0):
        given = _with_value(size, amount, currency)
        for text in texts:
            yield Problem(("symbols", spec.symbol, key), f"{key} must be {text}, was {given}")
    worth = None if cap.currency == size.currency else _converted(size, rates, cap.currency)
    if worth is not None and _is_below(float(cap.value), worth):
        text = f"max_inventory must be at least one quote ({_with_value(size, worth, cap.currency)})"
        yield Problem(("symbols", spec.symbol, "max_inventory"), f"{text}, was {cap}")


def _order_limits(
    spec: InstrumentSpec, rates: Rates[float], size: Amount, share: float
) -> Iterator[tuple[float | None, str, list[str]]]:
    """Yield an order's size and value with its currency, and what the venue says against it; `share` of `size`."""
    least = max(spec.min_quantity or spec.size_increment, spec.size_increment)
    for name, currency, smallest, largest in (
        ("size", spec.base, least, spec.max_quantity),
        ("value", spec.quote, spec.min_notional, spec.max_notional),
    ):
        whole = _converted(size, rates, currency)
        amount = None if whole is None else whole * share
        texts = []
        if smallest is not None and _is_below(amount, smallest):
            texts.append(f"at least {smallest:f} {currency} (the least {name} of an order)")
        if amount is not None and largest is not None and _is_below(float(largest), amount):
            texts.append(f"at most {largest:f} {currency} (the largest {name} of an order)")
        yield amount, currency, texts


def _level_problems(
    config: MarketMakerConfig, spec: InstrumentSpec, rates: Rates[float]
) -> Iterator[Problem]:
    """Check each level's size against the venue's limits, and its distance from the one before against a tick."""
    params = config.for_symbol(spec.symbol)
    levels = levels_of(params)
    if levels == ONE_LEVEL:
        return
    size, is_list = params.size(config.report_currency), not isinstance(params.levels, int)
    shapes = [
        name for name in ("level_size_ratio", "level_size_step") if getattr(params, name) != _default(name)
    ]
    # With none of them, all levels have the quote's own size.
    key = "levels" if is_list or not shapes else config.given_name(spec.symbol, shapes)
    for number, level in enumerate(levels, 1):
        if level.size == 1.0:
            continue  # the quote's own size is checked by itself
        was = f"{f'size {level.size}' if is_list else getattr(params, key)} with {_size_key(params)} {size}"
        for amount, currency, texts in _order_limits(spec, rates, size, level.size):
            for limit in texts:
                text = f"{key} must make level {number} {limit}, was {was}: {amount:.6g} {currency}"
                yield Problem(("symbols", spec.symbol, key), text)
    mid = rates.rate(spec.base, spec.quote)
    if mid is None or follows_volatility(params):
        return
    key = "levels" if is_list else "level_spacing_bps"
    tick_bps = 10_000.0 * float(spec.price_increment) / mid
    # The first two of a number of levels are the nearest to each other.
    for number, (nearer, level) in enumerate(pairwise(levels if is_list else levels[:2]), 2):
        if _is_below(level.width - nearer.width, tick_bps):
            yield Problem(
                ("symbols", spec.symbol, key),
                f"{key} must put level {number} at least one tick ({tick_bps:.3g} bps of mid) further out than level "
                f"{number - 1}, was {level.width - nearer.width:.3g} bps",
            )


def _volatile_levels(config: MarketMakerConfig, symbol: str, volatility_pct: float) -> Iterator[Problem]:
    """Check levels in units of the volatility against the bound of those in basis points."""
    params, key = config.for_symbol(symbol), "level_spacing_volatility"
    levels = levels_of(params)
    furthest_bps = 100.0 * volatility_pct * levels[-1].width
    if follows_volatility(params) and furthest_bps > FURTHEST_BPS:
        yield Problem(
            ("symbols", symbol, key),
            f"{key} must put the furthest of {len(levels)} levels at most {FURTHEST_BPS} bps of mid beyond the first, "
            f"was {params.level_spacing_volatility}: {furthest_bps:.6g} bps at a one-minute volatility of "
            f"{volatility_pct:.3g} %",
        )


def _default(name: str) -> Any:
    return SymbolParams.model_fields[name].default


def _target_problems(
    config: MarketMakerConfig, spec: InstrumentSpec, rates: Rates[float]
) -> Iterator[Problem]:
    """Check an inventory target given in another currency than the cap."""
    params, report = config.for_symbol(spec.symbol), config.report_currency
    target, cap, key = params.target(report), params.inventory_cap(report), "inventory_target"
    if target.currency == cap.currency:
        return
    most = _converted(cap, rates, target.currency)
    if _is_below(most, abs(float(target.value))):
        text = f"{key} must be at most max_inventory ({_with_value(cap, most, target.currency)}) in either direction"
        yield Problem(("symbols", spec.symbol, key), f"{text}, was {target}")


def _is_below(value: float | None, least: Decimal | float) -> bool:
    return value is not None and value < float(least) * (1 - _ROUNDING)


def _with_value(amount: Amount, value: float | None, currency: str) -> str:
    is_plain = value is None or amount.currency == currency
    return str(amount) if is_plain else f"{amount}, worth {value:.6g} {currency}"


def _model_problems(
    config: MarketMakerConfig,
    spec: InstrumentSpec,
    rates: Rates[float],
    market: ModelInputs | None,
    volatility_pct: float,
) -> Iterator[Problem]:
    """Yield errors and risks of a symbol's quote model; nothing while inputs or a price are missing."""
    params = config.for_symbol(spec.symbol)
    size = _converted(
        params.size(config.report_currency), rates, params.inventory_cap(config.report_currency).currency
    )
    mid = rates.rate(spec.base, spec.quote)
    if (
        params.pricing is not None
        or not params.use_reservation_price
        or (params.is_calibrated and market is None)
        or not size
        or mid is None
    ):
        return
    try:
        figures = quote_metrics(
            with_instrument_fees(params, spec),
            market,
            volatility_pct=volatility_pct,
            quotes_at_cap=float(params.inventory_cap(config.report_currency).value) / size,
            mid_price=mid,
            tick=float(spec.price_increment),
            spread=(None, ""),
        )
    except CalibrationError as error:
        yield Problem(("symbols", spec.symbol, "reservation_model"), str(error))
        return
    yield from quote_metric_risks(spec, figures, mid)


def quote_metric_risks(spec: InstrumentSpec, figures: QuoteMetrics, mid_price: float) -> Iterator[Problem]:
    """Warn if full inventory moves the reservation price by less than one tick."""
    if figures.model == "none" or figures.skew_ticks >= 1:
        return
    shift = figures.skew_bps / 10_000 * mid_price
    yield Problem(
        ("symbols", spec.symbol, "use_reservation_price"),
        f"the reservation price moves {shift:.3g} {spec.quote} at full inventory, less than one tick of "
        f"{spec.price_increment:f} {spec.quote} ({figures.source}): inventory hardly moves the quotes",
        is_warning=True,
    )


def check_run(
    config: TradingConfig,
    instruments: Mapping[str, InstrumentSpec],
    mids: Mapping[str, float] | None = None,
    volatility_pct: Mapping[str, float] | None = None,
    calibration: Calibration | None = None,
    *,
    refused: Mapping[str, str] | None = None,
    listed: Collection[str] = (),
) -> list[Problem]:
    """Return what is wrong with, or risky about, a run on these instruments, `check_instruments` included.

    Parameters are those of `check_instruments`; the run's fees override the instruments'.
    """
    specs = {symbol: with_venue_fees(config.venue, spec) for symbol, spec in instruments.items()}
    known = {symbol: specs[symbol] for symbol in config.strategy.symbols if symbol in specs}
    found = check_instruments(
        config.strategy, specs, mids, volatility_pct, calibration, refused=refused, listed=listed
    )
    rules = (_venue_problems, _fee_problems, _balance_problems)
    return [problem.under("strategy") for problem in found] + [
        problem for rule in rules for problem in rule(config, known)
    ]


def _venue_problems(config: TradingConfig, specs: Mapping[str, InstrumentSpec]) -> Iterator[Problem]:
    name = config.venue.name
    others = {spec.venue: symbol for symbol, spec in specs.items() if spec.venue != name}
    for venue, symbol in others.items():
        yield Problem(("venue", "name"), f"name must be {venue}, the venue of {symbol}, was {name}")


def _fee_problems(config: TradingConfig, specs: Mapping[str, InstrumentSpec]) -> Iterator[Problem]:
    configured = configured_fees(config)
    for symbol, spec in specs.items():
        if symbol not in configured and (spec.maker_fee_rate is None or spec.taker_fee_rate is None):
            text = f"fees must be given as the instrument of {symbol} names none, was null"
            yield Problem(("venue", "fees"), text)


def _balance_problems(config: TradingConfig, specs: Mapping[str, InstrumentSpec]) -> Iterator[Problem]:
    rates, report = _rates(specs, {}), config.report_currency
    for index, balance in enumerate(config.venue.starting_balances):
        if rates.path(balance.currency, report) is None:
            yield Problem(
                ("venue", "starting_balances", str(index)),
                f"starting_balances[{index}] must be in a currency that the configured pairs convert into "
                f"the report currency {report}, was {balance}",
            )
    if config.venue.account_type == "cash":
        for symbol, spec in specs.items():
            if spec.kind != "spot":
                text = f"account_type must be margin for the {spec.kind} {symbol}, was cash"
                yield Problem(("venue", "account_type"), text)
        yield from _empty_sides(config, specs)
        for symbol in specs:
            target = config.strategy.for_symbol(symbol)
            if target.target_share is not None and target.target_share < 0:
                yield Problem(
                    ("strategy", "symbols", symbol, "inventory_target"),
                    "inventory_target must be between 0 % and 100 % of a cash account, which holds no short position, "
                    f"was {target.inventory_target}",
                )
    else:
        yield from _unsecured_pairs(config, specs)
        yield from _unlimited_contracts(specs)


def _unsecured_pairs(config: TradingConfig, specs: Mapping[str, InstrumentSpec]) -> Iterator[Problem]:
    """Refuse a margin account without the quote currencies, in which PnL and fees are settled."""
    held = {balance.currency for balance in config.venue.starting_balances if balance.value > 0}
    given = ", ".join(str(balance) for balance in config.venue.starting_balances)
    for quote in sorted({spec.quote for spec in specs.values()} - held):
        yield Problem(
            ("venue", "starting_balances"),
            f"starting_balances of a margin account must hold some {quote}, in which pairs settle, was {given}",
        )


def _unlimited_contracts(specs: Mapping[str, InstrumentSpec]) -> Iterator[Problem]:
    """Warn of contracts without an initial margin, on which the account sets no limit."""
    for symbol, spec in specs.items():
        if spec.margin_init_rate == 0:
            text = (
                f"the initial margin of {symbol} is 0 %: neither leverage nor the balance limits its orders"
            )
            yield Problem(("strategy", "symbols", symbol), text, is_warning=True)


def _empty_sides(config: TradingConfig, specs: Mapping[str, InstrumentSpec]) -> Iterator[Problem]:
    """Warn of pairs that start with neither of their currencies; refuse a run in which all do."""
    held = {balance.currency for balance in config.venue.starting_balances if balance.value > 0}
    empty = [spec for spec in specs.values() if held.isdisjoint((spec.base, spec.quote))]
    given = ", ".join(str(balance) for balance in config.venue.starting_balances)
    if empty and len(empty) == len(config.strategy.symbols):
        text = "starting_balances must hold a currency of at least one pair of a cash account"
        yield Problem(("venue", "starting_balances"), f"{text}, was {given}")
        return
    for spec in empty:
        yield Problem(
            ("venue", "starting_balances"),
            f"starting_balances hold neither {spec.base} nor {spec.quote}: {spec.symbol} cannot quote until "
            f"another pair brings some, was {given}",
            is_warning=True,
        )
