from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mm_nautilus.checks.config_source import (
    load_any_config,
    load_config,
    load_sandbox_config,
    resolved_yaml,
)
from mm_nautilus.config.fields import Duration
from mm_nautilus.config.sandbox import SandboxConfig
from mm_nautilus.errors import ConfigError

GOOD = """\
name: probe
duration: 1h30m
feed:
  source: local
  catalog: data/catalog
  speed: max
venue:
  name: KRAKEN
  starting_balances: [1000 USDT, 500 XRP]
strategy:
  symbols:
    XRP/USDT:
      min_spread_pct: 0.05
"""
BACKTEST = """\
catalog: data/catalog
venue:
  name: KRAKEN
  starting_balances: [1000 USDT]
strategy:
  symbols:
    XRP/USDT:
"""
durations = TypeAdapter(Duration)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD, encoding="utf-8")
    return path


def refusals(path: Path, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        load_sandbox_config(path, overrides)
    return error.value.problems


# -- Lengths of time ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("2h", 7_200), ("15m", 900), ("7d", 604_800), ("1d12h", 129_600), ("1h1m1s", 3_661)],
)
def test_durations_name_their_units(text, seconds):
    assert durations.validate_python(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value", ["", "90", 90, "2 h", "h", "1m1h", "0s", "-1h", "1.5h", "2H", "99999d", None]
)
def test_what_is_no_duration_is_refused(value):
    with pytest.raises(ValidationError):
        durations.validate_python(value)


@given(st.integers(1, 3_650 * 86_400))
def test_durations_are_written_as_they_are_read(seconds):
    duration = timedelta(seconds=seconds)
    assert durations.validate_python(durations.dump_python(duration)) == duration


# -- Files --------------------------------------------------------------------------------------------


def test_values_are_read_with_their_lines_and_the_catalog_beside_the_file(good):
    loaded = load_sandbox_config(good)
    assert loaded.config.duration == timedelta(minutes=90)
    assert loaded.config.feed.speed == "max"
    assert loaded.config.feed.catalog == good.parent / "data" / "catalog"
    assert loaded.source("feed", "speed") == f"{good}:6"
    assert loaded.config.report_currency == "USDT"


def test_resolved_configuration_is_read_back_as_an_equal_one(good, tmp_path):
    config = load_sandbox_config(good, ["feed.speed=2.5", "duration=2h"]).config
    other = tmp_path / "elsewhere" / "resolved.yaml"
    other.parent.mkdir()
    other.write_text(resolved_yaml(config), encoding="utf-8")
    assert load_sandbox_config(other).config == config


def test_the_kind_is_told_by_the_feed(good, tmp_path):
    backtest = tmp_path / "backtest.yaml"
    backtest.write_text(BACKTEST, encoding="utf-8")
    assert load_any_config(good).kind == "sandbox"
    assert load_any_config(backtest).kind == "backtest"
    assert isinstance(load_any_config(good).config, SandboxConfig)
    assert not isinstance(load_any_config(backtest).config, SandboxConfig)
    with pytest.raises(ConfigError, match=rf"{good}:3: a backtest takes no feed; .*mm-nautilus sandbox"):
        load_config(good)
    assert refusals(backtest) == [
        f"{backtest}:1: a sandbox needs a feed; this is a backtest's configuration, for mm-nautilus backtest"
    ]


def test_everything_wrong_is_reported_at_once(good):
    found = refusals(
        good,
        "duration=90",
        "feed.source=both",
        "feed.speed=0",
        "feed.book_depth=20",
        "feed.rest_url=kraken",
        "state.folder=x",
    ) + refusals(
        good,
        "venue.name=BINANCE",
        "venue.liquidity_consumption=false",
        "strategy.book_data=depth",
        "strategy.own_orders_in_book=true",
    )
    found += refusals(good, "recording.enabled=true")
    expected = [
        "duration must be a length of time up to ten years in days, hours, minutes and seconds",
        "source must be live or local, was 'both'",
        "speed must be a number above 0 and at most 10000, or max, was 0",
        "book_depth must be 10, 25, 100, 500 or 1000, was 20",
        "rest_url must be an address that begins with http:// or https://, without user and password, or null, was ",
        "name must be KRAKEN, whose protocol the feed speaks, was BINANCE",
        "liquidity_consumption must be true in a sandbox",
        "book_data must be deltas, which is what the feed sends, was depth",
        "own_orders_in_book must be false with a simulated venue, whose book never shows our orders, was true",
        "catalog must be the path of a folder with enabled: true, was null",
        "unknown key folder",
    ]
    assert len(found) == len(expected)
    for text in expected:
        assert sum(text in problem for problem in found) == 1, text


def test_addresses_belong_to_a_live_feed(good):
    url = "feed.websocket_url=wss://ws.example/v2"
    assert refusals(good, url) == [
        "--set feed.websocket_url: websocket_url must be null with source: local, was wss://ws.example/v2"
    ]
    assert load_sandbox_config(good, [url, "feed.source=live"]).config.feed.websocket_url


def test_fees_of_a_symbol_that_is_not_traded_are_refused_as_in_a_backtest(good):
    (problem,) = refusals(good, "venue.symbol_fees={BTC/USDT: {maker_fee_pct: 0, taker_fee_pct: 0}}")
    assert "must be one of strategy.symbols (XRP/USDT), was BTC/USDT" in problem


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("duration: 2m\nfed: {source: local}\n", "fed: unknown key fed (did you mean feed?)"),
        ("state: {directory: null}\n", "Missing required config: feed"),
        ("name: x\n", "Missing required config: catalog"),
        ("catalog: c\nstate: {directory: null}\n", "state: unknown key state"),
    ],
)
def test_without_a_feed_the_other_keys_tell_what_a_file_is_of(
    tmp_path: Path, text: str, expected: str
) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load_any_config(file)
    assert any(expected in problem for problem in error.value.problems)


@pytest.mark.parametrize(
    "more",
    [
        "notify: {disconnect_seconds: 'tgram://open-sesame'}",
        "notify: {summary_every: 'tgram://open-sesame'}",
        "notify: {storm_changes: 'json://host/open-sesame'}",
        "notify: {urls: ['tgram://open-sesame']}",
        "notify: {url: 'tgram://open-sesame'}",
        "notify: 'tgram://open-sesame'",
        "notifi: ['tgram://open-sesame']",
    ],
)
def test_an_address_of_a_service_is_repeated_under_no_key(tmp_path: Path, more: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(f"{GOOD}{more}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load_sandbox_config(path)
    assert "sesame" not in str(refused.value)
