import pickle
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_nautilus.checks.config_source import load_config, read_config, read_source
from mm_nautilus.config.run import RunConfig
from mm_nautilus.errors import ConfigError
from mm_nautilus.search.constraints import parse_constraint
from mm_nautilus.search.dimensions import Choices, Continuous
from mm_nautilus.search.space import Space, grid_space, load_space

CONFIG = """\
name: probe
catalog: data/catalog
venue:
  name: KRAKEN
  starting_balances: [1000 USDT, 500 XRP]
strategy:
  gamma: 0.2
  max_inventory: 200
  symbols:
    XRP/USDT:
      min_spread_pct: 0.05
      position_size: 25 XRP
    BTC/USDT:
      min_spread_pct: 0.04
      trailing_stop_activation: 0.1
      trailing_stop_distance: 0.05
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("space") / "config.yaml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


def space(config: Path, text: str) -> Space:
    path = config.with_name("space.yaml")
    path.write_text(text, encoding="utf-8")
    return load_space(path, read_source(config))


def refusals(config: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        space(config, text)
    prefix = f"{config.with_name('space.yaml')}"
    assert all(problem.startswith(prefix) for problem in error.value.problems)
    return [problem.removeprefix(prefix) for problem in error.value.problems]


def run_config(found: Space, point) -> RunConfig:
    return read_config(found.apply(point)).config


# -- What a space is ----------------------------------------------------------------------------------


@pytest.mark.parametrize("body", ["{low: 1, high: 4}", "[1, 2.5]", "{low: 1, high: 3, step: 1}"])
def test_a_parameter_of_ones_own_pricing_is_searched(config, body):
    own = config.with_name("own.yaml")
    pricing = "strategy:\n  pricing: lean:leaning\n  pricing_parameters: {width_bps: 2.0, seed: 7}\n"
    own.write_text(CONFIG.replace("strategy:\n", pricing), encoding="utf-8")
    own.with_name("lean.py").write_text("def leaning(market, position, params): ...\n", encoding="utf-8")
    found = space(own, f"strategy.pricing_parameters.width_bps: {body}\n")
    point = found.at([0.0])
    assert point == {"strategy.pricing_parameters.width_bps": 1}
    assert run_config(found, point).strategy.pricing_parameters == {"width_bps": 1, "seed": 7}


def test_constraints_compare_parameters_of_ones_own_pricing_and_amounts(config):
    found = space(
        config,
        "strategy.pricing_parameters.width_bps: [1, 2, 4]\n"
        "strategy.max_inventory: [50 XRP, 60 XRP]\n"
        "constraints:\n"
        "  - strategy.pricing_parameters.width_bps < 4\n"
        "  - max_inventory >= 60 XRP\n",
    )
    broken = [[it.broken(found.apply(point)) for it in found.constraints] for point in found.sample(6)]
    width = "strategy.pricing_parameters.width_bps < 4 must hold, was 4 < 4 for XRP/USDT"
    cap = "max_inventory >= 60 XRP must hold, was 50 >= 60 for XRP/USDT"
    assert broken == [[None, cap], [None, None]] * 2 + [[width, cap], [width, None]]


@pytest.mark.parametrize("option", ["nothing", "strategy.gamma="])
def test_an_option_without_values_has_one_message(config, option):
    with pytest.raises(ConfigError) as error:
        grid_space([option], read_source(config))
    example = "KEY.KEY=VALUE,VALUE such as strategy.gamma=0.1,0.3"
    assert error.value.problems == [f"--grid must be {example}, was {option!r}"]


def test_a_point_is_the_configuration_with_its_values(config):
    found = space(
        config,
        "strategy.gamma: {low: 0.02, high: 1, log: true}\n"
        "strategy.fair_price: [mid, weighted_mid]\n"
        "strategy.symbols.XRP/USDT.position_size: {low: 10 XRP, high: 30 XRP, step: 5 XRP}\n"
        "strategy.symbols.BTC/USDT.gamma: [0.5, 0.3]\n"
        "strategy.volatility_lookback: {low: 10, high: 12}\n",
    )
    assert found.size is None
    point = found.at([0.5, 0.9, 0.99, 0.0, 0.5])
    assert point == {
        "strategy.gamma": pytest.approx(0.02**0.5),
        "strategy.fair_price": "weighted_mid",
        "strategy.symbols.XRP/USDT.position_size": "30 XRP",
        "strategy.symbols.BTC/USDT.gamma": 0.3,
        "strategy.volatility_lookback": 11,
    }
    strategy = run_config(found, point).strategy
    xrp, btc = strategy.for_symbol("XRP/USDT"), strategy.for_symbol("BTC/USDT")
    assert (xrp.gamma, btc.gamma) == (point["strategy.gamma"], 0.3)
    assert str(xrp.position_size) == "30 XRP"
    assert (xrp.fair_price, xrp.volatility_lookback) == ("weighted_mid", 11)
    assert found.units(point) == [pytest.approx(0.5), 0.0, 1.0, 1.0, 0.0, 0.5]


def test_a_point_changes_nothing_else(config):
    source = read_source(config)
    before = load_config(config).config
    found = grid_space(["strategy.gamma=0.3,0.4"], source)
    changed = run_config(found, {"strategy.gamma": 0.3})
    assert changed == load_config(config, ["strategy.gamma=0.3"]).config
    assert changed.catalog == before.catalog
    assert read_config(source.values).config == before


def test_whole_numbers_are_told_from_others_whatever_they_go_with(config):
    found = space(
        config,
        "strategy.levels: {low: 1, high: 3}\n"
        "strategy.level_spacing_bps: {low: 1, high: 3}\n"
        "strategy.max_order_actions_per_second: {low: 5, high: 7}\n",
    )
    levels, spacing, actions = found.dimensions
    assert levels == Choices("strategy.levels", (1, 2, 3), is_ordered=True)
    assert spacing == Continuous("strategy.level_spacing_bps", 1.0, 3.0)
    assert actions == Choices("strategy.max_order_actions_per_second", (5, 6, 7), is_ordered=True)


def test_steps_are_exact_decimals(config):
    found = space(config, "strategy.cooldown_seconds: {low: 0.1, high: 0.75, step: 0.1}")
    (dimension,) = found.dimensions
    assert dimension == Choices(
        "strategy.cooldown_seconds", (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7), is_ordered=True
    )


@settings(max_examples=25)
@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 3), st.integers(1, 60))
def test_every_step_is_a_decimal_of_the_bounds_places(config, low, step, places, count):
    unit = Decimal(1).scaleb(-places)
    bounds = f"low: {low * unit}, high: {(low + step * count) * unit}, step: {step * unit}"
    (dimension,) = space(config, f"strategy.cooldown_seconds: {{{bounds}}}").dimensions
    assert [Decimal(repr(value)) for value in dimension.values] == [
        (low + step * number) * unit for number in range(count + 1)
    ]


@given(st.floats(0.0, 1.0), st.booleans())
def test_shares_and_values_are_each_others_inverse(share, log):
    dimension = Continuous("key", 0.02, 1.0, log)
    value = dimension.at(share)
    assert 0.02 <= value <= 1.0
    assert dimension.units(value) == [pytest.approx(share, abs=1e-9)]


def test_a_grid_is_every_point_that_can_be_run(config):
    found = grid_space(
        [
            "strategy.symbols.XRP/USDT.trailing_stop_activation=0.2,0.1",
            "strategy.symbols.XRP/USDT.trailing_stop_distance=0.05,0.15",
        ],
        read_source(config),
    )
    assert found.size == 4
    points = [tuple(point.values()) for point in found.sample(4) if not found.refusals(point)]
    assert points == [(0.1, 0.05), (0.2, 0.05), (0.2, 0.15)]
    assert space(config, "strategy.gamma: {low: 0.1, high: 0.5}").size is None


def test_a_space_is_the_same_in_every_process(config):
    found = space(config, "strategy.gamma: {low: 0.1, high: 0.5}\nconstraints: [gamma < 0.4]")
    copy = pickle.loads(pickle.dumps(found))  # noqa: S301
    point = {"strategy.gamma": 0.3}
    assert copy.apply(point) == found.apply(point)
    assert copy.refusals({"strategy.gamma": 0.45}) == found.refusals({"strategy.gamma": 0.45})


# -- Constraints --------------------------------------------------------------------------------------


def test_constraints_hold_for_every_symbol(config):
    found = space(
        config,
        "strategy.trailing_stop_activation: {low: 0.05, high: 0.3}\n"
        "strategy.symbols.XRP/USDT.trailing_stop_distance: {low: 0.01, high: 0.3}\n"
        "strategy.gamma: [0.1, 0.5]\n"
        "constraints:\n"
        "  - trailing_stop_distance < trailing_stop_activation\n"
        "  - strategy.symbols.BTC/USDT.gamma <= 0.3\n",
    )
    names = [dimension.key for dimension in found.dimensions]
    assert found.refusals(dict(zip(names, (0.2, 0.1, 0.1), strict=True))) == []
    assert found.refusals(dict(zip(names, (0.1, 0.2, 0.1), strict=True))) == [
        "trailing_stop_distance < trailing_stop_activation must hold, was 0.2 < 0.1 for XRP/USDT"
    ]
    assert found.refusals(dict(zip(names, (0.2, 0.1, 0.5), strict=True))) == [
        "strategy.symbols.BTC/USDT.gamma <= 0.3 must hold, was 0.5 <= 0.3 for XRP/USDT"
    ]


@pytest.mark.parametrize("sign", ["<", "<=", ">", ">=", "==", "!="])
@pytest.mark.parametrize("value", [0.1, 0.2, 0.3])
def test_every_comparison_compares(config, sign, value):
    values = {"strategy": {"gamma": value, "symbols": {"XRP/USDT": None}}}
    holds = {"<": value < 0.2, "<=": value <= 0.2, ">": value > 0.2, ">=": value >= 0.2, "==": value == 0.2}
    expected = holds.get(sign, value != 0.2)
    assert (parse_constraint(f"gamma{sign}0.2", ["XRP/USDT"]).broken(values) is None) == expected


def test_a_null_is_nothing_to_compare_and_defaults_and_amounts_are():
    values = {"strategy": {"symbols": {"XRP/USDT": {"position_size": "25 XRP", "max_inventory": "30 XRP"}}}}
    for text in ("max_position_seconds > 9", "position_size_usd > 1000", "position_size < max_inventory"):
        assert parse_constraint(text, ["XRP/USDT"]).broken(values) is None
    assert "was 0.1 < 0.1" in parse_constraint("gamma < 0.1", ["XRP/USDT"]).broken(values)
    with pytest.raises(ValueError, match="one currency or none, was XRP and a bare number"):
        parse_constraint("position_size < 3", ["XRP/USDT"]).broken(values)


# -- What is refused ----------------------------------------------------------------------------------


def test_all_problems_are_told_at_once_with_their_lines(config):
    assert refusals(
        config,
        "strategy.gama: {low: 0.1, high: 1}\n"
        "strategy.gamma: {low: 0.5, high: 0.1}\n"
        "strategy.cooldown_seconds: {low: 0, high: 10, log: true}\n"
        "strategy.fair_price: [mid, middle]\n"
        "strategy.stop_loss_pct:\n"
        "  low: 0.1\n"
        "  hihg: 1\n"
        "strategy.inventory_skew: {low: 0.5, high: 2}\n"
        "strategy.symbols.XRP/USD.gamma: {low: 0.1, high: 1}\n"
        "venue.latency.insert_ms: [1, 2]\n"
        "strategy.take_profit_pct: 3\n"
        "strategy.min_spread_pct: [0.01, 0.02]\n"
        "constraints: [gamma, gama < 1, 1 < 2, strategy.symbols.XRP.gamma < 1, a.b < 1]\n",
    ) == [
        ":1: strategy.gama: unknown key gama (did you mean gamma?), was {'high': 1, 'low': 0.1}",
        ":2: strategy.gamma.low: low must be below high (0.1), was 0.5",
        ":3: strategy.cooldown_seconds.low: low must be above 0 with log: true, was 0",
        ":4: strategy.fair_price: fair_price must be mid, weighted_mid or microprice, was 'middle'",
        ":7: strategy.stop_loss_pct.hihg: unknown key hihg (did you mean high?), was 1",
        ":8: strategy.inventory_skew: inventory_skew must be between 0 and 1.0, got 2",
        ":9: strategy.symbols.XRP/USD.gamma: a symbol with keys must be configured (XRP/USDT, BTC/USDT; did you mean "
        "XRP/USDT?), was XRP/USD with {'high': 1, 'low': 0.1}",
        ":10: venue.latency.insert_ms: a key of a search must be a parameter of the strategy, was venue",
        ":11: strategy.take_profit_pct: a key of a search must have a range such as {low: 0.1, high: 1} or a list of "
        "choices, was 3",
        ":12: strategy.min_spread_pct: min_spread_pct has no effect, since every symbol has its own (XRP/USDT, "
        "BTC/USDT)",
        ":13: constraints: a constraint must compare two keys, or a key and a number or an amount, such as "
        "trailing_stop_distance < trailing_stop_activation or max_inventory <= 60 XRP, was 'gamma'",
        ":13: constraints: gama < 1: unknown key gama (did you mean gamma?)",
        ":13: constraints: a constraint must have a key, was '1 < 2'",
        ":13: constraints: strategy.symbols.XRP.gamma < 1: a symbol must be configured (XRP/USDT, BTC/USDT), was XRP",
        ":13: constraints: a.b < 1: a key must be a parameter of the strategy or of a symbol, such as gamma, "
        "strategy.gamma or strategy.symbols.XRP/USDT.gamma, was a.b",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("strategy.gamma: []", ":1: strategy.gamma: a key of a search must have a range such as"),
        ("strategy.gamma: {low: 0.1}", ":1: strategy.gamma: high must be given, was missing"),
        (
            "strategy.max_inventory: [50 XRP, 90 XRP]\nconstraints:\n  - max_inventory > 60XR P",
            ":3: constraints: max_inventory > 60XR P: ",
        ),
        (
            "strategy.gamma: [0.1, 0.2]\nconstraints:\n  - strategy.pricing_parameters.width < 4",
            ":3: constraints: strategy.pricing_parameters.width < 4: a key of pricing_parameters must be given for "
            "XRP/USDT (there is none), was width",
        ),
        ("strategy.gamma: [0.1, 0.1]", ":1: strategy.gamma: choices must differ, was 0.1 twice"),
        (
            "strategy.gamma: {low: 0.1, high: 1, step: -1}",
            ":1: strategy.gamma.step: step must be above 0, was -1",
        ),
        (
            "strategy.gamma: {low: 0.1, high: 1, step: 0.00001}",
            ":1: strategy.gamma.step: step must make at most 10,000 steps from low to high, was 0.00001",
        ),
        (
            "strategy.gamma: {low: 0.1, high: 1, step: 0.1, log: true}",
            ":1: strategy.gamma.log: log must be false with a step, was true with step 0.1",
        ),
        (
            "strategy.max_inventory: {low: 100 XRP, high: 200 USDT, step: 1}",
            ":1: strategy.max_inventory: bounds and step must have one currency or none, was XRP, USDT, none",
        ),
        (
            "strategy.max_inventory: {low: 100 XRP, high: 200 XRP}",
            ":1: strategy.max_inventory: amounts must have a step, was 100 XRP to 200 XRP without one",
        ),
        (
            "strategy.volatility_lookback: {low: 10, high: 100, log: true}",
            ":1: strategy.volatility_lookback: log must be false for whole numbers (choices may",
        ),
        ("constraints: [gamma < 1]", ":1: a search space must have a key, was none"),
        (
            "strategy.gamma: [0.1]\nconstraints: gamma < 1",
            ":2: constraints must be a list such as [gamma <= 0.5], was 'gamma < 1'",
        ),
        (
            "strategy.gamma: {low: 0.1, high: 0.5}\nconstraints:\n  - gamma > 0.6",
            ":2: constraints must leave a point, left none of 1,002 tried, such as: gamma > 0.6 must hold",
        ),
        (
            "strategy.gamma: [0.1, 0.2]\nconstraints:\n  - gamma < quoting",
            ":3: constraints: gamma < quoting: quoting must be a number or an amount to be compared",
        ),
        (
            "strategy.gamma: [0.1, 0.2]\nstrategy.skew_bps_at_max_inventory: [4, 6]",
            ":2: strategy.skew_bps_at_max_inventory: skew_bps_at_max_inventory and gamma must not be given together",
        ),
    ],
)
def test_a_space_that_cannot_be_is_refused(config, text, problem):
    assert refusals(config, text)[0].startswith(problem)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "strategy.gamma: {low: 0.1, high: 1, step: 2}\nstrategy.fair_price: [mid]",
            ":1: a search space must have at least two points, was {'strategy.fair_price': 'mid', 'strategy.gamma':",
        ),
        (
            "strategy.volatility_lookback: {low: 2.5, high: 10}",
            ":1: strategy.volatility_lookback: volatility_lookback must be a whole number between",
        ),
        (
            "strategy.volatility_lookback: {low: 2, high: 10, step: 0.5}",
            ":1: strategy.volatility_lookback: volatility_lookback must be a whole number between",
        ),
        (
            "strategy.gamma: {lo: 0.1, high: 1}",
            ":1: strategy.gamma.lo: unknown key lo (did you mean low?), was 0.1",
        ),
        (
            "strategy:\n  gamma: {low: 0.1, high: 1}",
            ":1: strategy: a key of a search must be the dotted path of one parameter, such as strategy.gamma, was a "
            "section with {'gamma': {'high': 1, 'low': 0.1}}",
        ),
        (
            "strategy.symbols.ETH/USDT.gamma: {low: 0.1, high: 1}",
            ":1: strategy.symbols.ETH/USDT.gamma: a symbol with keys must be configured (XRP/USDT, BTC/USDT",
        ),
    ],
)
def test_one_mistake_is_told_once(config, text, problem):
    (found,) = refusals(config, text)
    assert found.startswith(problem)


def test_a_choice_that_lacks_a_calibration_is_refused(config, calibration_file, symbol_calibration):
    path = config.with_name("calibrated.yaml")
    calibration = calibration_file({"XRP/USDT": symbol_calibration()})
    path.write_text(CONFIG.replace("  gamma:", f"  calibration: {calibration}\n  gamma:"), encoding="utf-8")
    assert refusals(path, "strategy.fair_price: [mid, weighted_mid, microprice]") == [
        f":1: strategy.calibration: {calibration}: a symbol that takes figures from a calibration must be in it "
        "(XRP/USDT), was BTC/USDT"
    ]


def test_a_value_that_others_of_the_space_make_possible_is_none(config):
    found = space(
        config,
        "strategy.symbols.XRP/USDT.trailing_stop_activation: {low: 0.05, high: 0.3}\n"
        "strategy.symbols.XRP/USDT.trailing_stop_distance: {low: 0.02, high: 0.25}\n",
    )
    shares = np.random.default_rng(1).random((40, 2))
    accepted = [not found.refusals(found.at(row.tolist())) for row in shares]
    assert any(accepted)
    assert not all(accepted)


def test_options_of_a_grid_are_checked_alike(config):
    with pytest.raises(ConfigError) as error:
        grid_space(
            [
                "strategy.gamma=0.1,5",
                "strategy.gamma=1",
                "strategy.gama=1",
                "strategy.take_profit_pct=0.1,0.1,x",
                "nothing",
                "strategy.cooldown_seconds=[",
            ],
            read_source(config),
        )
    assert error.value.problems == [
        "--grid strategy.gamma: a key must be given once, was given again",
        "--grid must be KEY.KEY=VALUE,VALUE such as strategy.gamma=0.1,0.3, was 'nothing'",
        "--grid must be KEY.KEY=VALUE,VALUE such as strategy.gamma=0.1,0.3, was 'strategy.cooldown_seconds=['",
        "--grid strategy.gama: unknown key gama (did you mean gamma?), was [1]",
        "--grid strategy.take_profit_pct: choices must differ, was 0.1 twice",
        "--grid strategy.gamma: gamma must be between 0.01 and 1.0, got 5",
        "--grid strategy.take_profit_pct: take_profit_pct must be a finite number above 0 and at most 100, was 'x'",
    ]


def test_a_file_that_is_no_space_is_refused(config):
    with pytest.raises(ConfigError, match="the search space must be an existing file"):
        load_space(config.with_name("none.yaml"), read_source(config))
    assert refusals(config, "strategy.gamma: [0.1]\nstrategy.gamma: [0.2]")[0].startswith(
        ":2: key strategy.gamma must be given once"
    )
