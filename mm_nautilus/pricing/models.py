"""Formulas of reservation price, width and tick rounding: simplified, Avellaneda-Stoikov and GLFT."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

type Floats = NDArray[np.float64]

_TICK_ROUNDING: Final = 1e-9
"""Tolerance for binary rounding of a price to a tick, as a share of a tick."""

_GAMMA_TOLERANCE: Final = 1e-12
"""Relative error of a solved gamma at which `glft_gamma` stops."""

_LARGEST_LOG: Final = 700.0
"""Largest absolute natural logarithm whose exponential stays within floats."""


def normalised_inventory(inventory: float, max_inventory: float) -> float:
    """Return the inventory as a share of its cap, q in [-1, 1]; 0 if the cap is not positive.

    Parameters
    ----------
    inventory, max_inventory
        Both in the same unit.
    """
    if max_inventory <= 0:
        return 0.0
    return max(-1.0, min(1.0, inventory / max_inventory))


def reservation_price(
    mid_price: float, inventory: float, max_inventory: float, gamma: float, volatility_pct: float
) -> float:
    """Return v1.4.0's simplified reservation price, ``mid * (1 - q * gamma * sigma^2 * 100)``.

    It is Avellaneda and Stoikov's ``r = s - q * gamma * sigma^2 * (T - t)`` (Quantitative Finance 8(3), 2008,
    eq. 29) with prices relative to the mid, q as a share of the cap and a horizon of 100 candles.

    Parameters
    ----------
    mid_price
        Mid price, in quote currency.
    inventory, max_inventory
        Signed position and its cap in the same unit; ``q = inventory / max_inventory`` is kept in [-1, 1].
    gamma
        Risk aversion, without unit.
    volatility_pct
        One-minute volatility in %; ``sigma = volatility_pct / 100``.

    Returns
    -------
    float
        In quote currency: below the mid with a long position, above it with a short one, and the mid itself
        where `max_inventory` is not positive.
    """
    q = normalised_inventory(inventory, max_inventory)
    sigma = volatility_pct / 100.0
    return mid_price * (1.0 - q * gamma * sigma * sigma * 100.0)


def avellaneda_stoikov_quotes[Value: (float, Floats)](  # noqa: PLR0917 - the papers' arguments
    mid_price: Value,
    q: Value,
    gamma: float,
    sigma: float,
    kappa: float,
    time_left: float,
    *,
    fee: float = 0.0,
    target: Value | float = 0.0,
) -> tuple[Value, Value]:
    """Return Avellaneda and Stoikov's bid and ask around their reservation price.

    The reservation price is ``s - (q - target) * gamma * sigma^2 * (T - t)`` (Quantitative Finance 8(3), 2008,
    eq. 29), and the quotes lie half of `avellaneda_stoikov_width` (eq. 30) and the fee away from it.

    Parameters
    ----------
    mid_price
        Mid price, in quote currency.
    q
        Inventory in units of one fill, signed; a number or an array, as `mid_price`.
    gamma
        Risk aversion, 1 / (price * inventory unit), above 0.
    sigma
        Volatility, price / sqrt(time), at least 0.
    kappa
        Decay of the order arrivals ``A * exp(-kappa * distance)``, 1 / price, above 0.
    time_left
        ``T - t``, in the unit of time of `sigma`, at least 0.
    fee
        Cost of a fill of one inventory unit, price; each quote moves outwards by it. Negative is a rebate.
    target
        Inventory at which the quotes are centred on the mid, same unit as `q`.

    Returns
    -------
    tuple
        Bid and ask, price: two floats, or two arrays of the broadcast shape of the inputs. With a rebate above half
        the width the bid lies above the ask: the caller must set a least width.

    Raises
    ------
    ValueError
        If a value is not in its range, or a result overflows.
    """
    half_width = 0.5 * avellaneda_stoikov_width(gamma, sigma, kappa, time_left)
    skew = avellaneda_stoikov_skew(gamma, sigma, time_left)
    _require_finite(fee=fee)
    return _quotes_around(mid_price, q, target, half_width + fee, skew)


def avellaneda_stoikov_width(gamma: float, sigma: float, kappa: float, time_left: float) -> float:
    """Return the distance between bid and ask, ``gamma * sigma^2 * (T-t) + (2/gamma) * ln(1 + gamma/kappa)``.

    Avellaneda and Stoikov (2008), eq. 30; units and errors as in `avellaneda_stoikov_quotes`. It tends to
    ``2 / kappa`` as gamma goes to 0.

    Returns
    -------
    float
        Price, above 0, before fees.
    """
    width = avellaneda_stoikov_skew(gamma, sigma, time_left) + 2.0 * _arrival_distance(gamma, kappa)
    return _finite("the width", width, gamma=gamma, sigma=sigma, kappa=kappa, time_left=time_left)


def avellaneda_stoikov_skew(gamma: float, sigma: float, time_left: float) -> float:
    """Return how far one unit of inventory moves the reservation price, ``gamma * sigma^2 * (T - t)``.

    Avellaneda and Stoikov (2008), eq. 29; units and errors as in `avellaneda_stoikov_quotes`.

    Returns
    -------
    float
        Price / inventory unit, at least 0.
    """
    _require_positive(gamma=gamma)
    _require_not_negative(sigma=sigma, time_left=time_left)
    return _finite(
        "the skew", gamma * sigma * sigma * time_left, gamma=gamma, sigma=sigma, time_left=time_left
    )


def avellaneda_stoikov_gamma(skew: float, sigma: float, time_left: float) -> float:
    """Return the gamma whose `avellaneda_stoikov_skew` is `skew`.

    Parameters
    ----------
    skew
        Price / inventory unit, above 0.
    sigma, time_left
        As in `avellaneda_stoikov_quotes`.

    Returns
    -------
    float
        1 / (price * inventory unit).

    Raises
    ------
    ValueError
        If a value is not in its range, or no gamma gives that skew, for example with a volatility or time of 0.
    """
    _require_positive(skew=skew)
    _require_not_negative(sigma=sigma, time_left=time_left)
    gamma = skew / sigma / sigma / time_left if sigma > 0 and time_left > 0 else math.inf
    if not 0 < gamma < math.inf:
        raise _no_gamma(skew=skew, sigma=sigma, time_left=time_left)
    return gamma


def glft_quotes[Value: (float, Floats)](  # noqa: PLR0917 - the papers' arguments
    mid_price: Value,
    q: Value,
    gamma: float,
    sigma: float,
    kappa: float,
    intensity: float,
    *,
    fee: float = 0.0,
    target: Value | float = 0.0,
) -> tuple[Value, Value]:
    """Return the stationary bid and ask of Guéant, Lehalle and Fernandez-Tapia in their closed form.

    Far from the horizon the optimal distances from the mid are approximately (Math. and Financial Economics 7(4), 2013,
    section 4; Guéant, arXiv 1605.01862, eqs. 4.6 and 4.7 with exponential utility and fills of one unit)
    ``(1/gamma) * ln(1 + gamma/kappa) + (1 +- 2*(q - target)) / 2 * skew``, + for the bid and - for the ask, with
    the `skew` of `glft_skew`. With a fee the same solution holds for the distance less the fee, at the intensity
    ``A * exp(-kappa * fee)``.

    Parameters
    ----------
    mid_price, q, gamma, sigma, kappa, fee, target
        As in `avellaneda_stoikov_quotes`; the arrivals of `kappa` are those at one side of the book.
    intensity
        Rate ``A`` of these arrivals at the mid, 1 / time in the unit of time of `sigma`, above 0.

    Returns
    -------
    tuple
        Bid and ask, price: two floats, or two arrays of the broadcast shape of the inputs. A large rebate can put the
        bid above the ask: the caller must set a least width.

    Raises
    ------
    ValueError
        If a value is not in its range, or a result overflows.
    """
    half_width = glft_half_width(gamma, sigma, kappa, intensity, fee=fee)
    skew = glft_skew(gamma, sigma, kappa, intensity, fee=fee)
    return _quotes_around(mid_price, q, target, half_width, skew)


def glft_half_width(gamma: float, sigma: float, kappa: float, intensity: float, *, fee: float = 0.0) -> float:
    """Return half the distance between bid and ask, ``fee + (1/gamma) * ln(1 + gamma/kappa) + skew / 2``.

    Source, units and errors as in `glft_quotes`. It tends to ``fee + 1 / kappa`` as gamma goes to 0.

    Returns
    -------
    float
        Price, fee included; above the fee, hence above 0 unless the fee is a rebate.
    """
    skew = glft_skew(gamma, sigma, kappa, intensity, fee=fee)
    half_width = fee + _arrival_distance(gamma, kappa) + 0.5 * skew
    return _finite("the half width", half_width, gamma=gamma, kappa=kappa, fee=fee, skew=skew)


def glft_skew(gamma: float, sigma: float, kappa: float, intensity: float, *, fee: float = 0.0) -> float:
    """Return how far one unit of inventory moves the reservation price.

    It is ``sqrt(sigma^2 * gamma / (2 * kappa * A') * (1 + gamma/kappa)^(1 + kappa/gamma))`` with
    ``A' = A * exp(-kappa * fee)``; source, units and errors as in `glft_quotes`. It rises with gamma without
    bound: d ln(skew) / d ln(gamma) lies between 1/2 and 1.

    Returns
    -------
    float
        Price / inventory unit, at least 0.
    """
    _require_positive(gamma=gamma, kappa=kappa, intensity=intensity)
    _require_not_negative(sigma=sigma)
    _require_finite(fee=fee)
    if sigma == 0:
        return 0.0
    ratio = _finite("gamma / kappa", gamma / kappa, gamma=gamma, kappa=kappa)
    rate = math.log(gamma) - math.log(kappa) - math.log(intensity) + kappa * fee - math.log(2.0)
    log_skew = math.log(sigma) + 0.5 * (rate + _log1p_share(ratio) + math.log1p(ratio))
    if log_skew > _LARGEST_LOG:
        raise _too_large("the skew", gamma=gamma, sigma=sigma, kappa=kappa, intensity=intensity, fee=fee)
    return math.exp(log_skew)


def glft_gamma(skew: float, sigma: float, kappa: float, intensity: float, *, fee: float = 0.0) -> float:
    """Return the gamma whose `glft_skew` is `skew`, to one part in 1e12.

    With ``x = gamma / kappa`` the square of the skew is a constant times ``exp(f)``, where
    ``f = ln(x) + ln(1 + x) / x + ln(1 + x)``. As a function of ln(x) it rises with the slope
    ``2 - ln(1 + x) / x``, from 1 to 2, and is convex, so Newton's method converges from a point beyond the root.

    Parameters
    ----------
    skew
        Price / inventory unit, above 0.
    sigma, kappa, intensity, fee
        As in `glft_quotes`.

    Returns
    -------
    float
        1 / (price * inventory unit).

    Raises
    ------
    ValueError
        If a value is not in its range, or no gamma within floats gives that skew, for example with a volatility of 0.
    """
    _require_positive(skew=skew, kappa=kappa, intensity=intensity)
    _require_not_negative(sigma=sigma)
    _require_finite(fee=fee)
    given = {"skew": skew, "sigma": sigma, "kappa": kappa, "intensity": intensity, "fee": fee}
    if sigma == 0:
        raise _no_gamma(**given)
    wanted = 2.0 * (math.log(skew) - math.log(sigma)) + math.log(2.0) + math.log(intensity) - kappa * fee
    log_ratio = min(wanted - 1.0, 0.5 * wanted)
    if abs(log_ratio) > _LARGEST_LOG:
        raise _no_gamma(**given)
    step = math.inf
    while abs(step) > _GAMMA_TOLERANCE:
        ratio = math.exp(log_ratio)
        share = _log1p_share(ratio)
        step = (log_ratio + share + math.log1p(ratio) - wanted) / (2.0 - share)
        log_ratio -= step
    gamma = kappa * math.exp(log_ratio)
    if not 0 < gamma < math.inf:
        raise _no_gamma(**given)
    return gamma


def volatility_multiplier(volatility_pct: float, base_volatility_pct: float, cap: float) -> float:
    """Return the factor that widens quotes, ``clamp(volatility / base, 1, cap)``.

    Parameters
    ----------
    volatility_pct, base_volatility_pct
        Current one-minute volatility, and the one up to which widths are not scaled, both in %.
    cap
        Largest factor, at least 1.
    """
    return min(max(volatility_pct / base_volatility_pct, 1.0), cap)


def full_width_pct(
    min_spread_pct: float, multiplier: float, maker_fee_pct: float, min_edge_bps: float | None
) -> float:
    """Return the distance between our bid and ask in % of mid.

    Parameters
    ----------
    min_spread_pct
        Least full width, % of mid.
    multiplier
        Result of `volatility_multiplier`.
    maker_fee_pct
        Fee of one maker fill, % of value; negative is a rebate.
    min_edge_bps
        Least profit of a round trip after two maker fees, basis points of mid; None sets no floor.
    """
    width = min_spread_pct * multiplier
    if min_edge_bps is None:
        return width
    return max(width, 2.0 * maker_fee_pct + min_edge_bps / 100.0)


def quote_ticks(
    bid_price: float, ask_price: float, best_bid_ticks: int, best_ask_ticks: int, tick: float
) -> tuple[int, int]:
    """Return bid and ask as whole ticks, rounded away from each other and never crossing the book.

    Parameters
    ----------
    bid_price, ask_price
        The target prices in quote currency.
    best_bid_ticks, best_ask_ticks
        The market's touch in ticks.
    tick
        Price increment in quote currency.

    Returns
    -------
    tuple[int, int]
        A bid of at most best ask - 1 tick and an ask of at least best bid + 1 tick, the bid below the ask.
    """
    bid = math.floor(bid_price / tick + _TICK_ROUNDING)
    ask = math.ceil(ask_price / tick - _TICK_ROUNDING)
    if bid >= ask:  # The width is below the rounding tolerance, around a price on a tick.
        bid, ask = bid - 1, ask + 1
    return min(bid, best_ask_ticks - 1), max(ask, best_bid_ticks + 1)


def _arrival_distance(gamma: float, kappa: float) -> float:
    """Return ``(1/gamma) * ln(1 + gamma/kappa)``, the optimal distance against exponential arrivals."""
    _require_positive(gamma=gamma, kappa=kappa)
    ratio = _finite("gamma / kappa", gamma / kappa, gamma=gamma, kappa=kappa)
    return _finite("the width", _log1p_share(ratio) / kappa, gamma=gamma, kappa=kappa)


def _log1p_share(x: float) -> float:
    """Return ``ln(1 + x) / x``, which is 1 at 0."""
    return math.log1p(x) / x if x > 0 else 1.0


def _quotes_around[Value: (float, Floats)](
    mid_price: Value, q: Value, target: Value | float, half_width: float, skew: float
) -> tuple[Value, Value]:
    for name, values in (("mid_price", mid_price), ("q", q), ("target", target)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name} must be finite, was {values}")
    with np.errstate(over="ignore", invalid="ignore"):
        reservation = mid_price - (q - target) * skew
        bid, ask = reservation - half_width, reservation + half_width
    if not (np.isfinite(bid).all() and np.isfinite(ask).all()):
        raise _too_large("a quote", half_width=half_width, skew=skew)
    return bid, ask


def _finite(what: str, value: float, **given: float) -> float:
    if not math.isfinite(value):
        raise _too_large(what, **given)
    return value


def _too_large(what: str, **given: float) -> ValueError:
    return ValueError(f"{what} is too large to compute with: {_listed(given)}")


def _no_gamma(**given: float) -> ValueError:
    return ValueError(f"no gamma that can be computed with gives this skew: {_listed(given)}")


def _listed(given: dict[str, float]) -> str:
    return ", ".join(f"{name} was {value}" for name, value in given.items())


def _require_positive(**given: float) -> None:
    for name, value in given.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be positive and finite, was {value}")


def _require_not_negative(**given: float) -> None:
    for name, value in given.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} must be at least 0 and finite, was {value}")


def _require_finite(**given: float) -> None:
    for name, value in given.items():
        if not math.isfinite(value):
            raise ValueError(f"{name} must be finite, was {value}")
