"""One venue and one session for each module of faults; what each fault leaves is checked after its test."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sandbox_sessions import (
    CATALOG,
    SYMBOLS,
    LeftBehind,
    SandboxSession,
    assert_held_back,
    configuration,
    quotes,
    session_of,
)

from mm_nautilus.mock_kraken.process import VenueControl, VenueOptions, VenueProcess

SUBSCRIPTIONS = 2 * len(SYMBOLS)


@dataclass(frozen=True)
class Pair:
    """A running venue and a session on it.

    Attributes
    ----------
    control
        Steers the venue.
    session
        The sandbox run.
    """

    control: VenueControl
    session: SandboxSession


@pytest.fixture(scope="module")
def venue() -> Iterator[VenueProcess]:
    """Play the sample twenty times as fast as it was."""
    options = VenueOptions(catalog=CATALOG, speed=20.0, start_after_subscriptions=SUBSCRIPTIONS)
    with VenueProcess(options) as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the module's session."""
    return tmp_path_factory.mktemp("session")


@pytest.fixture(scope="module")
def module_session(venue: VenueProcess, folder: Path) -> Iterator[SandboxSession]:
    """Run one session, end it by SIGTERM, and check log, orders, exit code and money."""
    with session_of(configuration(folder, venue)) as session:
        yield session
        if session.is_over():  # a test has failed for that already
            return
        venue.control.clear_faults()
        last = session.report()
        assert session.end() == 143
    left = LeftBehind(folder)
    left.assert_told_once(last)
    assert left.summary["status"] == "interrupted"
    assert left.summary["open_orders"] == 0
    assert left.fills
    left.assert_money_adds_up()


@pytest.fixture
def pair(venue: VenueProcess, module_session: SandboxSession) -> Iterator[Pair]:
    """Return venue and session without faults, quoting on all pairs; afterwards check its orders and its money."""
    venue.control.clear_faults()
    before = module_session.wait_until(quotes, "quotes on all pairs")
    yield Pair(venue.control, module_session)
    if not module_session.is_over():
        last = module_session.report()
        recent = [change for change in last["changes"] if change["ns"] >= before["now_ns"]]
        assert_held_back(last | {"changes": recent}, module_session.history(before))
        module_session.assert_money_adds_up()
