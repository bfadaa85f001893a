"""Digits of money, in a process of its own: what the engine knows of currencies is the process's."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import sys
from dataclasses import replace
from decimal import Decimal
from itertools import product
from string import ascii_uppercase

from nautilus_trader.model import (
    Currency, CurrencyPair, InstrumentId, Money, NautilusInstrumentType, Price, Quantity, Symbol
)
from nautilus_trader.persistence import ParquetDataCatalog

def digits(code):
    return Currency.from_str(code).precision

print("engine", digits("USD"), digits("JPY"), digits("XRP"))
catalog = ParquetDataCatalog(sys.argv[1])
catalog.write_instruments([CurrencyPair(
    InstrumentId.from_str("XRP/USD.KRAKEN"), Symbol("XRP/USD"), Currency.from_str("XRP"), Currency.from_str("USD"),
    4, 8, Price.from_str("0.0001"), Quantity.from_str("0.00000001"), 0, 0, min_notional=Money.from_str("0.50 USD"),
)])

from mm_nautilus import MarketMaker

print("least", min(digits("".join(code)) for code in product(ascii_uppercase, repeat=3)))
stored, = catalog.instruments(instrument_type=NautilusInstrumentType("CurrencyPair"))
print("stored", stored.base_currency.precision, stored.quote_currency.precision, stored.min_notional)
print("small", Money.from_str("0.00000001 JPY"))

from mm_nautilus.data.simulator import KRAKEN_SPOT
from mm_nautilus.trading.instruments import engine_instrument

finer = replace(KRAKEN_SPOT["XRP/USDT"], size_increment=Decimal("1E-12"), min_quantity=None)
print("finer", engine_instrument(finer).base_currency.precision, digits("XRP"), digits("USDT"))
"""


def test_every_currency_has_eight_digits_once_the_strategy_is_imported(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "engine 2 0 6",
        "least 8",
        "stored 8 8 0.50000000 USD",
        "small 0.00000001 JPY",
        "finer 12 12 8",
    ]
