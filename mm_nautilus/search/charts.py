"""The charts of a search: its trials in and out of sample, its folds and what the winners earned in them."""

import json
import math
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, Final

import numpy as np

from mm_nautilus.errors import ConfigError
from mm_nautilus.report.figures import Figure, bars, figure, line, milliseconds, series, significant, x_axis
from mm_nautilus.search.search_files import ROLES, Run, SearchFiles, SearchObjective, short_key

_LOOKS: Final = {"train": ("@train", "circle"), "test": ("@test", "diamond")}
"""Colour and mark of each role of a run, in every chart."""


def search_figures(search: SearchFiles) -> Iterator[tuple[str, Figure]]:
    """Yield the figures by their names in the page."""
    if any(search.of(fold, "train") for fold in search.folds):
        for number, objective in enumerate(search.objectives):
            yield f"history-{number}", _history(search, objective)
        for number, key in enumerate(search.keys):
            yield f"slice-{number}", _slice(search, key, search.objectives[0])
        for number, other in enumerate(search.objectives[1:]):
            yield f"front-{number}", _front(search, search.objectives[0], other)
    ranked = search.ranked(search.folds[-1], search.objectives[0])
    if ranked:
        yield "parallel", _parallel(search, search.folds[-1], ranked)
    yield "folds", _folds(search)


def _axis(title: str, kind: str = "linear", ends: Sequence[Any] = ()) -> Figure:
    """Return an x axis; a logarithmic one has whole labels at 1, 2 and 5 of each decade between its ends.

    The ends of one of categories are all of them, which it keeps in order.
    """
    ticks: dict[str, Any] = {}
    if kind == "log":
        first, last = (math.floor(math.log10(end)) for end in ends)
        marks = [float(f"{digit}e{decade}") for decade in range(first, last + 1) for digit in (1, 2, 5)]
        ticks = {"tickvals": marks, "ticktext": [f"{mark:g}" for mark in marks]}
    elif kind == "category":
        ticks = {"categoryorder": "array", "categoryarray": ends}
    return x_axis(title={"text": title, "standoff": 6}, zeroline=False, type=kind, **ticks)


def _points(name: str, x: Sequence[Any], y: Sequence[float], colour: str, **more: Any) -> Figure:
    """Return marks; `more` has properties of the trace, `marker` among them."""
    marker = {"color": colour, "size": 8, "opacity": 0.8, **more.pop("marker", {})}
    numbers = significant(np.asarray(y, dtype=np.float64))
    return line(name, x, numbers, colour=colour, **{"mode": "markers", "marker": marker, **more})


def _kind(search: SearchFiles, key: str, values: Sequence[Any]) -> str:
    """Return Plotly's type of the axis of a parameter."""
    if any(isinstance(value, str) for value in values):
        return "category"
    return "log" if values and key in search.logarithmic else "linear"


def _history(search: SearchFiles, objective: SearchObjective) -> Figure:
    """Return each trial's figure in the order of the trials, and the best of each fold so far."""
    better = max if objective.direction == "maximize" else min
    traces = []
    for fold in search.folds:
        runs = search.ranked(fold, objective)
        numbers, values = [run["number"] for run in runs], [objective.value(run) for run in runs]
        look = series(fold)
        name, hover = f"fold {fold + 1}", f"trial %{{x}}: %{{y:,.6~g}} {objective.unit or search.currency}"
        mark = {"size": 6, "opacity": 0.6}
        traces.append(_points(f"{name}: trials", numbers, values, look["colour"], hover=hover, marker=mark))
        best = significant(np.array(list(accumulate(values, better))))
        traces.append(line(f"{name}: best so far", numbers, best, hover=hover, is_step=True, **look))
    return figure(
        traces,
        [f"{search.title(objective)}, in sample"],
        [1],
        pixels=340,
        hovermode="closest",
        xaxis=_axis("trial"),
    )


def _slice(search: SearchFiles, key: str, objective: SearchObjective) -> Figure:
    """Return an objective by one parameter, in and out of sample."""
    traces = []
    for role, words in ROLES.items():
        colour, symbol = _LOOKS[role]
        runs = [run for fold in search.folds for run in search.of(fold, role)]
        x, y = [run[key] for run in runs], [search.hourly(objective, run) for run in runs]
        winners = [search.winner(run["fold"], role) is run for run in runs]
        outline = {"color": "@text", "width": [2.0 if found else 0.0 for found in winners]}
        told = [f"fold {run['fold'] + 1}, trial {run['number']}" for run in runs]
        hover = f"%{{customdata}}: %{{y:,.6~g}} at %{{x}}, {words}"
        more = {"hover": hover, "customdata": told, "marker": {"symbol": symbol, "line": outline}}
        traces.append(_points(words, x, y, colour, **more))
    places = [x for trace in traces for x in trace["x"]]
    kind = _kind(search, key, places)
    ends: list[Any] = [min(places), max(places)] if places else []
    if kind == "category":
        ends = search.categories(key)
    for role, words in ROLES.items():
        colour, _ = _LOOKS[role]
        bases = [base for fold in search.folds if (base := search.baseline(fold, role)) is not None]
        values = [value for base in bases if not math.isnan(value := search.hourly(objective, base))]
        if values and ends:
            level = significant(np.full(len(ends), np.mean(values)))
            label = f"as it was, {words}{', mean of folds' if len(values) > 1 else ''}"
            traces.append(line(label, ends, level, colour=colour, dash="dash", hover="%{y:,.6~g}"))
    return figure(
        traces,
        [search.title(objective, is_hourly=True)],
        [1],
        pixels=330,
        hovermode="closest",
        xaxis=_axis(short_key(key), kind, ends),
    )


def _front(search: SearchFiles, one: SearchObjective, other: SearchObjective) -> Figure:
    """Return two objectives of the last fold's trials, those that no other beats, and what the tested ones did."""
    fold = search.folds[-1]
    front = set(search.document["folds"][fold]["front"])
    trained, tested = search.of(fold, "train"), search.of(fold, "test")
    groups = {
        "beaten by another, in sample": (
            [run for run in trained if run["number"] not in front],
            "@muted",
            "circle",
        ),
        "front, in sample": ([run for run in trained if run["number"] in front], "@train", "circle"),
        "out of sample": (tested, "@test", "diamond"),
    }
    traces = [
        _points(
            name,
            significant(np.array([search.hourly(one, run) for run in runs])),
            [search.hourly(other, run) for run in runs],
            colour,
            hover="trial %{customdata}: %{x:,.6~g} and %{y:,.6~g}",
            customdata=[run["number"] for run in runs],
            marker={"symbol": symbol},
        )
        for name, (runs, colour, symbol) in groups.items()
    ]
    axis = _axis(search.title(one, is_hourly=True))
    title = search.title(other, is_hourly=True)
    return figure(traces, [title], [1], pixels=380, hovermode="closest", xaxis=axis)


def _folds(search: SearchFiles) -> Figure:
    """Return when was trained and tested, and what winner and base had made since the begin of each."""
    names = [f"fold {fold + 1}" for fold in search.folds]
    spans = [
        ("training", [(of["train"].start_ns, of["train"].end_ns) for of in search.windows], "@train", ""),
        ("embargo", [(of["train"].end_ns, of["test"].start_ns) for of in search.windows], "@muted", "/"),
        ("test", [(of["test"].start_ns, of["test"].end_ns) for of in search.windows], "@test", ""),
    ]
    traces: list[Figure] = []
    for name, ends, colour, pattern in spans:
        starts, stops = (milliseconds(np.array(moments)) for moments in zip(*ends, strict=True))
        lengths = [stop - start for start, stop in zip(starts, stops, strict=True)]
        told = [f"{length / 60_000:,.1f} min" for length in lengths]
        more: dict[str, Any] = {
            "base": starts,
            "orientation": "h",
            "customdata": told,
            "width": 0.6,
            "legendgroup": name,
        }
        hover = "%{customdata}"
        traces.append(bars(name, lengths, names, colour=colour, pattern=pattern, hover=hover, **more))
    for fold in search.folds:
        traces += _curves(search, fold)
    titles = ["training, embargo and test", *(f"{name}: PnL, {search.currency}" for name in names)]
    heights = [0.3 + 0.25 * len(names), *(1.0 for _ in names)]
    made = figure(
        traces,
        titles,
        heights,
        pixels=170 + 40 * len(names) + 150 * len(names),
        hovermode="closest",
        barmode="overlay",
        yaxis={"autorange": "reversed", "type": "category"},
    )
    made["layout"]["xaxis"]["hoverformat"] = "%Y-%m-%d %H:%M:%S UTC"
    return made


def _curves(search: SearchFiles, fold: int) -> Iterator[Figure]:
    """Yield what a fold's winner and the configuration as it was had made by the end of each period."""
    for role, words in ROLES.items():
        colour, _ = _LOOKS[role]
        edges = search.windows[fold][role].edges(search.period_ns)
        for name, run, dash in (
            ("winner", search.winner(fold, role), "solid"),
            ("as it was", search.baseline(fold, role), "dash"),
        ):
            if run is None:
                continue
            sums = significant(np.cumsum([0.0, *run["periods"]]))
            results = [0.0, *significant(np.array(run["periods"]))]
            more: dict[str, Any] = {
                "customdata": results,
                "showlegend": fold == 0,
                "legendgroup": f"{name} {role}",
            }
            hover = "%{x}: %{y:,.6~g}, of which in this period %{customdata:,.6~g}"
            x, label = milliseconds(edges[: len(sums)]), f"{name}, {words}"
            yield line(label, x, sums, colour=colour, hover=hover, row=fold + 2, dash=dash, **more)


def _parallel(search: SearchFiles, fold: int, runs: Sequence[Run]) -> Figure:
    """Return Optuna's parallel coordinates of a fold's trials, the better ones the darker."""
    try:
        from optuna.visualization import plot_parallel_coordinate  # noqa: PLC0415 - an extra
    except ImportError as error:
        text = "the page of a search needs optuna; install it with: pip install 'mm-nautilus[search]'"
        raise ConfigError(text) from error
    objective = search.objectives[0]
    study = _study(search, objective, runs)
    plain = json.loads(plot_parallel_coordinate(study, target_name=objective.name).to_json())
    traces = [trace for trace in plain["data"] if trace["mode"] == "lines"]
    names = [objective.name, *map(short_key, search.keys)]
    for trace in traces:
        trace["customdata"] = [
            [name, value] for name, (_, value) in zip(names, trace["customdata"], strict=True)
        ]
    winner = search.winner(fold, "train")
    for run, trace in zip(runs, traces, strict=True):
        share = trace["y"][0] if objective.direction == "maximize" else 1.0 - trace["y"][0]
        is_winner = run is winner
        colour, width = ("@test", 3.0) if is_winner else ("@train", 1.3)
        trace["line"] |= {"color": colour, "width": width}
        name = f"trial {run['number']}"
        trace.update(name=name, opacity=1.0 if is_winner else 0.08 + 0.7 * share**3)
        trace["hovertemplate"] = f"%{{customdata[0]}}: %{{customdata[1]}}<extra>{name}</extra>"
    given = plain["layout"]
    for note in given["annotations"]:
        is_last = note["x"] == len(names) - 1
        side = {"xanchor": "right", "xshift": -4} if is_last else {"xanchor": "left", "xshift": 4}
        note.update(side, font={"size": 10, "color": "@text"}, bgcolor="@paper", opacity=0.85)
    heads = [
        {"text": _heading(name), "x": number, "y": 1, "yshift": 18 + 16 * (number % 2), "showarrow": False}
        | {"xanchor": "left" if number == 0 else "right" if number == len(names) - 1 else "center"}
        for number, name in enumerate(names)
    ]
    made = figure(
        sorted(traces, key=lambda trace: float(trace["opacity"])),
        [""],
        [1],
        pixels=420,
        hovermode="closest",
        showlegend=False,
        annotations=[*given["annotations"], *heads],
        shapes=[{**shape, "line": {"color": "@axis", "width": 1}} for shape in given["shapes"]],
        xaxis=x_axis(visible=False, range=[-0.03, len(names) - 0.97]),
        yaxis={"visible": False},
    )
    made["layout"]["margin"] |= {"t": 64}
    return made


def _heading(name: str) -> str:
    """Return a key without what is between its symbol, if any, and its last part."""
    *parents, last = name.split(".")
    symbol = parents[0] if parents and "/" in parents[0] else ""
    return f"{symbol}…{last}" if len(parents) > bool(symbol) else name


def _study(search: SearchFiles, objective: SearchObjective, runs: Sequence[Run]) -> Any:
    """Return trials as a study of Optuna's, whose parameters have numbers for names, as it cuts long ones off."""
    import optuna  # noqa: PLC0415 - an extra
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution  # noqa: PLC0415

    distributions: dict[str, BaseDistribution] = {}
    numbered = {f"{number:04}": key for number, key in enumerate(search.keys)}
    for name, key in numbered.items():
        values = sorted({run[key] for run in runs})
        if isinstance(values[0], str):
            distributions[name] = CategoricalDistribution(values)
        else:
            is_log = key in search.logarithmic
            distributions[name] = FloatDistribution(values[0], values[-1], log=is_log)
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction=objective.direction)
    optuna.logging.set_verbosity(level)
    for run in runs:
        params = {name: run[key] for name, key in numbered.items()}
        value = objective.value(run)
        study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=value))
    return study
