"""The owner of a run that fails is told its first line."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from sandbox_runs import LONGEST_WAIT, Left, configuration
from webhooks import SECRET, Webhook
from whole_runs import ROOT

from mm_nautilus.config.notifications import NotifyConfig
from mm_nautilus.metrics.actor import MetricsActor
from mm_nautilus.notifications.notifier import NotifiedRun, Notifier
from mm_nautilus.runs.notification_bridge import NotificationBridge

BROKEN = """\
from mm_nautilus import MarketMaker

class Mine(MarketMaker):
    def on_trade(self, trade):
        raise ValueError("broken on purpose")
"""


@pytest.mark.long
def test_a_failure_is_told_with_its_first_line_and_the_services_url_is_in_no_traceback(
    tmp_path: Path,
) -> None:
    (tmp_path / "mine.py").write_text(BROKEN, encoding="utf-8")
    with Webhook() as service:
        config = configuration(tmp_path, more="notify: [OWNER]\n")
        done = subprocess.run(
            [sys.executable, str(ROOT / "run_sandbox.py"), str(config), "--set", "strategy.class=mine:Mine"],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(tmp_path), "OWNER": service.url},
            capture_output=True,
            text=True,
            check=False,
            timeout=LONGEST_WAIT,
        )
    assert done.returncode == 1, done.stderr
    (one,) = service.messages
    assert (one["title"], one["type"]) == (
        "probe: the run has ended: failed (SIMULATED market data)",
        "failure",
    )
    assert "raised ValueError at" in one["message"].splitlines()[1]
    assert one["message"].splitlines()[1].endswith("mine.py:5: broken on purpose")
    left = Left.only(tmp_path)
    assert left.summary["notifications"]["services"]["OWNER"]["sent"] == 1
    assert SECRET not in done.stdout + done.stderr
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert [file.name for file in files if SECRET.encode() in file.read_bytes()] == []


class BrokenMetrics(MetricsActor):
    def figures(self, ts_ns: int) -> Any:
        raise ValueError("no figures")


def test_an_end_without_figures_is_told_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Webhook() as service:
        monkeypatch.setenv("OWNER", service.url)
        config = NotifyConfig(urls=["OWNER"])
        notifier = Notifier.open(config, tmp_path / "outbox.json", pytest.fail, continues=False)
        notifier.start(NotifiedRun("run", ("A/B",), is_simulated=False))
        with pytest.raises(ValueError, match="no figures"):
            NotificationBridge(notifier, None).end(
                time.time_ns(), BrokenMetrics(), {"status": "failed", "stop": {"text": "why"}}
            )
        notifier.close(time.monotonic() + 60)
    (one,) = service.messages
    assert one["message"].splitlines()[1:3] == ["why", "figures: none were published"]
