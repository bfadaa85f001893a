"""What is saved is of one moment: balances, positions, PnL and counts, after every fill, whatever happens then."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from live_scripting import LiveScript, Session
from saver_child import fingerprint
from scripting import SPECS, XRP_USDT, Outcome, Watched, book, config, make_engine, trade
from test_metrics_actor import BALANCES, CALM, Listener, three_pairs
from test_strategy_guards import others, restless

from mm_nautilus.metrics.actor import MetricsActor, MetricsActorConfig
from mm_nautilus.runs.state_file import METRICS, STRATEGY, RunState, StateFile, StateSaver, StateWriteError
from mm_nautilus.trading.saved_account import SavedAccount

ROOT = Path(__file__).resolve().parents[2]
LEAST = Decimal("1e-8")


@dataclass
class Noted:
    """One state that was written, and how many fills had been told by then."""

    fills: int
    state: RunState


class NotingFile(StateFile):
    """Write for real, and keep what was written."""

    listener: Listener
    noted: list[Noted]

    def write(self, state: RunState) -> bool:
        is_new = super().write(state)
        if is_new:
            self.noted.append(Noted(len(self.listener.results), state))
        return is_new


@dataclass
class Saved:
    """A backtest that saved its state."""

    strategy: Watched
    metrics: MetricsActor
    listener: Listener
    saver: StateSaver
    file: NotingFile
    is_cash: bool = True
    balances: dict[str, Decimal] = field(default_factory=dict)
    positions: dict[str, Decimal] = field(default_factory=dict)


def backtest(
    folder: Path,
    strategy: Watched,
    data: list[Any],
    *,
    interval_seconds: float = 1.0,
    noted: list[Noted] | None = None,
    **venue: Any,
) -> Saved:
    """Run with a state file in `folder`, up to what a runner does last."""
    metrics, listener = MetricsActor(MetricsActorConfig(interval_seconds=1.0)), Listener()
    file = NotingFile.open(folder, "saved", fingerprint())
    file.listener, file.noted = listener, [] if noted is None else noted
    saver = StateSaver(file, strategy, metrics, interval_seconds=interval_seconds)
    saved = Saved(strategy, metrics, listener, saver, file)
    engine = make_engine(**{"balances": BALANCES} | venue)
    try:
        engine.add_actors([metrics, listener, saver])
        engine.add_strategy(strategy)
        engine.add_data(data)
        engine.run()
        listener.results.extend(metrics.catch_up())
        saver.save_last()
        outcome = Outcome(engine)
        outcome.read()
        saved.balances, saved.positions = outcome.balances, outcome.positions
    finally:
        file.close()
        engine.dispose()
    return saved


def moved(results: list[Any], *, cash: bool) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
    """Return balances and positions after some fills, from these alone."""
    balances = {text.split()[1]: Decimal(text.split()[0]) for text in BALANCES}
    positions = dict.fromkeys(SPECS, Decimal(0))
    for result in results:
        base, quote = result.symbol.split("/")
        signed = result.quantity if result.side == "BUY" else -result.quantity
        positions[result.symbol] += signed
        if cash:
            balances[base] += signed
            balances[quote] -= (signed * result.price).quantize(LEAST) + result.fee
        else:
            balances[quote] += result.realized_change
    return balances, {symbol: position for symbol, position in positions.items() if position}


@pytest.fixture(
    scope="module", params=[pytest.param(True, marks=pytest.mark.long), False], ids=["cash", "margin"]
)
def whole(request, tmp_path_factory) -> Saved:
    data = [*restless(11, 250), *others(11, 250)]
    saved = backtest(tmp_path_factory.mktemp("state"), Watched(three_pairs()), data, cash=request.param)
    saved.is_cash = request.param
    assert [*saved.strategy.failures, *saved.metrics.failures, *saved.saver.failures] == []
    return saved


def test_every_state_is_that_of_the_fills_up_to_then(whole):
    """Balances and positions are recomputed from the fills; a state between two of them would fit neither."""
    for noted in whole.file.noted:
        balances, positions = moved(whole.listener.results[: noted.fills], cash=whole.is_cash)
        assert noted.state.account.balances == balances
        assert {p.symbol: p.quantity for p in noted.state.account.positions} == positions
    assert len(whole.listener.results) > 60


def test_entries_results_and_counts_are_of_the_same_moment(whole):
    for noted in whole.file.noted:
        results = whole.listener.results[: noted.fills]
        strategy = json.loads(noted.state.components[STRATEGY]["market_maker"])["symbols"]
        metrics = json.loads(noted.state.components[METRICS]["metrics"])
        held = {position.symbol: position for position in noted.state.account.positions}
        for symbol in SPECS:
            own = [result for result in results if result.symbol == symbol]
            ledger = metrics["ledger"]["symbols"][symbol]
            realized = sum((result.realized_change for result in own), Decimal(0))
            assert Decimal(ledger["pnl"]) - Decimal(ledger["open_fees"]) == realized
            assert Decimal(strategy[symbol]["realized"]) == realized
            assert metrics["symbols"][symbol]["fills"] == strategy[symbol]["counts"]["fills"] == len(own)
            assert ledger["trades"] == sum(result.trade_pnl is not None for result in own)
            entry = strategy[symbol]["entry"]
            assert (entry is None) == (symbol not in held)
            if entry is not None:
                assert entry["entry_price"] == held[symbol].average_price
                assert (entry["side"] == "long") == (held[symbol].quantity > 0)


def test_every_fill_is_saved_before_the_next_one(whole):
    count = len(whole.listener.results)
    assert {noted.fills for noted in whole.file.noted} == set(range(count + 1))


def test_there_were_flips_exits_and_round_trips(whole):
    """What the tests above would prove little without."""
    position, flips, closes = dict.fromkeys(SPECS, Decimal(0)), 0, 0
    for result in whole.listener.results:
        flips += position[result.symbol] * result.position < 0
        closes += result.position == 0
        position[result.symbol] = result.position
    assert flips > 0
    assert closes > 2
    assert any(result.purpose == "stop_loss" for result in whole.listener.results)


def test_the_last_state_is_what_the_engine_ended_with(whole):
    account = whole.file.noted[-1].state.account
    assert account.balances == dict(sorted(whole.balances.items()))
    assert {p.symbol: p.quantity for p in account.positions} == {
        s: q for s, q in whole.positions.items() if q
    }
    assert whole.file.noted[-1].fills == len(whole.listener.results)


def test_the_file_goes_on_to_the_next_session(whole):
    """Read back from the disk, the account is taken over by a live node with all figures."""
    with StateFile.open(whole.file.path.parent, "saved", fingerprint()) as file:
        states = {name: file.component(name) for name in (STRATEGY, METRICS)}
        assert file.account is not None
        first = Session(whole.strategy, whole.metrics, states=states, account=file.account)
    session = LiveScript(three_pairs(), [], after=first, cash=whole.is_cash).run()
    assert session.balances == whole.balances
    days, again = whole.metrics.daily.days, session.metrics.daily.days
    assert (again[0], sum(day.fills for day in again)) == (days[0], len(whole.listener.results))
    assert {row.symbol: row.fills for row in session.rows} == {
        symbol: sum(result.symbol == symbol for result in whole.listener.results) for symbol in SPECS
    }
    assert {symbol: p.quantity.as_decimal() for symbol, p in session.positions.items()} == {
        symbol: abs(quantity) for symbol, quantity in whole.positions.items() if quantity
    }


# -- When it is written -------------------------------------------------------------------------------------


def test_a_market_in_which_nothing_happens_is_not_written_down(tmp_path):
    """However long a market is at rest, it is its start that is written and the quotes that were sent."""
    counts = []
    for seconds in (5, 40):
        saved = backtest(
            tmp_path / str(seconds), Watched(config()), [book(at, *CALM) for at in range(seconds)]
        )
        counts.append(len(saved.file.noted))
        assert saved.file.noted[0].state.account == SavedAccount(
            {"BTC": Decimal("0.01"), "USDT": Decimal(1000), "XRP": Decimal(500)}
        )
    assert counts == [2, 2]


def test_extremes_are_saved_with_the_timer(tmp_path):
    """The best bid rises to 2.3505 at 5.1 s without a fill; the timer comes at 6 s."""
    data = [
        book(0, *CALM),
        trade(1, 2.348, 10, "sell"),
        book(2, *CALM),
        book(5.1, 2.3505, 2.3515),
        book(9, 2.3505, 2.3515),
    ]
    saved = backtest(tmp_path, Watched(config(max_inventory="10 XRP")), data)
    highest = [
        entry["highest_price"]
        for noted in saved.file.noted
        for entry in [
            json.loads(noted.state.components[STRATEGY]["market_maker"])["symbols"][XRP_USDT]["entry"]
        ]
        if entry is not None
    ]
    assert highest[0] == pytest.approx(2.34882)
    assert highest[-1] == pytest.approx(2.3505)


def test_a_halt_is_saved_at_once(tmp_path):
    """The timer never comes, and the strategy has not stopped yet."""
    halts: list[int] = []

    class Stopping(Watched):
        def on_stop(self) -> None:
            documents = [json.loads(n.state.components[STRATEGY]["market_maker"]) for n in saved_so_far]
            halts.append(sum(document["symbols"][XRP_USDT]["halt"] is not None for document in documents))
            super().on_stop()

    saved_so_far: list[Noted] = []
    fall = [book(at, 2.3195, 2.3205) for at in (4, 5, 6)]
    given = config(max_drawdown_pct=0.2, cooldown_seconds=3600.0)
    data = [book(0, *CALM), trade(1, 2.348, 10, "sell"), book(2, *CALM), *fall]
    backtest(tmp_path, Stopping(given), data, interval_seconds=3600.0, noted=saved_so_far)
    assert halts == [1]


def test_what_the_stop_closes_is_in_the_last_state(tmp_path):
    """The strategy's last order fills when no callback tells of it any more."""
    data = [book(0, *CALM), trade(1, 2.348, 10, "sell"), book(2, *CALM), book(3, *CALM)]
    saved = backtest(tmp_path, Watched(config(flatten_on_stop=True)), data)
    last = saved.file.noted[-1].state
    assert last.account.positions == ()
    assert last.account.balances == dict(sorted(saved.balances.items()))
    strategy = json.loads(last.components[STRATEGY]["market_maker"])["symbols"][XRP_USDT]
    ledger = json.loads(last.components[METRICS]["metrics"])["ledger"]["symbols"][XRP_USDT]
    assert strategy["entry"] is None
    assert strategy["realized"] == ledger["pnl"]
    assert ledger["trades"] == 1


def test_a_strategy_that_did_not_begin_writes_nothing(tmp_path):
    saved = backtest(tmp_path, Watched(config(gamma=7.0)), [book(0, *CALM), book(5, *CALM)])
    assert saved.file.noted == []
    assert not saved.file.path.exists()


# -- Failures -----------------------------------------------------------------------------------------------


def test_a_state_that_cannot_be_written_ends_the_run(tmp_path):
    """From the first fill on, something is in the way of the file."""

    class Blocking(Watched):
        def on_order_filled(self, event: Any) -> None:
            (tmp_path / "saved.json.tmp").mkdir(exist_ok=True)
            super().on_order_filled(event)

    mm = Blocking(config())
    data = [book(0, *CALM), trade(1, 2.348, 10, "sell"), *(book(at, *CALM) for at in range(2, 30))]
    saved = backtest(tmp_path, mm, data)
    kinds = {type(failure.error) for failure in saved.saver.failures}
    assert kinds == {StateWriteError}
    assert saved.saver.failures[-1].callback == "StateSaver.save_last"
    assert mm.seen[-1][0] < 29, "the engine was told to stop"
    with StateFile.open(tmp_path, "saved", fingerprint()) as file:
        assert file.account is not None
        assert file.account.positions == ()


@pytest.mark.parametrize(
    ("place", "at_fill"),
    [
        ("inside", 17),
        *(
            pytest.param(*case, marks=pytest.mark.long)
            for case in (("before", 1), ("before", 40), ("inside", 55), ("after", 1), ("after", 33))
        ),
    ],
)
def test_after_a_kill_the_state_is_the_fills_up_to_the_last_save(tmp_path, place, at_fill):
    """What was filled after the last save is missing only where the process died within that very save."""
    child = Path(__file__).with_name("saver_child.py")
    paths = os.pathsep.join([str(ROOT), str(child.parent)])
    command = [sys.executable, str(child), str(tmp_path), place, str(at_fill)]
    ended = subprocess.run(command, env=os.environ | {"PYTHONPATH": paths}, check=False, timeout=120)
    assert ended.returncode == -signal.SIGKILL
    fills = [json.loads(line) for line in (tmp_path / "fills.jsonl").read_text().splitlines()]
    assert len(fills) == at_fill
    saved_fills = fills if place == "after" else fills[:-1]
    balances = {text.split()[1]: Decimal(text.split()[0]) for text in BALANCES}
    positions = dict.fromkeys(SPECS, Decimal(0))
    for fill in saved_fills:
        base, quote = fill["symbol"].split("/")
        signed = Decimal(fill["quantity"]) * (1 if fill["side"] == "BUY" else -1)
        positions[fill["symbol"]] += signed
        balances[base] += signed
        balances[quote] -= (signed * Decimal(fill["price"])).quantize(LEAST) + Decimal(fill["fee"])
    with StateFile.open(tmp_path, "killed", fingerprint()) as file:
        assert file.account is not None
        assert file.account.balances == balances
        assert {p.symbol: p.quantity for p in file.account.positions} == {
            s: q for s, q in positions.items() if q
        }
        symbols = json.loads(file.component(METRICS)["metrics"])["symbols"]
        assert sum(symbol["fills"] for symbol in symbols.values()) == len(saved_fills)
