"""What is in force, merged for each symbol, and where each value comes from."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mm_nautilus.checks.config_source import LoadedConfig, load_any_config, load_config
from mm_nautilus.checks.merged_config import common_values, symbol_values, values_text
from mm_nautilus.config.run import as_yaml_values

SHIPPED = sorted((Path(__file__).resolve().parents[2] / "configs").glob("*.yaml"))
assert len(SHIPPED) > 6
TEXT = """\
catalog: catalog
venue:
  name: KRAKEN
  starting_balances: [1000 USDT, 500 XRP]
  symbol_fees:
    XRP/BTC: {maker_fee_pct: 0.02, taker_fee_pct: 0.12}
strategy:
  gamma: 0.2
  stop_loss_pct: 0.6
  symbols:
    XRP/USDT:
    XRP/BTC:
      stop_loss_pct: 0.7
      position_size: 25 XRP
      skew_bps_at_max_inventory: 3
      max_inventory: 150 XRP
"""

type Load = Callable[..., LoadedConfig]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    file = tmp_path / "run.yaml"
    file.write_text(TEXT, encoding="utf-8")
    return lambda *overrides: load_config(file, overrides)


def sources(loaded: LoadedConfig, symbol: str) -> dict[str, tuple[object, str]]:
    return {
        value.path[-1]: (value.value, value.source.rpartition("/")[2])
        for value in symbol_values(loaded, symbol)
    }


def test_a_value_comes_from_its_symbol_then_from_all_then_from_the_default(load: Load) -> None:
    loaded = load("strategy.symbols.XRP/USDT.min_spread_pct=0.3", "strategy.take_profit_pct=0.9")
    own, other = sources(loaded, "XRP/BTC"), sources(loaded, "XRP/USDT")
    assert own["stop_loss_pct"] == (0.7, "run.yaml:13")
    assert other["stop_loss_pct"] == (0.6, "run.yaml:9")
    assert other["min_spread_pct"] == (0.3, "--set")
    assert own["min_spread_pct"] == (0.1, "default")
    assert own["take_profit_pct"] == other["take_profit_pct"] == (0.9, "--set")


def test_what_another_parameter_stands_in_for_is_left_out(load: Load) -> None:
    loaded = load()
    own, other = sources(loaded, "XRP/BTC"), sources(loaded, "XRP/USDT")
    assert own["position_size"] == ("25 XRP", "run.yaml:14")
    assert "position_size_usd" not in own
    assert other["position_size_usd"] == (20.0, "default")
    assert own["skew_bps_at_max_inventory"] == (3.0, "run.yaml:15")


def test_a_size_of_the_symbol_replaces_an_amount_for_all(load: Load) -> None:
    loaded = load("strategy.position_size=30 XRP", "strategy.symbols.XRP/USDT.position_size_usd=20")
    found = sources(loaded, "XRP/USDT")
    assert found["position_size_usd"] == (20.0, "--set")
    assert "position_size" not in found


def test_common_values_leave_the_symbols_parameters_to_them(load: Load) -> None:
    found = {".".join(value.path): (value.value, value.source) for value in common_values(load("name=mine"))}
    assert found["name"] == ("mine", "--set")
    assert found["venue.symbol_fees.XRP/BTC.maker_fee_pct"][0] == 0.02
    assert found["venue.latency.insert_ms"] == (50.0, "default")
    assert found["strategy.report_currency"] == ("USDT", "default")
    assert "strategy.gamma" not in found
    assert not any("symbols." in key for key in found)
    assert [key.startswith("strategy") for key in found] == sorted(
        key.startswith("strategy") for key in found
    )


def test_an_unknown_symbol_is_a_key_error(load: Load) -> None:
    with pytest.raises(KeyError):
        symbol_values(load(), "DOGE/USDT")


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_the_text_is_read_back_as_the_same_parameters(file: Path, tmp_path: Path) -> None:
    loaded = load_any_config(file)
    symbols = list(loaded.config.strategy.symbols)
    values = [
        *common_values(loaded),
        *(value for symbol in symbols for value in symbol_values(loaded, symbol)),
    ]
    shown = tmp_path / "shown.yaml"
    shown.write_text(values_text(values), encoding="utf-8")
    again = load_any_config(shown).config
    for symbol in symbols:
        before, after = loaded.config.strategy.for_symbol(symbol), again.strategy.for_symbol(symbol)
        assert after.model_dump() == before.model_dump()
    assert again.model_dump(exclude={"strategy"}) == loaded.config.model_dump(exclude={"strategy"})
    assert again.strategy.calibration == loaded.config.strategy.calibration


def test_the_text_has_a_source_behind_every_value(load: Load) -> None:
    loaded = load()
    values = [*common_values(loaded), *symbol_values(loaded, "XRP/BTC")]
    lines = values_text(values).splitlines()
    with_source = [line for line in lines if "  # " in line]
    assert len(with_source) == len(values)
    assert all(line.endswith(":") for line in lines if "  # " not in line)
    assert len({line.index("  # ") for line in with_source}) == 1


def test_values_are_plain_ones(load: Load) -> None:
    loaded = load()
    for value in [*common_values(loaded), *symbol_values(loaded, "XRP/BTC")]:
        assert as_yaml_values(value.value) == value.value
