"""The configuration file to begin with."""

import re
from pathlib import Path

import pytest

from mm_nautilus.checks.config_source import load_config, load_sandbox_config
from mm_nautilus.config.run import RunConfig
from mm_nautilus.config.sandbox import (
    FeedConfig,
    PrometheusConfig,
    RecordingConfig,
    SandboxConfig,
    StateConfig,
    WebConfig,
)
from mm_nautilus.config.strategy import SymbolParams
from mm_nautilus.config.template import template_text

VALUES = {
    ("catalog",): "../catalog",
    ("venue", "name"): "KRAKEN",
    ("venue", "starting_balances"): ["1000 USDT", "500 XRP"],
    ("strategy", "min_edge_bps"): 1.0,
    ("strategy", "symbols", "XRP/USDT", "position_size"): "10 XRP",
    ("strategy", "symbols", "XRP/USDT", "max_inventory"): "50 XRP",
}


@pytest.fixture
def text() -> str:
    return template_text(RunConfig, VALUES, ["A file to begin with.", "And what to do with it."])


def load(folder: Path, text: str):
    file = folder / "begun.yaml"
    file.write_text(text, encoding="utf-8")
    return load_config(file).config


def test_what_is_given_is_in_force_and_the_rest_is_default(tmp_path: Path, text: str) -> None:
    config = load(tmp_path, text)
    params = config.strategy.for_symbol("XRP/USDT")
    assert str(params.position_size) == "10 XRP"
    assert params.min_edge_bps == 1.0
    assert params.gamma == SymbolParams.model_fields["gamma"].default
    assert config.catalog == (tmp_path.parent / "catalog").resolve()


def test_taking_the_marks_away_changes_nothing(tmp_path: Path, text: str) -> None:
    bare, count = re.subn(r"^( *)#(?=[a-z])", r"\1", text, flags=re.MULTILINE)
    assert count > 40
    before, after = load(tmp_path, text), load(tmp_path, bare)
    assert after.model_dump(exclude={"strategy"}) == before.model_dump(exclude={"strategy"})
    merged = [config.strategy.for_symbol("XRP/USDT").model_dump() for config in (before, after)]
    assert merged[0] == merged[1]


def test_every_key_is_there_once_with_its_meaning(text: str) -> None:
    flat = " ".join(line.strip().removeprefix("# ") for line in text.splitlines())
    for name, field in SymbolParams.model_fields.items():
        assert len(re.findall(rf"^  #?{name}:", text, re.MULTILINE)) == 1, name
        assert " ".join(field.description.split()) in flat
    assert re.search(r"^      position_size: 10 XRP$", text, re.MULTILINE)


def test_a_mapping_of_mappings_has_a_line_for_each(tmp_path: Path) -> None:
    fees = {"XRP/USDT": {"maker_fee_pct": 0.02, "taker_fee_pct": 0.05}}
    text = template_text(RunConfig, {**VALUES, ("venue", "symbol_fees"): fees}, ["Fees."])
    assert "\n  symbol_fees:\n    XRP/USDT: {maker_fee_pct: 0.02, taker_fee_pct: 0.05}\n" in text
    assert load(tmp_path, text).venue.symbol_fees["XRP/USDT"].taker_fee_pct == 0.05


def test_a_sandbox_has_its_own_sections_and_taking_their_marks_away_changes_nothing(tmp_path: Path) -> None:
    values = {
        ("feed", "source"): "live",
        **{key: value for key, value in VALUES.items() if key != ("catalog",)},
    }
    text = template_text(SandboxConfig, values, ["A sandbox."])
    bare, count = re.subn(r"^( *)#(?=[a-z])", r"\1", text, flags=re.MULTILINE)
    assert count > 50
    configs = []
    for name, content in (("marked", text), ("bare", bare)):
        file = tmp_path / f"{name}.yaml"
        file.write_text(content, encoding="utf-8")
        configs.append(load_sandbox_config(file).config)
    marked, without = configs
    assert without.model_dump(exclude={"strategy"}) == marked.model_dump(exclude={"strategy"})
    assert without.strategy.for_symbol("XRP/USDT") == marked.strategy.for_symbol("XRP/USDT")
    for model, key in (
        (FeedConfig, "feed"),
        (StateConfig, "state"),
        (RecordingConfig, "recording"),
        (WebConfig, "web"),
        (PrometheusConfig, "prometheus"),
    ):
        assert re.search(rf"^#?{key}:$", text, re.MULTILINE)
        for name in model.model_fields:
            assert re.search(rf"^  #?{name}:", text, re.MULTILINE), name


def test_limits_are_told_and_lines_stay_short(text: str) -> None:
    flat = " ".join(line.strip().removeprefix("# ") for line in text.splitlines())
    assert "[a finite number between 0.01 and 1.0]" in flat
    assert "For example {maker_fee_pct: 0.1, taker_fee_pct: 0.1}." in flat
    assert max(map(len, text.splitlines())) <= 100


def test_the_heading_is_a_comment_of_paragraphs(text: str) -> None:
    assert text.startswith("# A file to begin with.\n#\n# And what to do with it.\n\n")
