"""Answers of whole runs on made markets: each rule of what to try next speaks in one of them, and not in another."""

import html
import json
import re
import shutil
from collections.abc import Callable, Mapping
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from made_markets import MadeMarket, instrument

from mm_nautilus.checks.config_source import load_config
from mm_nautilus.report.advice import RULES
from mm_nautilus.report.derived import read_run
from mm_nautilus.report.page import write_report
from mm_nautilus.runs.backtest import run_backtest
from mm_nautilus.search.objectives import MARK_OUT_SECONDS, OBJECTIVES

SYMBOL = "AAA/USDT"
FREE: Mapping[str, Any] = {"min_spread_pct": 0.02, "volatility_lookback": 2, "cooldown_seconds": 1}
"""A width that takers of the made market reach, and a volatility that is measured after three minutes."""

type Runs = Callable[..., Path]


@pytest.fixture(scope="module")
def catalogs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A market of four minutes that goes nowhere, and two of twelve: one falls, one moves a lot."""
    markets = {
        "calm": MadeMarket(seconds=240, volatility_bps=0.3, sells_a_second=2, buys_a_second=2),
        "falling": MadeMarket(seconds=720, volatility_bps=0.3, drift_bps=-0.2),
        "wild": MadeMarket(seconds=720, volatility_bps=1.5, sells_a_second=2, buys_a_second=2),
    }
    folders = {}
    for name, market in markets.items():
        folders[name] = tmp_path_factory.mktemp(name) / "catalog"
        market.write(folders[name], instrument(SYMBOL))
    return folders


@pytest.fixture(scope="module")
def played(catalogs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Return what runs a configuration, the same one once, and gives the run's folder."""
    known: dict[str, Path] = {}

    def run(
        market: str = "calm", *, maker_fee_pct: float = 0.0, traces: bool = True, **strategy: Any
    ) -> Path:
        document = {
            "name": "played",
            "catalog": str(catalogs[market]),
            "venue": {
                "name": "MADE",
                "account_type": strategy.pop("account_type", "cash"),
                "starting_balances": strategy.pop("balances", ["10000 USDT", "100 AAA"]),
                "fees": {"maker_fee_pct": maker_fee_pct, "taker_fee_pct": maker_fee_pct},
            },
            "strategy": {**FREE, "symbols": {SYMBOL: {}}, **strategy},
            "output": {"report": False, "traces": traces},
        }
        key = json.dumps(document)
        if key not in known:
            folder = tmp_path_factory.mktemp("played")
            (folder / "played.yaml").write_text(key)
            config = load_config(folder / "played.yaml", [f"output.directory={folder / 'runs'}"]).config
            known[key] = run_backtest(config).folder
        return known[key]

    return run


def summary_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return found


def answer_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = summary_of(folder)["answer"]
    return found


HELD: Mapping[str, Any] = {"market": "falling", "stop_loss_pct": 50.0, "inventory_skew": 0.0}
STOPPED: Mapping[str, Any] = {"stop_loss_pct": 0.01, "take_profit_pct": 5.0, "max_consecutive_losses": 1}
RUNS: Mapping[str, tuple[Mapping[str, Any], set[str]]] = {
    "nothing to say": ({}, set()),
    "too wide": ({"min_spread_pct": 2.0}, {"no_fills"}),
    "fees": ({"maker_fee_pct": 0.1}, {"fees_above_width"}),
    "fees below the width": ({"maker_fee_pct": 0.0095}, {"low_win_rate"}),
    "takers": (
        {"quoting": "signal", "entry_order": "taker", "imbalance_threshold": 0.01, "maker_fee_pct": 0.01},
        {"takes_liquidity"},
    ),
    "wild": ({"market": "wild"}, {"quote_wider", "trend"}),
    "cap": ({**HELD, "max_inventory": 20}, {"inventory_at_cap", "inventory_loses", "trend"}),
    "stops": ({"maker_fee_pct": 0.001, **STOPPED}, {"exits_lose", "halted"}),
    "balance": (
        {**HELD, "balances": ["30 USDT", "0.3 AAA"], "max_inventory": 1000},
        {"limits_exhausted", "inventory_loses", "trend"},
    ),
    "trailing stop in fees": (
        {
            "market": "wild",
            "maker_fee_pct": 0.05,
            "use_trailing_stop": True,
            "trailing_stop_activation": 0.02,
            "trailing_stop_distance": 0.01,
        },
        {"trailing_stop_in_fees", "exits_lose", "fees_above_width"},
    ),
    "warming": ({"volatility_lookback": 20}, {"volatility_warming"}),
    "trend": ({"market": "falling"}, {"exits_lose", "inventory_loses", "quote_wider", "trend"}),
    "trailing stop": (
        {"market": "falling", "use_trailing_stop": True},
        {"exits_lose", "inventory_loses", "quote_wider"},
    ),
}
AGAIN = {"balance", "trend", "trailing stop"}
"""Runs of rules that speak in another one too."""


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param(*run, id=name, marks=pytest.mark.long if name in AGAIN else ())
        for name, run in RUNS.items()
    ],
)
def test_rules_speak_where_they_should(played: Runs, changes: Mapping[str, Any], expected: set[str]) -> None:
    folder = played(**changes)
    found = answer_of(folder)
    assert {entry["rule"] for entry in found["next"]} == expected
    for entry in found["next"]:
        for key, value in re.findall(r"([\w./]+)=([\w.]+\w|\w)", entry["text"]):
            word = f"{key if key.startswith('strategy.') else f'strategy.{key}'}={value}"
            load_config(folder / "config.yaml", [word])  # an advised value is accepted


def test_the_parameter_that_is_to_be_raised_is_the_one_in_force(played: Runs) -> None:
    own = {SYMBOL: {"skew_bps_at_max_inventory": 0.1}}
    found = answer_of(played(maker_fee_pct=0.1, use_reservation_price=True, gamma=0.1, symbols=own))
    assert found["next"]


def test_objectives_of_a_search_are_those_of_the_tables(played: Runs) -> None:
    folder = played(maker_fee_pct=0.001)
    summary = summary_of(folder)
    fills, marks = (pq.read_table(folder / f"{name}.parquet").to_pandas() for name in ("fills", "mark_outs"))
    values = fills.price.astype(float) * fills.quantity.astype(float)
    direction = fills.side.map({"BUY": 1.0, "SELL": -1.0})
    assert (fills.liquidity == "MAKER").all()
    later = marks[marks.seconds == MARK_OUT_SECONDS].set_index("trade_id").mid_price
    mark_outs = (
        direction * (fills.trade_id.map(later) - fills.price.astype(float)) * fills.quantity.astype(float)
    ).dropna()
    symbol = summary["symbols"][SYMBOL]
    equity = pq.read_table(folder / "equity.parquet").to_pandas()
    mid = float(pq.read_table(folder / "market.parquet").to_pandas().mid_price.iloc[-1])
    expected = {
        "pnl_bps": 1e4 * float(equity.trading_pnl.iloc[-1]) / values.sum(),
        "pnl": float(equity.trading_pnl.iloc[-1]),
        "mark_out_bps": 1e4 * mark_outs.sum() / values[mark_outs.index].sum(),
        "drawdown_pct": equity.max_drawdown_pct.iloc[-1],
        "inventory": symbol["average_inventory"] * mid,
        "order_actions": 3600.0
        / summary["period"]["seconds"]
        * sum(symbol[f"orders_{name}"] for name in ("placed", "amended", "cancelled")),
    }
    found = {name: objective.value(summary) for name, objective in OBJECTIVES.items()}
    assert found == {name: pytest.approx(value, rel=1e-6) for name, value in expected.items()}
    assert symbol["turnover_report"] == pytest.approx(values.sum())


def test_every_rule_has_a_run_that_makes_it_speak() -> None:
    speaking = {name for _, expected in RUNS.values() for name in expected}
    assert {rule.__name__ for rule in RULES} - speaking == {"one_pair_loses"}, "it needs several pairs"


# -- Where the result is from ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [{"maker_fee_pct": 0.013}, {"market": "falling", "account_type": "margin"}, {"traces": False}],
    ids=["cash", "margin", "without traces"],
)
def test_parts_add_up_to_the_trading_pnl_to_the_last_digit(played: Runs, changes: Mapping[str, Any]) -> None:
    summary = summary_of(played(**changes))
    exact = {name: Decimal(text.split()[0]) for name, text in summary["answer"]["exact"].items() if text}

    with localcontext() as context:
        context.prec = 100
        parts = sum(
            (amount for name, amount in exact.items() if name in summary["answer"]["parts"]), Decimal(0)
        )
        assert parts == exact["result"] == Decimal(summary["equity"]["exact"]["trading_pnl"].split()[0])
    fills = summary["symbols"][SYMBOL]["fills"]
    is_attributed = abs(exact["unattributed"]) <= Decimal("0.5e-8") * (fills + 2)
    assert is_attributed is changes.get("traces", True)


def test_without_traces_the_lines_say_what_is_missing(played: Runs) -> None:
    found = answer_of(played(traces=False))

    assert found["parts"]["spread_captured"] is None
    assert "not attributed" in found["lines"][2]
    words = "spread, adverse selection and inventory are known only with output.traces: true"
    assert found["lines"][0].endswith(words)


def text_of(page: Path) -> str:
    """Return a page without its tags."""
    return html.unescape(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")))


def on_page(line: str) -> str:
    """Return what the page has of a line, which is beside its label."""
    return re.sub(r"^(Result|Where|Why|Change): ", "", line)


def test_a_run_that_was_killed_has_the_answer_of_its_last_figures(played: Runs, tmp_path: Path) -> None:
    folder = shutil.copytree(played(), tmp_path / "run")
    whole = summary_of(folder)
    # What a live run has on the disk between two minutes: no figures that its closed tables have.
    (folder / "summary.json").write_text(
        json.dumps(
            {k: v for k, v in whole.items() if k not in {"answer", "total", "statistics"}}
            | {"status": "running"}
        )
    )

    found = read_run(folder).summary["answer"]

    assert found["exact"] == whole["answer"]["exact"]
    assert found["lines"][1:] == whole["answer"]["lines"][1:]
    assert found["lines"][0].endswith(
        "; this run has not ended, and its tables may be a minute away from its figures"
    )
    assert on_page(found["lines"][0]) in text_of(write_report(folder))


def test_a_run_of_an_earlier_version_gets_its_answer_on_the_page(played: Runs, tmp_path: Path) -> None:
    folder = shutil.copytree(played(), tmp_path / "run")
    whole = summary_of(folder)
    (folder / "summary.json").write_text(json.dumps({k: v for k, v in whole.items() if k != "answer"}))

    page = text_of(write_report(folder))

    assert all(on_page(line) in page for line in whole["answer"]["lines"] if not line.startswith("Why: "))
    assert whole["answer"]["why"] in page


def test_an_answer_is_about_the_configuration_that_the_run_began_with(played: Runs, tmp_path: Path) -> None:
    whole = played(maker_fee_pct=0.1, use_reservation_price=True)
    config = load_config(whole.parents[1] / "played.yaml", [f"output.directory={tmp_path}"]).config

    outcome = run_backtest(
        config, on_progress=lambda _share: next(tmp_path.glob("*/config.yaml")).write_text("strategy: {}\n")
    )

    assert (outcome.folder / "config.yaml").read_text() == "strategy: {}\n"
    assert "strategy.min_edge_bps=" in str(answer_of(whole)["next"])
    assert outcome.summary["answer"] == answer_of(whole)


def test_risks_are_told_before_anything_is_written(played: Runs, tmp_path: Path) -> None:
    file = played(maker_fee_pct=0.1).parents[1] / "played.yaml"
    later, told = tmp_path / "later", []
    config = load_config(file, [f"output.directory={later}"]).config

    run_backtest(config, on_warnings=lambda warnings: told.append((list(warnings), later.exists())))

    ((warnings, has_begun),) = told
    assert [text for text in warnings if "is below two maker fees" in text]
    assert not has_begun
