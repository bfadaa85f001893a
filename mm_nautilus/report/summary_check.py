"""Read a run's summary, and say in plain words what is wrong with one that is damaged."""

import json
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, create_model

from mm_nautilus.errors import DataError
from mm_nautilus.report.rows import EQUITY_ROWS, FILL_ROWS, SYMBOL_ROWS, Row
from mm_nautilus.system.plain_text import printable

SUMMARY: Final = "summary.json"
_MOST_SHOWN: Final = 40
_FEES: Final = ("fees", "trading_pnl_before_fees")
"""Amounts of the account that follow from the run's tables."""
_ALLOWED: Final = {
    "missing": "is missing",
    "finite_number": "must be a finite number",
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "string_type": "must be a text",
    "string_too_short": "must not be empty",
    "dict_type": "must be a mapping of keys",
    "model_type": "must be a mapping of keys",
    "model_attributes_type": "must be a mapping of keys",
    "list_type": "must be a list",
}
"""Words for what pydantic finds, by its name of the mistake."""


def _moment(text: str) -> str:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError
    return text


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False, protected_namespaces=())


type _Text = Annotated[str, Field(min_length=1)]
type _Moment = Annotated[str, AfterValidator(_moment)]


class _Period(_Part):
    start: _Moment
    end: _Moment
    seconds: float


class _Venue(_Part):
    account_type: _Text


class _Total(_Part):
    fills: float | None = None
    pnl_turnover_bps: float | None = None


class _Beginning(_Part):
    """What a run writes before it has figures, and one that fails at once."""

    name: _Text | None = None
    status: Literal["starting", "running", "completed", "interrupted", "failed"]
    simulated_data: bool = False
    report_currency: str = ""
    period: _Period | None = None
    start: dict[str, Any] | None = None
    feed: dict[str, Any] | None = None


class _Figures(_Beginning):
    name: _Text
    simulated_data: bool
    report_currency: _Text
    period: _Period
    venue: _Venue
    exits: dict[str, Any]
    records: dict[str, Any] = {}
    total: _Total = _Total()
    answer: dict[str, Any] = {}


def _fields(rows: Iterable[Row], *, is_complete: bool) -> dict[str, Any]:
    """Return the numbers that rows show as fields, which only a complete summary must have."""
    keys = dict.fromkeys(key for row in rows for key in row.keys)
    return {key: (float | None, ... if is_complete and not _is_new(key) else None) for key in keys}


def _is_new(key: str) -> bool:
    """Return whether rows do without a figure, which runs of earlier versions have not written."""
    return any(row.is_money and key in row.keys for row in (*EQUITY_ROWS, *SYMBOL_ROWS))


@cache
def _model(*, is_complete: bool) -> type[BaseModel]:
    """Return what a summary with figures must be, raw or with all that follows from the run's tables."""
    figures: dict[str, Any] = {key: (float | None, None) for row in FILL_ROWS for key in row.keys}
    quality = create_model("quality", __base__=_Part, seconds=(float, ...), **figures)
    qualities = create_model("qualities", __base__=_Part, maker=(list[quality], ...))
    symbol = create_model(
        "symbol",
        __base__=_Part,
        **{
            **_fields(SYMBOL_ROWS, is_complete=is_complete),
            "fills": (int, ...),
            "currency": (_Text, ...),
            "base_currency": (_Text, ...),
            "halted": (bool, False),
            "quoting": (dict[str, str], {}),
            "exact": (dict[str, str], ...),
            "fill_quality": (qualities | None, ... if is_complete else None),
        },
    )
    equity = create_model(
        "equity",
        __base__=_Part,
        **{
            **_fields(EQUITY_ROWS, is_complete=is_complete),
            "currency": (_Text, ...),
            "trading_pnl": (float, ...),
            **(dict.fromkeys(_FEES, (float | None, ...)) if is_complete else {}),
            "max_drawdown_pct": (float, ...),
        },
    )
    more: dict[str, Any] = {"symbols": (dict[str, symbol], ...), "equity": (equity | None, ...)}
    if is_complete:
        of_all: dict[str, Any] = dict.fromkeys(("fills", "pnl_turnover_bps"), (float | None, ...))
        total = create_model("total", __base__=_Part, currency=(_Text, ...), **of_all)
        more["total"] = (total, ...)
    return create_model("summary", __base__=_Figures, **more)


def read_json(folder: Path) -> dict[str, Any]:
    """Return what a run's folder has as its summary; a DataError says that it cannot be read or is no mapping."""
    path = folder / SUMMARY
    try:
        summary = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {path.name}: {error.strerror}") from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise DataError(f"{folder} cannot be read: {path.name} is no JSON, from {place} on") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{folder} cannot be read: {path.name} is no JSON") from error
    if not isinstance(summary, dict):
        raise DataError(f"{path} must hold a run's summary, which is a mapping of keys")
    return summary


def refuse_damaged(summary: Any, folder: Path, *, is_complete: bool = False) -> None:
    """Raise a DataError that names the first key of a summary that is missing or wrong.

    `is_complete` asks for what follows from the run's tables, too. A summary without ``symbols`` is one of a run that
    has no figures yet.
    """
    has_figures = is_complete or "symbols" in summary
    try:
        (_model(is_complete=is_complete) if has_figures else _Beginning).model_validate(summary)
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in found["loc"] if part not in {"symbol", "equity-model"})
        if found["type"] == "missing":
            words = "is missing"
        else:
            allowed = _ALLOWED.get(found["type"]) or _other(found["type"], found.get("ctx", {}))
            words = f"{allowed}, was {_shown(found['input'])}"
        raise DataError(f"{folder} cannot be read: {printable(key)} in {SUMMARY} {words}") from error


def _shown(value: Any) -> str:
    """Return a wrong value as JSON has it, cut where it is long."""
    text = printable(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def _other(mistake: str, context: dict[str, Any]) -> str:
    if mistake == "value_error":
        return "must be a moment with its time zone, as 2026-01-01T00:00:00+00:00"
    return f"must be {context['expected']}" if "expected" in context else "must be another kind of value"
