"""Fair price: the centre of the quotes before inventory moves them."""

from typing import Final, Literal

from mm_nautilus.calibration.figures import MicropriceFigures
from mm_nautilus.calibration.microprice import microprice_adjustment

type FairPrice = Literal["mid", "weighted_mid", "microprice"]

_EVEN: Final = 0.5


def touch_imbalance(bid_size: float, ask_size: float) -> float:
    """Return the bid's share of the size at the touch, in [0, 1]; 0.5 if both sizes are 0.

    Parameters
    ----------
    bid_size, ask_size
        Sizes at best bid and best ask, in the same unit, at least 0.
    """
    total = bid_size + ask_size
    return bid_size / total if total > 0 else _EVEN


def weighted_mid(bid: float, ask: float, bid_size: float, ask_size: float) -> float:
    """Return the weighted mid price: each price of the touch weighted by the size on the other side.

    ``(bid * ask_size + ask * bid_size) / (bid_size + ask_size)``: a heavy bid moves it towards the ask. The
    weighted mid-price of Stoikov, Quantitative Finance 18(12), 2018, 1959-1966.

    Parameters
    ----------
    bid, ask
        Best prices, in the same unit.
    bid_size, ask_size
        Their sizes; the mid where both are 0.
    """
    return bid + (ask - bid) * touch_imbalance(bid_size, ask_size)


def fair_price_ticks(
    kind: FairPrice,
    bid_ticks: int,
    ask_ticks: int,
    sizes: tuple[float, float],
    table: MicropriceFigures | None,
) -> float:
    """Return the fair price in ticks.

    Parameters
    ----------
    sizes
        Sizes at best bid and best ask; not used by ``mid``.
    table
        The table of ``microprice``; not used by the others.

    Raises
    ------
    ValueError
        If `kind` is ``microprice`` and `table` is None.
    """
    if kind == "mid":
        return 0.5 * (bid_ticks + ask_ticks)
    if kind == "weighted_mid":
        return weighted_mid(bid_ticks, ask_ticks, *sizes)
    if table is None:
        raise ValueError("fair_price: microprice needs its table, was without one")
    adjustment = microprice_adjustment(table, ask_ticks - bid_ticks, touch_imbalance(*sizes))
    return 0.5 * (bid_ticks + ask_ticks) + adjustment
