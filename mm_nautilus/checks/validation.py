"""Validate a configuration before a run: errors, and risks visible without market data."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from mm_nautilus.checks.fees import LEAST_REWARD_TO_RISK
from mm_nautilus.config.contradictions import Finding
from mm_nautilus.config.problems import MISSING, REQUIRED, Problem, check_model, shown
from mm_nautilus.config.strategy import REPORT_CURRENCY, MarketMakerConfig, SymbolParams
from mm_nautilus.pricing.levels import levels_of

_NESTED_KEYS: Final = frozenset(MarketMakerConfig.model_fields) - frozenset(SymbolParams.model_fields)


_OF_A_NUMBER: Final = (
    "level_spacing_bps",
    "level_spacing_volatility",
    "level_spacing_ratio",
    "level_size_step",
    "level_size_ratio",
)
"""Keys that shape a number of levels."""

_OF_HANGING_ORDERS: Final = ("hanging_max_distance_bps", "hanging_max_age_seconds")
"""Keys that end a hanging order."""


def validate(config: Mapping[str, Any]) -> list[str]:
    """Return one text per problem; those that start with ``Warning:`` are risks, the others errors.

    The configuration is one symbol's merged parameters, as in v1.4.0, or a strategy's with ``symbols``, of which each
    symbol's *merged* parameters are checked. Anything else is reported, never raised. A text about one symbol names it
    first.
    """
    return [problem.text() for problem in problems(config)]


def problems(config: Any) -> list[Problem]:
    """Return the problems that `validate` reports, with paths relative to `config`."""
    if not isinstance(config, Mapping):
        return [Problem((), f"a configuration must be a mapping of keys, was {shown(config)}")]
    plain, found = _with_text_keys(config, ())
    if _NESTED_KEYS.isdisjoint(plain):
        return found + _flat_problems(plain)
    strategy, refused = check_model(MarketMakerConfig, plain)
    return found + refused + ([] if strategy is None else strategy_risks(strategy))


def _with_text_keys(config: Mapping[Any, Any], path: tuple[str, ...]) -> tuple[dict[str, Any], list[Problem]]:
    """Copy a strategy's mappings without keys that are not text, and report these keys."""
    plain: dict[str, Any] = {}
    found: list[Problem] = []
    for key, value in config.items():
        if not isinstance(key, str) or not _encodable(key):
            found.append(Problem(path, f"a key must be text, was {shown(key)}"))
        elif isinstance(value, Mapping) and len(path) < 2 and (*path, key)[0] == "symbols":
            plain[key], inner = _with_text_keys(value, (*path, key))
            found.extend(inner)
        else:
            plain[key] = value
    return plain, found


def _encodable(key: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in key)


def _flat_problems(config: Mapping[str, Any]) -> list[Problem]:
    missing = [name for name in REQUIRED if config.get(name) is None]
    if config.get("position_size") is not None and "position_size_usd" in missing:
        missing.remove("position_size_usd")
    # A required key that is null is refused itself, so that its default causes no further errors.
    params, refused = check_model(SymbolParams, {**config, **dict.fromkeys(missing)})
    found = [Problem((name,), f"{MISSING}: {name}") for name in missing]
    found += [problem for problem in refused if problem.path[0] not in missing]
    if params is not None:
        risks = (*_risks(params), *_unread_parameters(params))
        found += [Problem(risk.names[:1], risk.message, is_warning=True) for risk in risks]
    return found


def strategy_risks(strategy: MarketMakerConfig) -> list[Problem]:
    """Return the risks visible without market data, each once, as warnings."""
    unread = () if strategy.strategy_class else strategy.problems(_unread_parameters, is_warning=True)
    return [*strategy.problems(_risks, is_warning=True), *unread]


def _risks(params: SymbolParams) -> Iterator[Finding]:
    # With reward to risk R a strategy breaks even when it wins 1 / (1 + R) of its trades.
    ratio = params.take_profit_pct / params.stop_loss_pct
    if ratio < LEAST_REWARD_TO_RISK:
        text = f"Poor R:R ratio ({ratio:.2f}:1), requires {round(100 / (1 + ratio))}% win rate"
        yield Finding(("take_profit_pct", "stop_loss_pct"), text)
    yield from _risks_of_levels(params)
    yield from _risks_of_model(params) if params.pricing is None else _replaced(params)


def _risks_of_levels(params: SymbolParams) -> Iterator[Finding]:
    """Yield keys of levels that have no effect, and levels that the inventory cap has no room for."""
    levels = levels_of(params)
    for name in _OF_A_NUMBER:
        value, default = getattr(params, name), SymbolParams.model_fields[name].default
        if value != default and (not isinstance(params.levels, int) or len(levels) == 1):
            why = "levels is 1" if isinstance(params.levels, int) else "levels lists each of them"
            yield Finding((name, "levels"), f"{name} {value} has no effect: {why}")
    for name in _OF_HANGING_ORDERS:
        value = getattr(params, name)
        if value != SymbolParams.model_fields[name].default and not params.hanging_orders:
            yield Finding((name, "hanging_orders"), f"{name} {value} has no effect: hanging_orders is false")
    if len(levels) == 1:
        return
    size, cap = params.size(REPORT_CURRENCY), params.inventory_cap(REPORT_CURRENCY)
    total = float(size.value) * sum(level.size for level in levels)
    if size.currency == cap.currency and total > float(cap.value):
        text = (
            f"max_inventory {cap} has no room for all {len(levels)} levels of a side, {total:.6g} {size.currency}: the "
            "furthest are smaller or not quoted"
        )
        yield Finding(("max_inventory", "levels"), text)


def _unread_parameters(params: SymbolParams) -> Iterator[Finding]:
    if params.pricing is None and params.pricing_parameters:
        text = f"pricing_parameters {dict(params.pricing_parameters)} have no effect without pricing"
        yield Finding(("pricing_parameters",), text)


def _replaced(params: SymbolParams) -> Iterator[Finding]:
    """Warn of parameters that only the model replaced by `pricing` uses; it may read any other itself."""
    given = {
        "use_reservation_price": params.use_reservation_price,
        "reservation_model": params.reservation_model != "simplified",
        "recalibrate_minutes": params.recalibrate_minutes is not None,
    }
    names = tuple(name for name, is_given in given.items() if is_given)
    if names:
        values = ", ".join(f"{name} {shown(getattr(params, name)).strip("'")}" for name in names)
        verb = "has" if len(names) == 1 else "have"
        yield Finding(
            names, f"{values} {verb} no effect: pricing {params.pricing} replaces the reservation model"
        )


def _risks_of_model(params: SymbolParams) -> Iterator[Finding]:
    if not params.use_reservation_price:
        given = {
            "reservation_model": params.reservation_model != "simplified",
            "skew_bps_at_max_inventory": params.skew_bps_at_max_inventory is not None,
            "inventory_target": bool(params.target(REPORT_CURRENCY).value or params.target_share),
        }
        for name in (name for name, is_given in given.items() if is_given):
            rest = "; sizes lean towards it by inventory_skew" if name == "inventory_target" else ""
            text = f"{name} {getattr(params, name)} moves no price while use_reservation_price is false{rest}"
            yield Finding((name, "use_reservation_price"), text)
    if params.recalibrate_minutes is not None and not params.is_calibrated:
        text = (
            f"recalibrate_minutes {params.recalibrate_minutes} has no effect: no model that takes its figures from the "
            f"market is in force (reservation_model {params.reservation_model}, use_reservation_price "
            f"{shown(params.use_reservation_price)})"
        )
        yield Finding(("recalibrate_minutes", "reservation_model", "use_reservation_price"), text)
