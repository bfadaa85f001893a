"""The folder of a search that was never run: made results, judged as real ones are."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mm_nautilus.search.objectives import chosen_objectives
from mm_nautilus.search.verdict import TestResults, TrainingResults, judge
from mm_nautilus.search.windows import Window, make_windows
from mm_nautilus.system.moments import SECOND_NS, moment

START_NS = 1_765_627_200 * SECOND_NS
KEYS = ("strategy.gamma", "strategy.min_spread_pct", "strategy.symbols.XRP/USDT.fair_price")
ERROR = "the run failed: <script>ran out of BTC</script> & stopped"
type Row = dict[str, Any]


def write_made_search(
    folder: Path,
    *,
    trials: int = 24,
    folds: int = 2,
    objectives: Sequence[str] = ("pnl", "inventory"),
    edge: float = 0.6,
    status: str = "completed",
) -> Path:
    """Write a search on two hours of made results with an edge, in standard deviations of a period; return `folder`.

    The fourth trial of each fold fails. A search that is not completed has no winner, no test and no verdict.
    """
    random = np.random.default_rng(7)
    windows = make_windows(Window(START_NS, START_NS + 7_200 * SECOND_NS), folds, 300.0)
    points = random.random((folds, trials, len(KEYS)))
    is_done, winners, rows = status == "completed", [], []
    trained: list[TrainingResults] = []
    tested: list[tuple[np.ndarray, np.ndarray]] = []
    for number, fold in enumerate(windows.folds):
        base_point = np.array([[0.9, 0.9, 0.1]])
        pnl = _pnl(random, np.vstack([base_point, points[number]]), fold.train, windows.period_ns, edge)
        kept = [trial for trial in range(trials) if trial != 3]
        winner = kept[int(pnl[1:][kept].sum(axis=1).argmax())]
        winners.append(winner)
        rows.append(_row(number, None, "train", base_point[0], pnl[0], objectives))
        for trial, (point, made) in enumerate(zip(points[number], pnl[1:], strict=True)):
            rows.append(_row(number, trial, "train", point, made, objectives, failed=trial == 3))
        trained.append(
            TrainingResults(pnl[1:][kept].T, pnl[0], points[number][kept], kept.index(winner), folds * trials)
        )
        best = [winner, *[trial for trial in kept if trial != winner][:2]]
        after = _pnl(
            random, np.vstack([base_point, points[number][best]]), fold.test, windows.period_ns, edge
        )
        tested.append((after[1], after[0]))
        for trial, made in zip([None, *best] if is_done else [], after, strict=is_done):
            point = base_point[0] if trial is None else points[number][trial]
            rows.append(_row(number, trial, "test", point, made, objectives))
    after_all = TestResults(*map(np.concatenate, zip(*tested, strict=True)), folds=folds)
    verdict = judge(trained[-1], after_all, "USDT", is_simulated=True)
    document = {
        "id": "20251213T140000Z-made",
        "name": "made",
        "status": status,
        "created": moment(START_NS).isoformat(),
        "config": "config.yaml",
        "space": {"text": "strategy.gamma: {low: 0.02, high: 1, log: true}\n", "keys": list(KEYS)},
        "seed": 7,
        "sampler": "tpe",
        "versions": {"mm_nautilus": "1.4.0"},
        "data": {
            "catalog": "catalog",
            "hash": "0123456789abcdef",
            "start": moment(START_NS).isoformat(),
            "end": moment(START_NS + 7_200 * SECOND_NS).isoformat(),
            "simulated": True,
        },
        "report_currency": "USDT",
        "objectives": [
            {"name": it.name, "direction": it.direction, "unit": it.unit, "meaning": it.meaning}
            for it in chosen_objectives(objectives)
        ],
        "windows": {
            "period_seconds": windows.period_ns / SECOND_NS,
            "embargo_seconds": 300.0,
            "folds": [{"train": _ends(fold.train), "test": _ends(fold.test)} for fold in windows.folds],
        },
        "folds": [
            {"winner": winner, "front": _front(rows, fold, objectives)}
            if is_done
            else {"winner": None, "front": []}
            for fold, winner in enumerate(winners)
        ],
        "trials": {"asked": folds * trials, "completed": folds * (trials - 1), "failed": folds, "ever": 60},
        "looks": 1,
        "best": {"fold": folds - 1, "number": winners[-1], "parameters": {}, "fills_digest": "a"}
        if is_done
        else None,
        "verdict": {
            "lines": list(verdict.lines),
            "evidence": verdict.is_evidence,
            "checks": [check._asdict() for check in verdict.checks],
            "figures": verdict.figures,
        }
        if is_done
        else None,
    }
    folder.mkdir(parents=True)
    (folder / "search.json").write_text(json.dumps(document), encoding="utf-8")
    pq.write_table(pa.Table.from_pylist(rows), folder / "trials.parquet")
    return folder


def _front(rows: Sequence[Row], fold: int, objectives: Sequence[str]) -> list[int]:
    """Return the trials that no other beats."""
    signs = [1 if it.direction == "maximize" else -1 for it in chosen_objectives(objectives)]
    values = {
        row["number"]: [sign * row[f"objective:{name}"] for sign, name in zip(signs, objectives, strict=True)]
        for row in rows
        if (row["fold"], row["role"], row["state"]) == (fold, "train", "completed")
        and row["number"] is not None
    }
    return [
        number
        for number, own in values.items()
        if not any(other != own and all(np.greater_equal(other, own)) for other in values.values())
    ]


def _ends(window: Window) -> dict[str, str]:
    return {"start": moment(window.start_ns).isoformat(), "end": moment(window.end_ns).isoformat()}


def _pnl(random: np.random.Generator, points: np.ndarray, window: Window, period_ns: int, edge: float) -> Any:
    """Return PnL, one row a point and one column a period: common noise, own noise, and a hill at (0.3, 0.3)."""
    periods = len(window.edges(period_ns)) - 1
    hill = (1.0 - 2.0 * ((points[:, :2] - 0.3) ** 2).sum(axis=1)).clip(0.0)
    common, own = random.standard_normal(periods), random.standard_normal((len(points), periods))
    return 0.01 * (0.5 * common + 0.5 * own + edge * hill[:, None])


def _row(
    fold: int,
    number: int | None,
    role: str,
    point: np.ndarray,
    pnl: np.ndarray,
    objectives: Sequence[str],
    *,
    failed: bool = False,
) -> Row:
    known = {"pnl": float(pnl.sum()), "inventory": 20.0 + 80.0 * float(point[1]), "pnl_bps": None}
    values = (
        0.02 * 50.0 ** float(point[0]),
        0.02 + round(8 * float(point[1])) * 0.01,
        "microprice" if point[2] > 0.5 else "mid",
    )
    return {
        "fold": fold,
        "number": number,
        "role": role,
        "state": "failed" if failed else "completed",
        "error": ERROR if failed else None,
        "started": moment(START_NS),
        "seconds": 1.25,
        **{f"param:{key}": value for key, value in zip(KEYS, values, strict=True)},
        **{f"objective:{name}": None if failed else known[name] for name in objectives},
        "pnl": None if failed else float(pnl.sum()),
        "fills": None if failed else 40 + math.floor(100 * float(point[1])),
        "fees": None if failed else 0.0,
        "turnover": None if failed else 1_234.5,
        "fills_digest": None if failed else "a",
        "periods": [] if failed else pnl.tolist(),
    }
