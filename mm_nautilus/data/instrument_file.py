"""Instrument definitions from a small YAML file, from command-line flags, or from both.

Values are taken as the text they are written with: the digits of an increment are its precision, so a
reader that turns ``0.10`` into a floating-point number has lost half of it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mm_nautilus.config.near_files import near_file_hint
from mm_nautilus.errors import ConfigError
from mm_nautilus.market.instrument import LARGEST_FEE_PCT, QUOTED, InstrumentSpec, names_currencies
from mm_nautilus.system.near_names import nearest
from mm_nautilus.system.plain_text import printable

type _Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9]+([/_:-][A-Za-z0-9]+)*$")]
type _Code = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
type _Step = Annotated[Decimal, Field(gt=0, le=10**9)]
type _Percent = Annotated[Decimal, Field(ge=-LARGEST_FEE_PCT, le=LARGEST_FEE_PCT)]
type _Margin = Annotated[Decimal, Field(ge=0, le=100)]


class _Definition(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    symbol: _Name
    venue: _Code
    base: _Code
    quote: _Code
    price_increment: _Step
    size_increment: _Step
    min_quantity: _Step | None = None
    min_notional: _Step | None = None
    max_quantity: _Step | None = None
    max_notional: _Step | None = None
    maker_fee_pct: _Percent | None = None
    taker_fee_pct: _Percent | None = None
    source_symbol: Annotated[str, Field(min_length=1)] | None = None
    off_lot_sizes: Literal["refuse", "round_down"] = "refuse"
    simulated: bool = False
    type: Literal["spot", "perpetual"] = "spot"
    settlement: _Code | None = None
    multiplier: _Step = Decimal(1)
    margin_init_pct: _Margin = Decimal(100)
    margin_maint_pct: _Margin = Decimal(100)


_ALLOWED = {
    "symbol": "letters and digits joined by / _ : or -, such as BTC/USDT",
    "venue": "a code of letters and digits, such as BINANCE",
    "base": "a currency code, such as BTC",
    "quote": "a currency code, such as USDT",
    "source_symbol": "the symbol in the CSV files, such as BTCUSDT",
    "off_lot_sizes": "refuse or round_down",
    "simulated": "true or false",
    "type": "spot or perpetual",
    "settlement": "a currency code, such as USDT",
    **dict.fromkeys(("margin_init_pct", "margin_maint_pct"), "a percentage between 0 and 100"),
    **dict.fromkeys(
        ("maker_fee_pct", "taker_fee_pct"), f"a percentage between -{LARGEST_FEE_PCT} and {LARGEST_FEE_PCT}"
    ),
}


@dataclass(frozen=True, slots=True)
class InstrumentSource:
    """An instrument and how its files are to be read."""

    spec: InstrumentSpec
    source_symbol: str | None
    """The symbol its files must name, or None for whatever their first row names."""
    off_lot_sizes: Literal["refuse", "round_down"]
    """As for `mm_nautilus.data.importing.import_files`."""


class _Entry(NamedTuple):
    """A value as written, and where."""

    text: str
    where: str


def load_instrument(path: Path | None, flags: Mapping[str, str]) -> InstrumentSource:
    """Read an instrument's definition from a YAML file, None for none, and from flags by key, which override it.

    A `ConfigError` has every problem at once: the key and its line, what is allowed and what was given.
    """
    problems: list[str] = []
    entries = {} if path is None else _read_yaml(path, problems)
    entries |= {key: _Entry(text, f"--{key.replace('_', '-')}: ") for key, text in flags.items()}
    values = {key: entry.text for key, entry in entries.items()}
    try:
        definition = _Definition.model_validate(values)
    except ValidationError as error:
        problems += _problems(error, entries, path)
        raise ConfigError(problems) from error
    problems += _contradictions(definition, entries)
    if problems:
        raise ConfigError(problems)
    return InstrumentSource(_spec(definition), definition.source_symbol, definition.off_lot_sizes)


def _read_yaml(path: Path, problems: list[str]) -> dict[str, _Entry]:
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except FileNotFoundError as error:
        hint = near_file_hint(path, ("*.yaml", "*.yml"), "YAML file")
        raise ConfigError(f"--instrument must be an existing file, was {path} ({hint})") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is no valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{path} must hold keys and values of one instrument, such as `symbol: BTC/USDT`")
    entries: dict[str, _Entry] = {}
    for key_node, value_node in root.value:
        where = f"{path}:{key_node.start_mark.line + 1}: "
        key = str(key_node.value)
        if not isinstance(value_node, yaml.ScalarNode):
            problems.append(f"{where}{key} must be a single value, was a list or a mapping")
        elif key in entries:
            problems.append(f"{where}{key} is given twice")
        elif not value_node.tag.endswith(":null"):
            entries[key] = _Entry(str(value_node.value), where)
    return entries


def _problems(error: ValidationError, entries: Mapping[str, _Entry], path: Path | None) -> list[str]:
    origin = "" if path is None else f"{path}: "
    texts = []
    for detail in error.errors():
        key = str(detail["loc"][0])
        allowed = _ALLOWED.get(key, "a positive number")
        if detail["type"] == "missing":
            texts.append(f"{origin}missing {key}: {allowed}")
        elif detail["type"] == "extra_forbidden":
            likely = nearest(key, _Definition.model_fields)
            known = f"known are {', '.join(_Definition.model_fields)}"
            hint = known if likely is None else f"did you mean {likely}?"
            texts.append(f"{entries[key].where}unknown key {key}; {hint}")
        else:
            entry = entries[key]
            texts.append(f"{entry.where}{key} must be {allowed}, was {printable(entry.text) or 'empty'}")
    return list(dict.fromkeys(texts))


def _contradictions(definition: _Definition, entries: Mapping[str, _Entry]) -> list[str]:
    problems = []
    if definition.base == definition.quote:
        where = entries["quote"].where
        problems.append(f"{where}quote must differ from base, was {definition.quote} for both")
    elif not names_currencies(definition.symbol, definition.base, definition.quote):
        problems.append(
            f"{entries['base'].where}base and quote must be those of the symbol {definition.symbol}, was "
            f"{definition.base} and {definition.quote}"
        )
    problems += _contract_problems(definition, entries)
    lot = definition.size_increment
    for key in ("min_quantity", "max_quantity"):
        limit = getattr(definition, key)
        if limit is not None and limit % lot:
            problems.append(
                f"{entries[key].where}{key} must be a multiple of size_increment {lot}, was {limit}"
            )
    for of in ("quantity", "notional"):
        least, most = getattr(definition, f"min_{of}"), getattr(definition, f"max_{of}")
        if least is not None and most is not None and most < least:
            where = entries[f"max_{of}"].where
            problems.append(f"{where}max_{of} must be at least min_{of} {least}, was {most}")
    return problems


def _contract_problems(definition: _Definition, entries: Mapping[str, _Entry]) -> Iterator[str]:
    if definition.type == "spot":
        for key in ("settlement", "multiplier", "margin_init_pct", "margin_maint_pct"):
            if key in entries:
                yield f"{entries[key].where}{key} is for type: perpetual, was given for a spot pair"
        return
    if definition.multiplier != 1:
        yield f"{entries['multiplier'].where}multiplier must be 1, was {definition.multiplier}; {QUOTED}"
    initial, maintenance = definition.margin_init_pct, definition.margin_maint_pct
    if maintenance > initial:
        where = entries.get("margin_maint_pct", entries.get("margin_init_pct", _Entry("", ""))).where
        default = "" if "margin_maint_pct" in entries else ", its default"
        yield f"{where}margin_maint_pct must be at most margin_init_pct {initial}, was {maintenance}{default}"
    if definition.settlement not in (None, definition.quote):
        yield (
            f"{entries['settlement'].where}settlement must be the quote currency {definition.quote}, was "
            f"{definition.settlement} (an inverse or quanto contract); {QUOTED}"
        )


def _spec(definition: _Definition) -> InstrumentSpec:
    values: dict[str, Any] = definition.model_dump(
        exclude={"source_symbol", "off_lot_sizes", "settlement", "multiplier"}
    )
    values["kind"] = values.pop("type")
    for name in ("margin_init", "margin_maint"):
        values[f"{name}_rate"] = values.pop(f"{name}_pct") / 100
    for name in ("maker_fee", "taker_fee"):
        pct = values.pop(f"{name}_pct")
        values[f"{name}_rate"] = None if pct is None else pct / 100
    return InstrumentSpec(**values)
