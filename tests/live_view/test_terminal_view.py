"""The live view in a terminal."""

import io
import threading
import time
from collections.abc import Callable

import pytest
from live_states import (
    CROSS,
    FIGURES,
    FILL,
    INFOS,
    RUN,
    START_NS,
    XRP,
    eventful_state,
    made_state,
    publish_quotes,
)
from rich.console import Console

from mm_nautilus.live_view.document import Document, fill_documents, state_document
from mm_nautilus.live_view.state import GuardNote, LiveState, Quotes, SymbolInfo
from mm_nautilus.live_view.terminal import TerminalView, terminal_tables

PATIENCE_SECONDS = 120.0


def document(state: LiveState) -> Document:
    snapshot = state.snapshot()
    return {**state_document(snapshot), "fills": fill_documents(snapshot)}


def drawn(state: LiveState, width: int, height: int) -> list[str]:
    """Return the lines that are drawn in a terminal of a size."""
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=False)
    equity = [value for _, value in state.curves.points()[0]]
    with console.capture() as capture:
        console.print(terminal_tables(document(state), equity, width, height))
    return capture.get().splitlines()


def many_fills(count: int = 60) -> LiveState:
    state = eventful_state()
    for index in range(count):
        state.on_fill(FILL._replace(correlation_id=f"O-{index}"))
    publish_quotes(state, XRP, Quotes(2.349, 8.5, 2.351, 8.5))
    return state


def with_levels() -> LiveState:
    state = many_fills()
    for level in range(2, 11):
        publish_quotes(state, XRP, Quotes(2.342 - 0.001 * level, 8.5, 2.39 + 0.001 * level, 8.5), level)
    return state


def test_a_wide_terminal_shows_everything() -> None:
    text = "\n".join(drawn(many_fills(), 140, 50))
    for words in (
        "probe: running for",
        "SIMULATED data, simulated fills",
        "equity $1000.50",
        "trading PnL +$0.50",
        "8.5 XRP at 2.34900 USDT",
        "2.361453 USDT",
        "2 (1 won, 1 lost)",
        "50.0 %",
        "XRP/USDT quoting: bid: cooldown",
        "at most 0.",
        "12:00:05",
        "▁",
    ):
        assert words in text, words


def test_each_level_has_a_row() -> None:
    lines = [line.split() for line in drawn(with_levels(), 140, 50)]
    rows = {" ".join(line[:3]): line[3:] for line in lines if line[:1] == ["our"]}
    assert rows["our bid 8.5"] == ["XRP", "at", "2.34900", "USDT", "none", "yet"]
    assert rows["our bid 2"] == ["8.5", "XRP", "at", "2.34000", "USDT"]
    assert rows["our ask 10"][-2:] == ["2.40000", "USDT"]


@pytest.mark.parametrize(("width", "height"), [(140, 50), (120, 30), (80, 24), (80, 40), (60, 20), (200, 12)])
@pytest.mark.parametrize(
    "state", [made_state(), many_fills(), with_levels()], ids=["empty", "full", "levels"]
)
def test_what_is_drawn_fits_the_terminal(state: LiveState, width: int, height: int) -> None:
    lines = drawn(state, width, height)
    assert len(lines) < height
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert XRP in text
    assert CROSS in text


def test_halts_are_told_with_their_reasons() -> None:
    state = eventful_state()
    state.on_guard(GuardNote(START_NS, XRP, "halted", "halted by the kill switch: a test"))
    text = "\n".join(drawn(state, 100, 40))
    assert "XRP/USDT halted: halted by the kill switch: a test" in text


def test_many_symbols_become_rows() -> None:
    infos = [SymbolInfo(f"A{index}/USDT", f"A{index}", "USDT", 2) for index in range(10)]
    state = LiveState(RUN, infos)
    for info in infos:
        state.on_metrics(FIGURES | {"symbol": info.symbol})
    lines = drawn(state, 100, 30)
    assert len(lines) < 30
    assert all(any(line.strip().startswith(info.symbol) for line in lines) for info in infos)
    assert len(INFOS) == 2


# -- The thread ---------------------------------------------------------------------------------------------


class Screen:
    """A terminal that remembers what was written to it."""

    def __init__(self) -> None:
        self.file = io.StringIO()
        self.console = Console(
            file=self.file, force_terminal=True, width=100, height=40, color_system=None, legacy_windows=False
        )

    @property
    def text(self) -> str:
        return self.file.getvalue()

    def wait_for(self, holds: Callable[[str], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds(self.text):
            assert time.monotonic() < deadline, self.text[-2_000:]
            time.sleep(0.01)


def test_lines_are_said_above_the_view_and_the_terminal_is_left_as_it_was() -> None:
    screen = Screen()
    view = TerminalView(screen.console)
    view.say("before [it] begins")
    assert screen.text == "before [it] begins\n"
    view.begin(eventful_state())
    screen.wait_for(lambda text: "probe: running" in text)
    view.say("a line meanwhile")
    screen.wait_for(lambda text: "a line meanwhile" in text)
    after = screen.text.rpartition("a line meanwhile")[2]
    assert "probe: running" in after or screen.wait_for(lambda text: text.count("probe: running") > 1) is None
    view.end()
    assert screen.text.count("\x1b[?25l") == screen.text.count("\x1b[?25h") == 1
    ended = screen.text
    view.say("after its end")
    assert screen.text == ended + "after its end\n"
    assert "terminal" not in {thread.name for thread in threading.enumerate()}


def test_new_figures_are_drawn_without_being_asked_for() -> None:
    screen, state = Screen(), eventful_state()
    view = TerminalView(screen.console)
    view.begin(state)
    screen.wait_for(lambda text: "2 (1 won, 1 lost)" in text)
    state.on_metrics(FIGURES | {"trades": 9, "wins": 8})
    screen.wait_for(lambda text: "9 (8 won, 1 lost)" in text)
    view.end()


def test_a_line_that_is_said_last_is_not_lost() -> None:
    for _ in range(20):
        screen = Screen()
        view = TerminalView(screen.console)
        view.begin(eventful_state())
        view.say("the last line")
        view.end()
        assert "the last line\n" in screen.text


def test_a_view_that_never_began_ends() -> None:
    screen = Screen()
    TerminalView(screen.console).end()
    assert screen.text == ""
