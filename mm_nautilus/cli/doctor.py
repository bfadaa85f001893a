"""The `doctor` command."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from mm_nautilus.cli.console import print_json, print_line, progress_bar
from mm_nautilus.cli.options import AsJson, Overrides, RunFile
from mm_nautilus.system.plain_text import counted

if TYPE_CHECKING:
    from mm_nautilus.runs.health import Check

_SEVERAL: Final = {"ok": "ok"}
"""What several checks of a state are called, where that is no word with an s."""


def doctor_command(
    *,
    config: RunFile = Path("configs/backtest.yaml"),
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Check that this machine is ready for a run.

    Exits with 1 if it is not. Versions against the lock file, the configuration and its catalog, the clock, the folders
    a run writes and their disks; for a sandbox also its feed, its saved state, halts, recording and live page. No
    network is used.

    Example: mm-nautilus doctor configs/backtest.yaml
    """
    from mm_nautilus.checks.config_source import load_any_config  # noqa: PLC0415 (keeps --help fast)
    from mm_nautilus.runs.health import Check, CheckState, environment_checks, run_checks  # noqa: PLC0415

    loaded = load_any_config(config, overrides or ())
    warnings = loaded.all_warnings()
    state = CheckState.WARNING if warnings else CheckState.OK
    count = counted(len(warnings), "warning")
    risks = f", {count}: `mm-nautilus config check {config}` has all" if warnings else ""
    checks = [*environment_checks(), Check("configuration", state, f"{config} has no errors{risks}")]
    with progress_bar("checking the catalog") as on_progress:
        checks += run_checks(loaded.config, on_progress)
    is_well = not any(check.state is CheckState.PROBLEM for check in checks)
    if as_json:
        print_json({"ok": is_well, "checks": [asdict(check) for check in checks]})
    else:
        _print(checks)
    if not is_well:
        raise typer.Exit(1)


def _print(checks: "list[Check]") -> None:
    width = max(len(check.name) for check in checks)
    for check in checks:
        print_line(f"{check.state.value:<7}  {check.name:<{width}}  {check.text}")
    counts = Counter(check.state.value for check in checks)
    typer.echo(", ".join(counted(count, state, _SEVERAL.get(state)) for state, count in counts.items()))
