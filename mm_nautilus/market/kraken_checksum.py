"""The checksum that Kraken sends with its books."""

from collections.abc import Sequence
from itertools import chain
from typing import Final
from zlib import crc32

CHECKSUM_LEVELS: Final = 10
"""Levels a side that a book's checksum covers, whatever the depth of the subscription."""


def kraken_checksum(asks: Sequence[tuple[int, int]], bids: Sequence[tuple[int, int]]) -> int:
    """Return the CRC32 of a book's best levels by the rule of Kraken's WebSocket v2.

    The ten best asks, best first, then the ten best bids, best first; of each level the price, then the size,
    as written in frames, without the decimal point and without leading zeros, all joined into one text.

    Parameters
    ----------
    asks, bids
        Levels, best first: price and size as whole numbers of their last written digit.
    """
    levels = chain(asks[:CHECKSUM_LEVELS], bids[:CHECKSUM_LEVELS])
    return crc32("".join([f"{price}{size}" for price, size in levels]).encode())
