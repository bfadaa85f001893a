"""Sizes with more digits than the engine knows a currency with; in a process of its own, as currencies are global."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
from dataclasses import replace
from decimal import Decimal

from nautilus_trader.model import Currency

from mm_nautilus.data.simulator import KRAKEN_SPOT
from mm_nautilus.nautilus.instruments import currency_pair, keep_digits

before = Currency.from_str("XRP").precision
wide = replace(KRAKEN_SPOT["XRP/USDT"], size_increment=Decimal("0.00000001"), min_quantity=Decimal("2.00000000"))
keep_digits([wide])
print(before, Currency.from_str("XRP").precision, currency_pair(wide).size_precision)
"""


def test_the_engine_keeps_as_many_digits_as_the_venues_sizes_have() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["6", "8", "8"]
