"""What the documentation says is true: commands and code run, links resolve, tables match the code."""

import json
import math
import os
import re
import shlex
import tomllib
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import typer.main
import yaml
from processes import python

import mm_nautilus
from mm_nautilus.checks.config_source import load_config, load_sandbox_config
from mm_nautilus.checks.fees import locked_in_pct
from mm_nautilus.checks.instruments import check_run
from mm_nautilus.cli.app import app
from mm_nautilus.config.levels import level_count
from mm_nautilus.config.strategy import MarketMakerConfig
from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.catalog_files import DataKind
from mm_nautilus.pricing.exits import trailing_stop_price
from mm_nautilus.pricing.models import reservation_price
from mm_nautilus.pricing.not_quoting import HALTS, UNSAFE_BOOK, NotQuoting
from mm_nautilus.report.rows import SYMBOL_ROWS
from mm_nautilus.runs.backtest import run_backtest
from mm_nautilus.trading.position import PositionResults

ROOT = Path(__file__).resolve().parents[2]
README, CHANGELOG = ROOT / "README.md", ROOT / "CHANGELOG.md"
GUIDE, MATHS, LIMITS = (ROOT / "docs" / f"{name}.md" for name in ("user-guide", "maths", "limits"))
SANDBOX = ROOT / "docs" / "sandbox.md"
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("0*.md"))
PAGES = [README, CHANGELOG, *sorted((ROOT / "docs").rglob("*.md"))]
PICTURE = ROOT / "docs" / "images" / "backtest.svg"
CATALOG = ROOT / "catalog"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}
PROGRAMS = {
    ("mm-nautilus",): ["-m", "mm_nautilus.cli"],
    ("python", "run_backtest.py"): ["-m", "mm_nautilus.cli", "backtest"],
    ("python", "run_sandbox.py"): ["-m", "mm_nautilus.cli", "sandbox"],
}

GUARDS = UNSAFE_BOOK | HALTS | {NotQuoting.REFUSED_TOO_OFTEN}

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(
        rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def shell_lines(*pages: Path) -> list[str]:
    lines = (line for page in pages for block in blocks(page, "bash") for line in block.splitlines())
    return list(dict.fromkeys(line for line in lines if line.strip()))


def program_words(line: str) -> list[str] | None:
    """Return what a shell line hands to Python, None where it starts another program."""
    words = shlex.split(line, comments=True)
    for program, replacement in PROGRAMS.items():
        if tuple(words[: len(program)]) == program:
            return replacement + words[len(program) :]
    return None


def cli_words(line: str) -> list[str]:
    """Return the words after the command line's own name."""
    words = program_words(line)
    assert words is not None
    return words[2:]


PROGRAM_LINES = [
    line for line in shell_lines(README, GUIDE, LIMITS, SANDBOX) if program_words(line) is not None
]
SANDBOX_LINES = [line for line in PROGRAM_LINES if cli_words(line)[0] == "sandbox"]
BACKTEST_LINES = [line for line in PROGRAM_LINES if cli_words(line)[0] == "backtest"]
LINES_TO_RUN = [
    line
    for line in shell_lines(README, GUIDE)
    if line in BACKTEST_LINES and "configs/binance.yaml" not in line  # whose data is not shipped
]


def sample_span() -> tuple[datetime, datetime]:
    """Return the sample's first moment, and one a minute later."""
    bounds = CatalogReader(CATALOG).bounds("XRP/USDT.KRAKEN", DataKind.DELTAS)
    assert bounds is not None, "the sample catalog has no XRP/USDT"
    first = datetime.fromtimestamp(bounds[0] / 1e9, UTC)
    return first, first + timedelta(minutes=1)


# -- Commands -----------------------------------------------------------------------------------------------


def test_readme_starts_with_the_two_commands() -> None:
    assert blocks(README, "bash")[0].split("\n")[:2] == ["make backtest", "make test"]


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(
        re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    )
    named = {match for page in PAGES for match in re.findall(r"`make ([a-z-]+)`", prose(page))}
    named |= {line.split()[1] for line in shell_lines(README, GUIDE, LIMITS) if line.startswith("make ")}
    assert {"backtest", "test", "help"} <= named
    assert named <= targets


def test_every_shell_line_is_of_a_known_kind() -> None:
    others = {
        line
        for line in shell_lines(README, GUIDE, LIMITS)
        if program_words(line) is None and not line.startswith("make ")
    }
    assert others == {"source .venv/bin/activate"}


@pytest.mark.parametrize("line", PROGRAM_LINES)
def test_command_parses(line: str) -> None:
    command: Any = typer.main.get_command(app)
    words, context = cli_words(line), None
    while hasattr(command, "resolve_command"):
        context = command.make_context(command.name, list(words), parent=context, resilient_parsing=True)
        _, command, words = command.resolve_command(context, words)
    command.make_context(command.name, list(words), parent=context)


@pytest.mark.parametrize("line", BACKTEST_LINES)
def test_backtest_command_has_a_sound_configuration(line: str) -> None:
    words = cli_words(line)
    sets = [value for option, value in pairwise(words) if option == "--set"]
    load_config(ROOT / words[1], sets)


@pytest.mark.parametrize("line", SANDBOX_LINES)
def test_sandbox_command_has_a_sound_configuration(line: str) -> None:
    words = cli_words(line)
    sets = [value for option, value in pairwise(words) if option == "--set"]
    load_sandbox_config(ROOT / words[1], sets)


def test_every_file_that_a_command_reads_is_shipped() -> None:
    named = {word for line in PROGRAM_LINES for word in cli_words(line) if word.startswith("configs/")}
    assert named
    assert all((ROOT / word).is_file() for word in named)


@pytest.mark.parametrize("line", LINES_TO_RUN)
def test_backtest_command_runs(
    line: str, tmp_path: Path, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    words = cli_words(line)
    if "catalog=data/simulated" in words:
        simulate = next(known for known in PROGRAM_LINES if cli_words(known)[:2] == ["data", "simulate"])
        made = command(*_into(tmp_path, cli_words(simulate)), "--minutes", "1")
        assert made.returncode == 0, made.stderr
        words = _into(tmp_path, words)
    if not any(word.startswith("end=") for word in words):
        words = [*words, "--set", f"end={sample_span()[1].isoformat()}"]
    done = command(*words, "--set", "output.report=false", "--out", tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "runs").iterdir())) == 1


def _into(folder: Path, words: list[str]) -> list[str]:
    return [word.replace("data/simulated", str(folder / "simulated")) for word in words]


# -- Code ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save the guide's programs under the names they are to be saved as."""
    folder = tmp_path_factory.mktemp("programs")
    for block in blocks(GUIDE, "python"):
        (folder / block.splitlines()[0].removeprefix("# ")).write_text(block, encoding="utf-8")
    return folder


def test_guide_has_these_programs(programs: Path) -> None:
    names = {"my_node.py", "watch_metrics.py", "my_notebook.py", "my_module.py", "my_maker.py"}
    assert {path.name for path in programs.glob("*.py")} == names


def test_the_notebook_of_the_guide_runs_with_its_function_and_its_class(programs: Path) -> None:
    (lines,) = [block for block in blocks(GUIDE, "text") if "pricing: my_module:my_model" in block]
    values = yaml.safe_load((ROOT / "configs" / "backtest.yaml").read_text(encoding="utf-8"))
    values |= {"catalog": str(CATALOG), "end": "2025-12-13T12:03:00Z"}
    values["strategy"] |= yaml.safe_load(lines)["strategy"] | {"class": "my_maker:MyMaker"}
    (programs / "configs").mkdir()
    (programs / "configs" / "backtest.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    check = (
        "assert len(xrp) > 10 and len(result.fills) > 0\n"
        "models = {symbol['quote_model']['model'] for symbol in result.summary['symbols'].values()}\n"
        "assert models == {'my_module:my_model'}\n"
        "assert 'MyMaker-001: position of ' in (result.folder / 'run.log').read_text()\n"
    )
    program = (programs / "my_notebook.py").read_text(encoding="utf-8") + check
    for name in ("my_module.py", "my_maker.py"):  # beside the configuration
        (programs / name).rename(programs / "configs" / name)
    done = python("-c", program, cwd=programs)
    assert done.returncode == 0, done.stderr


def test_strategy_and_metrics_run_in_a_node_of_ones_own(programs: Path) -> None:
    done = python(str(programs / "my_node.py"))
    assert done.returncode == 0, done.stderr
    fills = re.search(r"^(\d+) fills$", done.stdout, re.MULTILINE)
    assert fills is not None, done.stdout
    assert int(fills[1]) > 0
    assert "USDT" in done.stdout


@pytest.mark.long
def test_subclass_stops_and_an_actor_receives_metrics(programs: Path) -> None:
    done = python(str(programs / "watch_metrics.py"))
    assert done.returncode == 0, done.stderr
    assert "'XRP/USDT'" in done.stdout
    assert "'0 XRP'" in done.stdout or "'0.000000 XRP'" in done.stdout
    assert "'stopping'" in done.stdout


def test_code_of_the_readme_runs() -> None:
    (block,) = blocks(README, "python")
    check = "\nassert strategy.strategy_path == 'mm_nautilus:MarketMaker' and metrics.config"
    done = python("-c", block + check)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "name", ["MarketMaker", "MarketMakerConfig", "MetricsActor", "MetricsActorConfig", "SymbolMetrics"]
)
def test_importable_paths_of_the_readme_exist(name: str) -> None:
    assert name in README.read_text(encoding="utf-8")
    assert isinstance(getattr(mm_nautilus, name), type)


def test_complete_configuration_of_the_guide_loads_and_fits_the_sample(tmp_path: Path) -> None:
    complete, levels = blocks(GUIDE, "yaml")
    file = tmp_path / "my_run.yaml"
    file.write_text(complete, encoding="utf-8")
    overrides = [
        f"strategy.{key}={value}"
        for key, value in yaml.safe_load(levels)["strategy"].items()
        if key != "symbols"
    ]
    config = load_config(file, [f"catalog={CATALOG}", *overrides]).config
    specs = {spec.symbol: spec for spec in CatalogReader(CATALOG).instruments()}
    assert level_count(config.strategy.levels) == 3
    assert [problem.text() for problem in check_run(config, specs) if not problem.is_warning] == []


# -- Links, paths and the picture ---------------------------------------------------------------------------


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _links(page: Path) -> Iterator[str]:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if not target.startswith(("http://", "https://")):
            yield target


@every_page
def test_relative_links_resolve(page: Path) -> None:
    for target in _links(page):
        name, _, anchor = target.partition("#")
        other = (page.parent / name).resolve() if name else page
        assert other.exists(), target
        if anchor:
            assert anchor in _anchors(other), target


@every_page
def test_no_path_of_a_machine_is_named(page: Path) -> None:
    found = re.findall(
        r"(?<![\w.:/~])/(?:home|root|work|tmp|Users|mnt|usr|var|opt|private)/\S*",
        page.read_text(encoding="utf-8"),
    )
    assert found == []


def test_picture_says_that_its_data_is_simulated_and_loads_nothing() -> None:
    text = PICTURE.read_text(encoding="utf-8")
    assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 - our own file
    assert text.count("SIMULATED") >= 2
    assert re.findall(r"https?://[^\"']+", text) == ["http://www.w3.org/2000/svg"]
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", text))
    assert "@font-face" not in text
    assert "@import" not in text
    assert "images/backtest.svg" in GUIDE.read_text(encoding="utf-8")


# -- What the pages say of the code -------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [reason for reason in NotQuoting if reason not in GUARDS])
def test_guide_explains_every_reason_that_is_no_guards(reason: NotQuoting) -> None:
    assert f"\n| `{reason.value}` | " in GUIDE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parent = tmp_path_factory.mktemp("runs")
    _, end = sample_span()
    sets = [f"end={end.isoformat()}", f"output.directory={parent}"]
    return run_backtest(load_config(ROOT / "configs" / "backtest.yaml", sets).config).folder


GUARD_KEYS = (
    "stale_after_seconds",
    "stale_tape_after_seconds",
    "resume_after_seconds",
    "retry_after_seconds",
    "max_drawdown_pct",
    "flatten_on_halt",
    "max_consecutive_losses",
    "max_refused_orders",
    "refused_orders_window_seconds",
    "refused_orders_pause_seconds",
    "max_refused_orders_pauses",
    "max_trade_age_seconds",
    "max_order_actions_per_second",
    "max_account_drawdown_pct",
    "max_clock_step_seconds",
    "kill_switch_flatten",
)


@pytest.mark.parametrize("key", GUARD_KEYS)
def test_guards_page_has_every_guards_default(key: str) -> None:
    default = MarketMakerConfig.model_fields[key].default
    shown = f"{default:g}" if isinstance(default, float) else yaml.safe_dump(default).split()[0]
    assert f"`{key}: {shown}`" in GUIDE.with_name("guards.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("reason", sorted(GUARDS))
def test_guards_page_explains_every_guard(reason: NotQuoting) -> None:
    assert f"`{reason.value}`" in GUIDE.with_name("guards.md").read_text(encoding="utf-8")


def test_guide_names_every_file_of_a_run(run_folder: Path) -> None:
    for path in run_folder.iterdir():
        assert f"\n| `{path.name}` | " in GUIDE.read_text(encoding="utf-8")


def test_guide_names_every_column(run_folder: Path) -> None:
    text = GUIDE.read_text(encoding="utf-8")
    for path in run_folder.glob("*.parquet"):
        *_, row = re.findall(rf"^\| `{path.stem}` \| (.+) \|$", text, re.MULTILINE)
        missing = [name for name in pq.read_schema(path).names if f"`{name}`" not in row]
        assert missing == [], path.name


def test_guide_names_every_key_of_the_summary(run_folder: Path) -> None:
    (section,) = re.findall(
        r"^### summary\.json$(.*?)^### ", GUIDE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    summary = json.loads((run_folder / "summary.json").read_text())
    keys = set(summary) | set(summary["equity"]) | set(summary["period"])
    assert {key for key in keys if f"`{key}`" not in section} == set()


def test_guide_names_every_row_of_the_table() -> None:
    (section,) = re.findall(
        r"^## Reading the table$(.*?)^## ", GUIDE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    rows = {
        name for cells in re.findall(r"^\| (.+?) \| ", section, re.MULTILINE) for name in cells.split(", ")
    }
    rows |= set(re.findall(r"^\| (.+?) \| ", section, re.MULTILINE)) | {"amended", "cancelled"}
    assert {row.name for row in SYMBOL_ROWS} <= rows


def test_changelog_has_the_version_of_the_package() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    first = re.search(
        r"^## \[(.+?)\] - (\d{4}-\d{2}-\d{2})$", CHANGELOG.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert first is not None
    assert first.groups() == (version, "2026-11-22")


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_decision_is_dated_and_listed(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# {int(page.stem[:4])}. ")
    assert re.search(r"^\d{4}-\d{2}-\d{2} · (accepted|replaced by .+)$", text, re.MULTILINE)
    assert f"({page.name})" in (page.parent / "README.md").read_text(encoding="utf-8")


def test_every_dependency_has_a_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    names = {re.split(r"[<>=!~\[]", text)[0] for text in wanted}
    page = next(path for path in DECISIONS if path.stem.endswith("dependencies"))
    rows = re.findall(r"^\| (`.+?) \| ", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`([^`]+)`", row)} == names


def test_limits_page_has_a_measured_table_of_the_switches() -> None:
    text = LIMITS.read_text(encoding="utf-8")
    (table,) = re.findall(r"<!-- switches: begin -->\n(.*?)\n<!-- switches: end -->", text, re.DOTALL)
    rows = {
        cells[0]: cells[1:] for cells in (line.strip("| ").split(" | ") for line in table.splitlines()[2:])
    }
    assert {"as shipped", "queue position off", "liquidity consumption off", "both off"} <= set(rows)
    for total, *fills, _ in rows.values():
        assert int(total) == sum(map(int, fills)) > 0
    assert int(rows["both off"][0]) > int(rows["as shipped"][0])


# -- Mathematics --------------------------------------------------------------------------------------------


def _shift_bps(volatility_pct: float, gamma: float) -> float:
    return (1.0 - reservation_price(1.0, 1.0, 1.0, gamma, volatility_pct)) * 10_000


def test_table_of_reservation_shifts_is_computed() -> None:
    gammas, volatilities = (0.1, 0.3, 1.0), (0.03, 0.06, 0.12, 0.25, 0.5)
    heads = "".join(f" gamma {gamma:g}, bps |" for gamma in gammas)
    rows = [
        f"| {volatility:.2f} |" + "".join(f" {_shift_bps(volatility, gamma):.3f} |" for gamma in gammas)
        for volatility in volatilities
    ]
    table = "\n".join([f"| one-minute volatility, % |{heads}", "|---|---|---|---|", *rows])
    assert f"<!-- shift: begin -->\n{table}\n<!-- shift: end -->" in MATHS.read_text(encoding="utf-8")


def _log_utility(cash: float, units: float, price: float, aversion: float, variance: float) -> float:
    """Return ln(-u) of an agent who holds `units` of the asset until the end."""
    return -aversion * (cash + units * price) + aversion**2 * units**2 * variance / 2


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (low, middle) if function(low) * function(middle) <= 0 else (middle, high)
    return (low + high) / 2


@pytest.mark.parametrize("units", [-40.0, 0.0, 7.0, 30.0])
@pytest.mark.parametrize("more", [0.5, 1.0, 10.0])
def test_derivation_of_the_reservation_price_holds_in_numbers(units: float, more: float) -> None:
    mid, sigma, candles, cap, gamma = 2.35, 0.0025, 100, 42.5, 0.9
    aversion, variance = gamma / (cap * mid), (mid * sigma) ** 2 * candles
    before = _log_utility(0.0, units, mid, aversion, variance)
    bid = _root(lambda r: _log_utility(-more * r, units + more, mid, aversion, variance) - before, 1.0, 4.0)
    ask = _root(lambda r: _log_utility(more * r, units - more, mid, aversion, variance) - before, 1.0, 4.0)
    assert math.isclose(bid, mid - aversion * (2 * units + more) * variance / 2, rel_tol=1e-10)
    assert math.isclose(ask, mid - aversion * (2 * units - more) * variance / 2, rel_tol=1e-10)
    expected = reservation_price(mid, units, cap, gamma, 100 * sigma)
    assert math.isclose((bid + ask) / 2, expected, rel_tol=1e-10)
    assert units == 0 or abs(expected - mid) > 1e-5


def test_examples_of_the_maths_page_are_right() -> None:
    assert reservation_price(100, 0.5, 1, 0.1, 0.5) == pytest.approx(99.9875, abs=1e-12)
    assert trailing_stop_price(2.35, 2.365, "long", 0.2, 0.15) == pytest.approx(2.3614525, abs=1e-12)
    assert round(locked_in_pct(0.2, 0.15), 4) == 0.0497
    slack = 100 * (2.35 - 0.00002474 * 95_000)
    assert slack == pytest.approx(-0.03, abs=1e-9)


def test_table_of_trade_results_is_computed() -> None:
    """Replay the page's four executions: an average price, fees at once, results with carried fees."""
    results = PositionResults(8)
    position = cost = realized = Decimal(0)
    text = MATHS.read_text(encoding="utf-8")
    for signed, price, fee in (
        (10, "2.00", "0.020"),
        (10, "2.10", "0.021"),
        (-5, "2.20", "0.011"),
        (-15, "2.00", "0.030"),
    ):
        quantity, at = Decimal(signed), Decimal(price)
        change = -Decimal(fee)
        if quantity > 0:
            cost += quantity * at
        else:
            average = cost / position
            change += -quantity * (at - average)
            cost += quantity * average
        position += quantity
        realized += change
        fees_before = results.open_fees
        result = results.on_position(position, realized)
        side = "buy" if signed > 0 else "sell"
        charged = "" if result is None else f" {fees_before - results.open_fees:.5f} "
        shown = "" if result is None else f" {result:+.5f} "
        row = f"| {side} {abs(signed)} at {price} | {fee} | {change:+.3f} |{charged or ' '}|{shown or ' '}|"
        assert row in text
    assert results.open_fees == 0
