import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mm_nautilus.cli.config import app
from mm_nautilus.config.reference import reference, schema_text
from mm_nautilus.errors import ConfigError, MarketMakingError

CONFIGS = Path(__file__).parents[2] / "configs"


def run(*arguments: str):
    return CliRunner().invoke(app, [str(word) for word in arguments])


def test_check_counts_the_risks_and_ends_with_0():
    result = run("check", CONFIGS / "v1_4.yaml")
    assert result.exit_code == 0
    assert "no errors, 6 warnings; quotes XRP/USDT, BTC/USDT, XRP/BTC at KRAKEN" in result.stdout
    assert result.stderr.count("Warning: ") == 6
    assert all(f"({CONFIGS / 'v1_4.yaml'}:" in line for line in result.stderr.splitlines())


def test_check_applies_overrides():
    result = run("check", CONFIGS / "margin.yaml", "--set", "strategy.symbols.BTC/USDT.take_profit_pct=0.1")
    assert result.exit_code == 0
    assert "Warning: BTC/USDT: Poor R:R ratio (0.10:1), requires 91% win rate (--set)" in result.stderr
    result = run("check", CONFIGS / "conservative.yaml", "--set", "strategy.take_profit_pct=0.1")
    assert f"no errors, {result.stderr.count('Warning: ')} warnings; " in result.stdout


def test_check_refuses_a_bad_configuration():
    result = run("check", CONFIGS / "v1_4.yaml", "--set", "strategy.gamma=5", "--set", "name=a/b")
    assert isinstance(result.exception, ConfigError)
    assert result.exception.exit_code == 2
    assert len(result.exception.problems) == 2


def test_schema_is_printed_and_written(tmp_path):
    assert run("schema").stdout == schema_text()
    target = tmp_path / "schema.json"
    assert run("schema", "--out", target).exit_code == 0
    assert json.loads(target.read_text(encoding="utf-8"))["title"] == "RunConfig"


def test_schema_of_a_sandbox_is_another_one():
    text = run("schema", "--sandbox").stdout
    assert text == schema_text(sandbox=True)
    assert json.loads(text)["title"] == "SandboxConfig"


def test_check_takes_either_kind():
    result = run("check", CONFIGS / "sandbox.yaml", "--set", "feed.source=local")
    assert result.exit_code == 0
    assert "no errors, 6 warnings; quotes XRP/USDT, BTC/USDT, XRP/BTC at KRAKEN" in result.stdout
    refused = run("check", CONFIGS / "sandbox.yaml", "--set", "feed.speed=0", "--set", "duration=2")
    assert isinstance(refused.exception, ConfigError)
    assert len(refused.exception.problems) == 2


def test_schema_that_cannot_be_written_is_one_message(tmp_path):
    result = run("schema", "--out", tmp_path / "absent" / "schema.json")
    with pytest.raises(
        MarketMakingError, match=r"--out must be a file that can be written, was .*No such file"
    ):
        raise result.exception


def test_reference_is_printed():
    assert run("reference").stdout == reference()
