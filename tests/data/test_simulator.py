"""The simulator: the same seed gives the same data, and books and trades agree with each other."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from market_statistics import CATALOG_PAGE, ROOT, SYMBOLS, simulation
from pydantic import ValidationError

from mm_nautilus.data import simulator
from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.catalog_writer import CatalogWriter
from mm_nautilus.data.check import check_catalog
from mm_nautilus.data.order_flow import FEED_DELAY_NS, MIN_LEVELS, PairFlow
from mm_nautilus.data.simulator import FLOWS, KRAKEN_SPOT, SimulationConfig, simulate, write_sample
from mm_nautilus.errors import DataError
from mm_nautilus.market.rows import Action, DeltaBlock, Flag, Side, joined_blocks

SEED, SECONDS = 7, 640
CATALOG = ROOT / "catalog"

every_pair = pytest.mark.parametrize("symbol", SYMBOLS)


def assert_equal(block, other):
    for name in type(block).__dataclass_fields__:
        np.testing.assert_array_equal(getattr(block, name), getattr(other, name), err_msg=name)


def contents(folder: Path):
    return {
        path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def groups(deltas: DeltaBlock):
    """Yield the time and the rows ``(action, side, ticks, lots)`` of each group, split at the last flags."""
    rows = []
    columns = (deltas.ts_init, deltas.action, deltas.side, deltas.price_ticks, deltas.size_lots, deltas.flags)
    for ts, *row, flags in zip(*(column.tolist() for column in columns), strict=True):
        rows.append(tuple(row))
        if flags & Flag.LAST:
            yield ts, rows
            rows = []
    assert not rows, "the data ends within a group"


def change(books, rows):
    """Apply a group to books by side, strictly: an added level must be new, a changed one known."""
    for action, side, ticks, lots in rows:
        assert ticks > 0
        if action == Action.ADD:
            assert ticks not in books[side]
        else:
            assert ticks in books[side]
        if action == Action.DELETE:
            assert lots == 0
            del books[side][ticks]
        else:
            assert action in (Action.ADD, Action.UPDATE)
            assert lots > 0
            books[side][ticks] = lots


# -- The same data -------------------------------------------------------------------------------------------


def test_same_seed_gives_the_same_data_and_another_seed_other_data():
    first, again, other = (
        next(simulate(SimulationConfig(seed=seed, duration_seconds=30))) for seed in (SEED, SEED, SEED + 1)
    )
    for part, same, different in zip(first, again, other, strict=True):
        assert_equal(part.deltas, same.deltas)
        assert_equal(part.trades, same.trades)
        np.testing.assert_array_equal(part.informed, same.informed)
        np.testing.assert_array_equal(part.efficient_price, same.efficient_price)
        assert part.efficient_price[0] != different.efficient_price[0]
        assert part.deltas.price_ticks.tolist() != different.deltas.price_ticks.tolist()


@pytest.mark.parametrize(
    "seconds", [45, pytest.param(600, marks=pytest.mark.long), pytest.param(610, marks=pytest.mark.long)]
)
def test_a_shorter_simulation_is_the_beginning_of_a_longer_one(seconds):
    shorter, longer = simulation(SEED, seconds), simulation(SEED, SECONDS)
    for symbol in SYMBOLS:
        deltas, trades = longer.deltas[symbol], longer.markets[symbol].trades
        count, traded = len(shorter.deltas[symbol]), len(shorter.markets[symbol].trades)
        assert 0 < count < len(deltas)
        assert_equal(shorter.deltas[symbol], deltas.slice(0, count))
        assert_equal(shorter.markets[symbol].trades, trades.slice(0, traded))
        steps = len(shorter.efficient[symbol])
        assert steps == seconds * 10
        np.testing.assert_array_equal(shorter.efficient[symbol], longer.efficient[symbol][:steps])
        end = SimulationConfig().start_ns + seconds * 1_000_000_000
        assert deltas.ts_event[count - 1] < end <= deltas.ts_event[count]


def test_pairs_draw_from_streams_of_their_own(monkeypatch):
    before = next(simulate(SimulationConfig(seed=SEED, duration_seconds=30)))
    flows = dict(FLOWS) | {"XRP/USDT": FLOWS["BTC/USDT"]}
    monkeypatch.setattr(simulator, "FLOWS", flows)
    after = next(simulate(SimulationConfig(seed=SEED, duration_seconds=30)))
    assert len(before[0].deltas) != len(after[0].deltas)
    for number in (1, 2):
        assert_equal(before[number].deltas, after[number].deltas)
        assert_equal(before[number].trades, after[number].trades)


# -- Times and groups ----------------------------------------------------------------------------------------


@every_pair
def test_events_are_strictly_ordered_across_slices(symbol):
    found = simulation(SEED, SECONDS)
    deltas, trades = found.deltas[symbol], found.markets[symbol].trades
    ends = deltas.ts_init[(deltas.flags & Flag.LAST) != 0]
    assert len(found.slices) == 2
    assert (np.diff(ends) > 0).all()
    assert (np.diff(trades.ts_init) >= 0).all()
    assert not np.isin(trades.ts_init, ends).any()
    for block in (deltas, trades):
        assert (block.ts_init - block.ts_event == FEED_DELAY_NS).all()
    start = SimulationConfig().start_ns
    assert start <= deltas.ts_event[0] < start + 1_000_000
    assert deltas.ts_event[-1] < start + SECONDS * 1_000_000_000


def test_a_block_starts_after_the_last_one_ended():
    for before, after in zip(*simulation(SEED, SECONDS).slices, strict=True):
        assert before.deltas.ts_init[-1] < after.deltas.ts_init[0]
        assert before.trades.ts_init[-1] < after.trades.ts_init[0]
        assert before.deltas.flags[-1] & Flag.LAST
        assert before.deltas.ts_init[-1] < after.trades.ts_init[0]
        assert before.trades.ts_init[-1] < before.deltas.ts_init[-1]


@every_pair
def test_groups_are_atomic_and_numbered_without_gaps(symbol):
    deltas = simulation(SEED, SECONDS).deltas[symbol]
    ends = np.flatnonzero(deltas.flags & Flag.LAST)
    starts = np.concatenate(([0], ends[:-1] + 1))
    np.testing.assert_array_equal(deltas.sequence[ends], np.arange(len(ends)))
    for column in (deltas.sequence, deltas.ts_init, deltas.ts_event):
        np.testing.assert_array_equal(column[starts], column[ends])
    assert len(np.unique(deltas.sequence)) == len(ends)


@every_pair
def test_data_begins_with_one_snapshot(symbol):
    deltas = simulation(SEED, SECONDS).deltas[symbol]
    snapshot = (deltas.flags & Flag.SNAPSHOT) != 0
    rows = int(snapshot.sum())
    assert snapshot[:rows].all()
    assert deltas.action[0] == Action.CLEAR
    assert (deltas.action[1:rows] == Action.ADD).all()
    assert (deltas.flags[: rows - 1] == Flag.SNAPSHOT).all()
    assert deltas.flags[rows - 1] == Flag.SNAPSHOT | Flag.LAST
    assert not (deltas.action[1:] == Action.CLEAR).any()


def test_no_two_pairs_have_events_at_the_same_time():
    times = np.concatenate([market.ts for market in simulation(SEED, SECONDS).markets.values()])
    assert len(np.unique(times)) == len(times)


# -- Books and trades ----------------------------------------------------------------------------------------


@every_pair
def test_book_is_never_crossed_or_thin(symbol):
    market = simulation(SEED, SECONDS).markets[symbol]
    assert (market.bid < market.ask).all()
    assert (market.bid > 0).all()
    for levels in (market.bid_levels, market.ask_levels):
        assert levels.min() >= MIN_LEVELS >= 10
        assert levels.max() <= FLOWS[symbol].max_levels


@every_pair
def test_every_trade_took_size_that_the_book_showed(symbol):
    found = simulation(SEED, SECONDS)
    deltas, trades, informed = found.deltas[symbol], found.markets[symbol].trades, found.informed[symbol]
    columns = (trades.ts_init, trades.aggressor, trades.price_ticks, trades.size_lots, informed)
    waiting = list(zip(*(column.tolist() for column in columns), strict=True))[::-1]
    books: dict[int, dict[int, int]] = {Side.BID: {}, Side.ASK: {}}
    last_group = 0
    for ts, rows in groups(deltas):
        taken = []
        while waiting and waiting[-1][0] <= ts:
            taken.append(waiting.pop())
        if taken:
            assert_taken(books, taken, rows, last_group, ts)
        change(books, rows[1:] if rows[0][0] == Action.CLEAR else rows)
        last_group = ts
    assert not waiting, "trades after the last book change"
    assert len(trades) > 100 * SECONDS / 600


def assert_taken(books, taken, rows, last_group, ts):
    """Check that trades and the group that follows them are one taker's order."""
    moments, sides, kinds = ({trade[index] for trade in taken} for index in (0, 1, 4))
    assert len(moments) == len(sides) == len(kinds) == 1, "two takers before one book change"
    assert last_group < moments.pop() < ts
    passive = Side.ASK if sides.pop() == Side.BID else Side.BID
    best_first = sorted(books[passive], reverse=passive == Side.BID)
    assert [trade[2] for trade in taken] == best_first[: len(taken)], "levels were passed over"
    shown = [books[passive][trade[2]] for trade in taken]
    sizes = [trade[3] for trade in taken]
    assert min(sizes) > 0
    assert sizes[:-1] == shown[:-1], "a better level was not emptied"
    assert sizes[-1] <= shown[-1]
    for (_, _, ticks, size, _), row in zip(taken, rows, strict=False):
        left = books[passive][ticks] - size
        assert row == (Action.UPDATE if left else Action.DELETE, passive, ticks, left)
    worst = best_first[-1]
    for action, side, ticks, _ in rows[len(taken) :]:
        assert (action, side) == (Action.ADD, passive), "the taker's group changed something else"
        assert (ticks - worst) * (1 if passive == Side.ASK else -1) > 0


@every_pair
def test_informed_takers_only_take_what_is_mispriced(symbol):
    found = simulation(SEED, SECONDS)
    market, informed = found.markets[symbol], found.informed[symbol]
    trades = market.trades
    step = (trades.ts_event - SimulationConfig().start_ns) // 100_000_000
    efficient = found.efficient[symbol][np.minimum(step, len(found.efficient[symbol]) - 1)]
    edge = (efficient - trades.price_ticks * market.tick) * np.where(trades.aggressor == Side.BID, 1, -1)
    # A step's border may lie within the gap by which an event was moved back.
    assert np.mean(edge[informed] > 0) > 0.99
    assert np.mean(edge[~informed] > 0) < 0.5


@every_pair
def test_full_side_drops_the_farthest_level(symbol):
    dropped = 0
    for _, rows in groups(simulation(SEED, SECONDS).deltas[symbol]):
        if [row[0] for row in rows] == [Action.ADD, Action.DELETE]:
            (_, side, added, _), (_, _, removed, _) = rows
            assert (removed - added) * (1 if side == Side.ASK else -1) > 0
            dropped += 1
    assert dropped > 50 or symbol == "XRP/BTC"


def crowded_flow(symbol, **changes):
    """Return a tenth of a second of a book with thousands of events."""
    config, spec = FLOWS[symbol], KRAKEN_SPOT[symbol]
    many = {name: 5_000.0 for name in type(config).__dataclass_fields__ if name.endswith("_rate")}
    flow = PairFlow(replace(config, **many, **changes), spec, np.random.default_rng(1))
    start, price = SimulationConfig().start_ns, 20_000 * float(spec.price_increment)
    flow.open(start, price, 2.0)
    return flow.run(start, 1_000_000, np.full(100, price), np.full(100, 2.0), start + 100_000_000)


@every_pair
def test_events_keep_their_distance_however_many_there_are(symbol):
    part = crowded_flow(symbol)
    ends = part.deltas.ts_event[(part.deltas.flags & Flag.LAST) != 0]
    assert len(ends) > 1_000
    assert np.diff(ends).min() >= 10_000
    took = np.unique(part.trades.ts_event)
    assert np.isin(took + 1_000, ends).all()
    later = np.searchsorted(ends, took)
    assert (took - ends[later - 1]).min() >= 10_000


@every_pair
def test_orders_are_never_smaller_than_the_venue_takes(symbol):
    deltas, spec = crowded_flow(symbol, limit_value=1e-9).deltas, KRAKEN_SPOT[symbol]
    assert spec.min_quantity is not None
    least = int(spec.min_quantity / spec.size_increment)
    assert deltas.size_lots[deltas.action == Action.ADD].min() == least


@every_pair
def test_trade_ids_are_unique_and_say_that_they_are_simulated(symbol):
    trades = simulation(SEED, SECONDS).markets[symbol].trades
    assert len(set(trades.trade_id)) == len(trades)
    assert all(name.startswith("SIM-") and len(name) <= 36 for name in trades.trade_id)


# -- Written catalogs ----------------------------------------------------------------------------------------


def test_shipped_catalog_is_what_the_simulator_builds():
    reader, found = CatalogReader(CATALOG), simulation()
    assert [spec.symbol for spec in reader.instruments()] == sorted(SYMBOLS)
    for symbol in SYMBOLS:
        assert reader.instrument(symbol) == KRAKEN_SPOT[symbol]
        assert_equal(joined_blocks(list(reader.iter_deltas(symbol))), found.deltas[symbol])
        assert_equal(joined_blocks(list(reader.iter_trades(symbol))), found.markets[symbol].trades)


def test_shipped_catalog_is_small_clean_and_about_half_an_hour_long():
    assert sum(len(content) for content in contents(CATALOG).values()) <= 5_000_000
    assert check_catalog(CATALOG).ok
    for market in simulation().markets.values():
        assert 1_700 < (market.ts[-1] - market.ts[0]) / 1e9 <= 1_800


def test_everything_that_describes_the_sample_calls_it_simulated():
    assert "SIMULATED" in CATALOG_PAGE.read_text(encoding="utf-8").splitlines()[0]
    assert all(spec.simulated for spec in CatalogReader(CATALOG).instruments())
    assert all(spec.simulated for spec in KRAKEN_SPOT.values())


def test_writing_twice_gives_the_same_bytes(tmp_path):
    config = SimulationConfig(seed=SEED, duration_seconds=60)
    shares: list[float] = []
    write_sample(tmp_path / "first", config, shares.append)
    write_sample(tmp_path / "second", config)
    assert contents(tmp_path / "first") == contents(tmp_path / "second")
    assert shares == [1.0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "second"]


def test_writing_keeps_a_readme_and_refuses_a_catalog_with_data(tmp_path):
    target = tmp_path / "catalog"
    target.mkdir()
    (target / "README.md").write_text("mine")
    write_sample(target, SimulationConfig(duration_seconds=20))
    before = contents(target)
    assert before[Path("README.md")] == b"mine"
    with pytest.raises(DataError, match="already holds a catalog; remove"):
        write_sample(target, SimulationConfig(seed=1, duration_seconds=20))
    assert contents(target) == before


@pytest.mark.parametrize("existing", [False, True], ids=["new", "existing"])
@pytest.mark.parametrize("failure", [RuntimeError("full"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_failing_in_the_middle_leaves_nothing(tmp_path, monkeypatch, existing, failure):
    target = tmp_path / "catalog"
    if existing:
        target.mkdir()
        (target / "README.md").write_text("mine")
    original, calls = CatalogWriter.write_block, []

    def fail_at_the_second(self, spec, block):
        calls.append(spec)
        if len(calls) == 2:
            raise failure
        original(self, spec, block)

    monkeypatch.setattr(CatalogWriter, "write_block", fail_at_the_second)
    with pytest.raises(type(failure)):
        write_sample(target, SimulationConfig(duration_seconds=20))
    assert len(calls) == 2
    assert contents(tmp_path) == ({Path("catalog/README.md"): b"mine"} if existing else {})


# -- Settings ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", -1),
        ("seed", 1.5),
        ("duration_seconds", 9),
        ("duration_seconds", 31 * 86_400 + 1),
        ("start", datetime(2025, 1, 1)),  # noqa: DTZ001 (that it is naive is the point)
        ("start", datetime(1969, 12, 31, tzinfo=UTC)),
        ("xrp_usdt", 0.0),
        ("xrp_usdt", float("nan")),
        ("xrp_usdt", 0.004),
        ("xrp_usdt", 20_000.0),
        ("btc_usdt", 1e9),
        ("xrp_volatility_pct", 0.0),
        ("btc_volatility_pct", 5.1),
        ("correlation", 1.01),
        ("log_volatility_std", -0.1),
        ("log_volatility_minutes", 0.0),
        ("jumps_per_hour", -1.0),
        ("jump_pct", float("inf")),
        ("profit", 1.0),
    ],
)
def test_settings_refuse_what_makes_no_sense(name, value):
    with pytest.raises(ValidationError) as caught:
        SimulationConfig(**{name: value})
    assert caught.value.error_count() == 1
    assert name in str(caught.value) or "first price" in str(caught.value)


def test_start_is_exact_in_any_time_zone():
    moment = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=timezone(timedelta(hours=2)))
    assert SimulationConfig(start=moment).start_ns == 1_767_315_845_678_901_000
    part = next(simulate(SimulationConfig(start=moment, duration_seconds=10)))[0]
    assert part.deltas.ts_event[0] == 1_767_315_845_678_901_000


def test_a_price_that_runs_away_is_refused_and_nothing_written(tmp_path):
    config = SimulationConfig(
        seed=SEED, duration_seconds=600, xrp_usdt=0.0051, btc_usdt=1_000.0, xrp_volatility_pct=5.0
    )
    with pytest.raises(DataError, match="choose a lower volatility or a shorter span"):
        write_sample(tmp_path / "catalog", config)
    assert list(tmp_path.iterdir()) == []


def test_long_simulations_come_in_slices_of_ten_minutes():
    parts = list(islice(simulate(SimulationConfig(duration_seconds=31 * 86_400)), 2))
    for number, slices in enumerate(parts):
        for part in slices:
            assert len(part.efficient_price) == 6_000
            since_start = (part.deltas.ts_event - SimulationConfig().start_ns) / 1e9
            assert number * 600 <= since_start[0] < number * 600 + 5
            assert (number + 1) * 600 - 5 < since_start[-1] < (number + 1) * 600


def test_a_quiet_market_has_fewer_events_of_the_same_prices(tmp_path):
    rows = {}
    for activity in (1.0, 0.25):
        config = SimulationConfig(duration_seconds=300, activity=activity)
        slices = list(simulate(config))
        rows[activity] = sum(len(pair.deltas.ts_init) for part in slices for pair in part)
    assert 0.15 < rows[0.25] / rows[1.0] < 0.4
