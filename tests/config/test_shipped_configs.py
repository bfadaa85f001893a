import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from mm_nautilus.checks.config_source import load_any_config, load_config
from mm_nautilus.config.reference import schema_text

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "configs").glob("*.yaml"))
SCHEMA_LINE = "# yaml-language-server: $schema=../mm_nautilus/schema/{}.schema.json"
SANDBOX = {"sandbox.yaml", "sandbox_local.yaml"}
WITHOUT_RISKS = {"binance.yaml", "calibrated.yaml", "conservative.yaml", "margin.yaml"}
BY_NAME = {path.name: path for path in SHIPPED}

shipped = pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)

_TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "number": (int, float),
    "integer": int,
    "boolean": bool,
    "null": type(None),
}


def violations(schema: dict[str, Any], value: Any, root: dict[str, Any], path: str = "") -> list[str]:
    """Check a value against the part of JSON Schema that the generated schema uses."""
    if "$ref" in schema:
        return violations(root["$defs"][schema["$ref"].rpartition("/")[2]], value, root, path)
    if "anyOf" in schema:
        found = [violations(option, value, root, path) for option in schema["anyOf"]]
        return [] if any(texts == [] for texts in found) else found[0]
    kind = schema["type"]
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return [f"{path}: {value!r} is no {kind}"]
    found = []
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{path}: {value!r} is none of {schema['enum']}")
    if "pattern" in schema and re.search(schema["pattern"], value) is None:
        found.append(f"{path}: {value!r} does not match {schema['pattern']}")
    for name, holds in (
        ("minimum", lambda limit: value >= limit),
        ("maximum", lambda limit: value <= limit),
        ("exclusiveMinimum", lambda limit: value > limit),
        ("minItems", lambda limit: len(value) >= limit),
        ("minProperties", lambda limit: len(value) >= limit),
    ):
        if name in schema and not holds(schema[name]):
            found.append(f"{path}: {value!r} breaks {name} {schema[name]}")
    if isinstance(value, list):
        return found + [
            text for item in value for text in violations(schema["items"], item, root, f"{path}[]")
        ]
    return found + (_key_violations(schema, value, root, path) if isinstance(value, dict) else [])


def _key_violations(
    schema: dict[str, Any], value: dict[str, Any], root: dict[str, Any], path: str
) -> list[str]:
    found = [f"{path}: {name} is missing" for name in schema.get("required", []) if name not in value]
    for name, item in value.items():
        options = [schema["properties"][name]] if name in schema.get("properties", {}) else []
        patterns = schema.get("patternProperties", {})
        options += [option for pattern, option in patterns.items() if re.search(pattern, name)]
        if not options:
            found.append(f"{path}: {name} is unknown")
        for option in options:
            found.extend(violations(option, item, root, f"{path}.{name}"))
    return found


def test_the_shipped_files_are_the_documented_ones():
    backtests = ["aggressive", "backtest", "binance", "calibrated", "conservative", "margin"]
    names = [*backtests, "sandbox", "sandbox_local", "v1_4", "v1_4_signal"]
    assert [path.stem for path in SHIPPED] == names
    assert [load_any_config(path).config.name for path in SHIPPED] == names


@shipped
def test_shipped_file_names_the_schema_for_editors(path):
    first_line = path.read_text(encoding="utf-8").splitlines()[0]
    assert first_line == SCHEMA_LINE.format("sandbox" if path.name in SANDBOX else "run")
    assert (path.parent / first_line.partition("=")[2]).resolve().is_file()


@shipped
def test_shipped_file_follows_the_schema(path):
    schema = json.loads(schema_text(sandbox=path.name in SANDBOX))
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert violations(schema, values, schema) == []


def test_the_schema_refuses_what_the_model_refuses():
    schema = json.loads(schema_text())
    values = yaml.safe_load(BY_NAME["backtest.yaml"].read_text(encoding="utf-8"))
    values["strategy"] |= {"gamma": 5, "colour": "red", "max_inventory": "-3 XRP", "quoting": "both"}
    del values["venue"]["name"]
    assert len(violations(schema, values, schema)) == 5


@shipped
def test_comments_tell_whether_there_are_risks(path):
    text = path.read_text(encoding="utf-8")
    has_risks = path.name not in WITHOUT_RISKS
    assert bool(load_any_config(path).all_warnings()) == has_risks
    assert ("Expect warnings" if has_risks else "# Check: no errors, no warnings.") in text


def test_v1_4_holds_the_parameters_of_v1_4():
    strategy = load_config(BY_NAME["v1_4.yaml"]).config.strategy
    names = ("min_spread_pct", "imbalance_threshold", "take_profit_pct", "stop_loss_pct", "cooldown_seconds")
    table = {
        "XRP/USDT": ((0.05, 0.1, 0.4, 0.5, 5), "20 USDT", "100 USDT"),
        "BTC/USDT": ((0.03, 0.08, 0.35, 0.35, 3), "50 USDT", "200 USDT"),
        "XRP/BTC": ((0.03, 0.15, 0.3, 0.4, 10), "25 XRP", "150 XRP"),
    }
    assert set(strategy.symbols) == set(table)
    for symbol, (values, size, cap) in table.items():
        params = strategy.for_symbol(symbol)
        assert tuple(getattr(params, name) for name in names) == values
        assert (str(params.size("USDT")), str(params.inventory_cap("USDT"))) == (size, cap)


def test_aggressive_switches_the_features_of_v1_4_on():
    for symbol in load_config(BY_NAME["aggressive.yaml"]).config.strategy.symbols:
        params = load_config(BY_NAME["aggressive.yaml"]).config.strategy.for_symbol(symbol)
        assert (params.use_reservation_price, params.gamma) == (True, 0.3)
        assert params.use_trailing_stop
        assert (params.trailing_stop_activation, params.trailing_stop_distance) == (0.15, 0.1)


def test_conservative_never_quotes_below_its_costs():
    config = load_config(BY_NAME["conservative.yaml"]).config
    assert config.venue.fees is not None
    assert config.venue.fees.maker_fee_pct > 0
    for symbol in config.strategy.symbols:
        edge = config.strategy.for_symbol(symbol).min_edge_bps
        assert edge is not None
        assert edge > 0
