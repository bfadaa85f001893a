import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mm_nautilus.checks.config_source import load_config
from mm_nautilus.cli.options import moment_value
from mm_nautilus.config.amount import Amount
from mm_nautilus.config.fields import Moment
from mm_nautilus.config.reference import reference, schema_text
from mm_nautilus.config.run import RunConfig
from mm_nautilus.config.sandbox import SandboxConfig
from mm_nautilus.config.strategy import MarketMakerConfig, SymbolOverrides, SymbolParams, merge_symbol

ROOT = Path(__file__).parents[2]

# -- Moments ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-12-13", datetime(2025, 12, 13, tzinfo=UTC)),
        ("2025-12-13T12:30", datetime(2025, 12, 13, 12, 30, tzinfo=UTC)),
        ("2025-12-13 12:30:05Z", datetime(2025, 12, 13, 12, 30, 5, tzinfo=UTC)),
        ("2025-12-13T12:30:00+01:00", datetime(2025, 12, 13, 11, 30, tzinfo=UTC)),
    ],
)
def test_a_moment_without_an_offset_is_in_utc(text, expected):
    """By ``--set``, by ``--start``, and whatever the machine's time zone is."""
    given = [f"start={text}", "end=2025-12-14"]
    config = load_config(ROOT / "configs" / "backtest.yaml", given).config
    assert (config.start, config.end) == (expected, datetime(2025, 12, 14, tzinfo=UTC))
    assert moment_value("--start", text) == expected


def test_a_datetime_without_an_offset_is_refused():
    with pytest.raises(ValidationError, match="a datetime needs its offset"):
        TypeAdapter(Moment).validate_python(datetime(2025, 12, 13))  # noqa: DTZ001 - the point


# -- Amounts ------------------------------------------------------------------------------------------


def test_amount_is_read_and_written_exactly():
    amount = Amount.parse("25.10 XRP")
    assert amount == Amount(Decimal("25.10"), "XRP")
    assert str(amount) == "25.10 XRP"


@given(st.decimals(min_value=-(10**12), max_value=10**12, places=8))
def test_written_amounts_are_read_back(value):
    amount = Amount(value, "BTC")
    assert Amount.parse(str(amount)) == amount


@pytest.mark.parametrize(
    "text",
    [
        *("25", "XRP", "25XRP", "25 xrp", "1e3 XRP", "1_000 XRP", "nan XRP", "inf XRP", "", "٢٥ XRP"),
        *("1,5 XRP", "25 XRP XRP", f"{'9' * 21} XRP", "25 ABCDEFGHIJK", ". XRP"),
    ],
)
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(ValueError, match="must be a number and a currency") as error:
        Amount.parse(text)
    assert repr(text) in str(error.value)


def test_amounts_of_one_currency_add_up():
    assert Amount.parse("2 XRP") + Amount.parse("0.5 XRP") == Amount.parse("2.5 XRP")
    assert Amount.parse("2 XRP") - Amount.parse("0.5 XRP") == Amount.parse("1.5 XRP")
    assert -Amount.parse("2 XRP") == Amount.parse("-2 XRP")


@pytest.mark.parametrize("operation", ["__add__", "__sub__"])
def test_amounts_of_two_currencies_refuse_to_be_added(operation):
    with pytest.raises(ValueError, match="one currency are needed, was XRP and BTC"):
        getattr(Amount.parse("2 XRP"), operation)(Amount.parse("1 BTC"))


@pytest.mark.parametrize("code", ["usdt", "", "US T", "ABCDEFGHIJK"])
def test_currency_codes_are_checked(code):
    with pytest.raises(ValueError, match="currency code must be"):
        Amount(Decimal(1), code)


def test_amounts_are_finite():
    with pytest.raises(ValueError, match="finite"):
        Amount(Decimal("nan"), "XRP")


@pytest.mark.parametrize(
    ("number", "text"), [(20.0, "20 USDT"), (20, "20 USDT"), (0.1, "0.1 USDT"), (1e-7, "0.0000001 USDT")]
)
def test_amount_of_a_number_has_its_digits(number, text):
    assert str(Amount.of(number, "USDT")) == text


# -- Sizes and merging --------------------------------------------------------------------------------


def configured(symbols: dict[str, Any], **changes: Any) -> MarketMakerConfig:
    return MarketMakerConfig.model_validate({"symbols": symbols, **changes})


def test_defaults_are_those_of_v1_4():
    params = configured({"XRP/USDT": {}}).for_symbol("XRP/USDT")
    assert (params.position_size_usd, params.max_inventory, params.inventory_skew) == (20, 100, 0.5)
    assert (params.take_profit_pct, params.stop_loss_pct, params.cooldown_seconds) == (0.4, 0.5, 5)
    assert (params.gamma, params.use_reservation_price, params.use_trailing_stop) == (0.1, False, False)
    assert (params.trailing_stop_activation, params.trailing_stop_distance) == (0.2, 0.15)


def test_parameters_of_a_symbol_come_before_those_of_all():
    config = configured({"XRP/USDT": {"gamma": 0.3}, "BTC/USDT": {}}, gamma=0.2, stop_loss_pct=0.7)
    assert config.for_symbol("XRP/USDT").gamma == 0.3
    assert config.for_symbol("BTC/USDT").gamma == 0.2
    assert config.for_symbol("XRP/USDT").stop_loss_pct == 0.7


def test_the_more_specific_size_replaces_the_other():
    caps = {"max_inventory": "150 XRP"}
    config = configured(
        {"A": {"position_size": "25 XRP", **caps}, "B": {"position_size_usd": 30}, "C": {}},
        position_size_usd=20,
    )
    assert [str(config.for_symbol(name).size("USDT")) for name in "ABC"] == ["25 XRP", "30 USDT", "20 USDT"]
    assert str(config.for_symbol("A").inventory_cap("USDT")) == "150 XRP"
    assert str(config.for_symbol("B").inventory_cap("EUR")) == "100 EUR"


def test_an_amount_for_all_replaces_the_default_size():
    config = configured({"A": {}, "B": {"position_size_usd": 30}}, position_size="25 XRP")
    assert [str(config.for_symbol(name).size("USDT")) for name in "AB"] == ["25 XRP", "30 USDT"]
    assert config.position_size_usd is None


def test_merge_keeps_a_null_that_takes_a_limit_away():
    assert merge_symbol({"max_drawdown_pct": 5}, {"max_drawdown_pct": None}) == {"max_drawdown_pct": None}
    config = configured({"A": {"max_drawdown_pct": None}}, max_drawdown_pct=5)
    assert config.for_symbol("A").max_drawdown_pct is None


def test_merge_of_plain_values_leaves_the_default_size_out():
    expected = {"position_size": "25 XRP", "position_size_usd": None}
    assert merge_symbol({"position_size": "25 XRP"}, {}) == expected


def test_unconfigured_symbol_is_a_key_error():
    with pytest.raises(KeyError):
        configured({"A": {}}).for_symbol("B")


def test_a_model_without_any_size_is_refused():
    with pytest.raises(ValidationError, match="Missing required config: position_size_usd"):
        SymbolParams.model_validate({"position_size_usd": None})
    with pytest.raises(ValueError, match="was neither"):
        SymbolParams.model_construct(position_size_usd=None).size("USDT")


def test_bare_amounts_are_in_the_report_currency():
    changes = {"position_size_usd": 20, "max_inventory": "10 USDT"}
    with pytest.raises(ValidationError, match="must be at least one quote"):
        configured({"A": {}}, **changes)
    assert (
        configured({"A": {}}, report_currency="EUR", **changes).for_symbol("A").size("EUR").currency == "EUR"
    )


def test_models_are_frozen():
    with pytest.raises(ValidationError):
        configured({"A": {}}).gamma = 0.5


def test_dumped_overrides_hold_what_was_given():
    dumped = configured({"A": {"gamma": 0.3, "max_drawdown_pct": None}}).model_dump()
    assert dumped["symbols"] == {"A": {"gamma": 0.3, "max_drawdown_pct": None}}


# -- Reservation model, target and calibration --------------------------------------------------------


def test_new_parameters_change_nothing_unless_given():
    params = configured({"A": {}}).for_symbol("A")
    assert (params.reservation_model, params.fair_price) == ("simplified", "mid")
    assert (params.inventory_target, params.skew_bps_at_max_inventory) == (0, None)
    assert (params.horizon_seconds, params.recalibrate_minutes) == (30, None)
    assert params.recalibrate_window_minutes == 60
    assert not params.is_calibrated


def test_the_more_specific_of_gamma_and_skew_replaces_the_other():
    config = configured(
        {"A": {"gamma": 0.3}, "B": {"skew_bps_at_max_inventory": 5}, "C": {}, "D": {"gamma": 0.3}},
        skew_bps_at_max_inventory=2,
    )
    assert [config.for_symbol(name).skew_bps_at_max_inventory for name in "ABCD"] == [None, 5, 2, None]
    assert config.for_symbol("A").gamma == 0.3
    other = configured({"A": {"skew_bps_at_max_inventory": 5}, "B": {}}, gamma=0.3)
    assert [other.for_symbol(name).skew_bps_at_max_inventory for name in "AB"] == [5, None]
    assert (
        configured({"A": {"skew_bps_at_max_inventory": None}}, skew_bps_at_max_inventory=2)
        .for_symbol("A")
        .skew_bps_at_max_inventory
        is None
    )


@pytest.mark.parametrize("levels", [(True, False), (False, True)])
def test_gamma_and_skew_on_one_level_are_refused_also_at_their_defaults(levels):
    both = {"gamma": 0.1, "skew_bps_at_max_inventory": 2.0}
    words = "skew_bps_at_max_inventory and gamma must not be given together, was 2.0 and 0.1"
    with pytest.raises(ValidationError, match=words):
        configured({"A": both if levels[1] else {}}, **(both if levels[0] else {}))
    with pytest.raises(ValidationError, match=words):
        SymbolParams.model_validate(both)


def test_a_null_gamma_beside_a_skew_is_none_at_all():
    config = configured(
        {"A": {"gamma": None, "skew_bps_at_max_inventory": 3}}, gamma=None, skew_bps_at_max_inventory=2
    )
    assert config.for_symbol("A").skew_bps_at_max_inventory == 3
    with pytest.raises(ValidationError):
        configured({"A": {}}, gamma=None)


def test_a_default_gamma_is_not_written_where_a_skew_replaces_it():
    assert "gamma" not in configured({"A": {}}, skew_bps_at_max_inventory=2).model_dump()
    assert configured({"A": {}}).model_dump()["gamma"] == 0.1
    assert "gamma" not in SymbolParams(skew_bps_at_max_inventory=2).model_dump()


@pytest.mark.parametrize(
    ("given", "text"), [(0, "0 USDT"), (-50, "-50 USDT"), ("-50 XRP", "-50 XRP"), ("0.5 BTC", "0.5 BTC")]
)
def test_targets_are_signed_and_carry_a_currency(given, text):
    params = configured({"A": {"inventory_target": given}}).for_symbol("A")
    assert str(params.target("USDT")) == text
    dumped = configured({"A": {}}, inventory_target=given).model_dump()["inventory_target"]
    assert dumped == given


def test_a_target_may_be_a_share_of_the_account():
    for text in ("50 %", "50%", "50.0 %"):
        config = configured({"A": {}}, inventory_target=text)
        assert config.for_symbol("A").target_share == 0.5
        assert config.model_dump()["inventory_target"] == "50 %"
    assert configured({"A": {}}).for_symbol("A").target_share is None


def test_a_target_beyond_the_cap_is_refused_where_the_currency_is_the_same():
    for target in (101, -101, "-150.5 XRP"):
        changes = {"max_inventory": "150 XRP"} if isinstance(target, str) else {}
        with pytest.raises(ValidationError, match="inventory_target must be at most max_inventory"):
            configured({"A": {"inventory_target": target}}, **changes)
    configured({"A": {"inventory_target": "-150 XRP"}}, max_inventory="150 XRP")
    configured({"A": {"inventory_target": "9999 XRP"}})


def test_calibrated_models_need_a_source_of_figures():
    model = {"use_reservation_price": True, "reservation_model": "glft"}
    with pytest.raises(ValidationError, match="calibration or recalibrate_minutes must be given"):
        configured({"A": {}}, **model)
    for source in ({"calibration": "c.yaml"}, {"recalibrate_minutes": 5}):
        assert configured({"A": {}}, **model, **source).for_symbol("A").is_calibrated
    assert not configured({"A": {}}, reservation_model="glft").for_symbol("A").is_calibrated
    with pytest.raises(ValidationError, match="calibration must be given with fair_price: microprice"):
        configured({"A": {"fair_price": "microprice"}}, recalibrate_minutes=5)


# -- The schema and the reference ---------------------------------------------------------------------


@pytest.mark.parametrize(("name", "sandbox"), [("run", False), ("sandbox", True)])
def test_checked_in_schema_is_the_models(name, sandbox):
    path = ROOT / "mm_nautilus" / "schema" / f"{name}.schema.json"
    assert path.read_text(encoding="utf-8") == schema_text(sandbox=sandbox), "write it with `make schema`"


def test_overrides_in_the_schema_have_no_defaults():
    overrides = json.loads(schema_text())["$defs"]["SymbolOverrides"]["properties"]
    assert set(overrides) == set(SymbolParams.model_fields)
    assert not any("default" in described for described in overrides.values())
    assert set(SymbolOverrides.model_fields) == set(SymbolParams.model_fields)


@pytest.mark.parametrize("sandbox", [False, True])
def test_every_key_is_described_in_the_schema(sandbox):
    schema = json.loads(schema_text(sandbox=sandbox))
    for section in [schema, *schema["$defs"].values()]:
        mapping = section if "properties" in section else section["anyOf"][0]  # or a list in its place
        for name, described in mapping["properties"].items():
            target = described.get("$ref", "").rpartition("/")[2]
            assert described.get("description") or schema["$defs"][target]["description"], name


def test_checked_in_reference_is_the_models():
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    begin, end = "<!-- reference: begin -->\n", "<!-- reference: end -->"
    assert text.count(begin) == text.count(end) == 1
    between = text[text.index(begin) + len(begin) : text.index(end)]
    assert between.strip() == reference().strip(), "paste what `mm-nautilus config reference` prints"


def test_reference_names_every_key():
    text = reference()
    for name in [*RunConfig.model_fields, *SandboxConfig.model_fields]:
        assert f"| `{name}` |" in text
    for section in ("feed", "state", "recording"):
        for name in SandboxConfig.model_fields[section].annotation.model_fields:
            assert f"| `{section}.{name}` |" in text
    for name in MarketMakerConfig.model_fields:
        assert text.count(f"| `strategy.{name}` |") == 1
    assert "| `strategy.gamma` | `0.1` | a finite number between 0.01 and 1.0 |" in text
