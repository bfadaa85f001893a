"""The page for users of v1.3 and v1.4: every name it gives is there."""

import re
from pathlib import Path

from mm_nautilus.metrics.actor import MetricsActor
from mm_nautilus.metrics.ledger import SymbolLedger
from mm_nautilus.trading.strategy import MarketMaker
from mm_nautilus.trading.symbol import SymbolState

PAGE = Path(__file__).resolve().parents[2] / "docs" / "v1_4.md"
OWNERS = {"strategy": MarketMaker, "symbol": SymbolState, "actor": MetricsActor, "ledger": SymbolLedger}
SET_BY_CONSTRUCTORS = {"strategy.config_warnings", "actor.ledger", "symbol.position", "symbol.lot"}


def test_every_name_of_today_is_there() -> None:
    named = set(re.findall(r"`((?:strategy|symbol|actor|ledger)\.\w+)`", PAGE.read_text(encoding="utf-8")))
    assert named >= SET_BY_CONSTRUCTORS | {"strategy.indicators", "actor.portfolio", "ledger.to_dict"}
    for name in named - SET_BY_CONSTRUCTORS:
        owner, _, attribute = name.partition(".")
        assert hasattr(OWNERS[owner], attribute), name
