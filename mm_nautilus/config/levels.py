"""The quotes of one side, nearest first, as a configuration gives them: how many, how far out, how large."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema

from mm_nautilus.config.fields import Allowed, Section
from mm_nautilus.config.problems import Problem, check_model, refuse, shown

MOST_LEVELS: Final = 10
"""Most levels a side."""

FURTHEST_BPS: Final = 500
"""Furthest that a level stands beyond the model's quote, basis points of mid."""

FURTHEST_VOLATILITIES: Final = 100
"""The same of levels whose distances are in one-minute volatilities."""


class LevelConfig(Section):
    """One level of a side, given explicitly."""

    width_bps: float = Field(..., ge=0, le=FURTHEST_BPS)
    """How much further out than the model's quote it stands, basis points of mid."""
    size: float = Field(1.0, gt=0, le=100)
    """Its size as a multiple of the symbol's quote size."""


type Levels = int | tuple[LevelConfig, ...]


def _read_levels(value: Any) -> Levels:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_LEVELS:
        return value
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= MOST_LEVELS:
        raise ValueError("a number or a list of levels is needed")
    found, problems = [], []
    for index, entry in enumerate(value):
        if not isinstance(entry, Mapping | LevelConfig):
            text = f"levels[{index}] must be a mapping of keys such as {{width_bps: 4, size: 2}}, was {shown(entry)}"
            problems.append(Problem((str(index),), text))
            continue
        level, wrong = check_model(LevelConfig, entry)  # type: ignore[arg-type]
        problems += [problem.under(str(index)) for problem in wrong]
        found += [] if level is None else [level]
    refuse(problems)
    return tuple(found)


def _write_levels(value: Levels | None) -> int | list[dict[str, float]] | None:
    return [level.model_dump() for level in value] if isinstance(value, tuple) else value


LevelsField = Annotated[
    Levels,
    PlainValidator(_read_levels),
    PlainSerializer(_write_levels),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": MOST_LEVELS},
                {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": MOST_LEVELS,
                    "items": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["width_bps"],
                        "properties": {
                            "width_bps": {"type": "number", "minimum": 0, "maximum": FURTHEST_BPS},
                            "size": {"type": "number", "exclusiveMinimum": 0, "maximum": 100},
                        },
                    },
                },
            ]
        }
    ),
    Allowed(
        f"a whole number between 1 and {MOST_LEVELS}, or a list of as many levels such as "
        "[{width_bps: 0}, {width_bps: 4, size: 2}]"
    ),
]
"""A number of levels, or each level's extra width and size."""


def level_count(levels: Levels) -> int:
    """Return how many quotes a side has."""
    return levels if isinstance(levels, int) else len(levels)


def spaced_widths(count: int, gap: float, ratio: float) -> list[float]:
    """Return how much further out than the first each of a number of levels stands, in the unit of `gap`.

    Parameters
    ----------
    gap
        Distance between the first two.
    ratio
        Each further distance is this many times the one before.
    """
    widths = [0.0]
    for _ in range(count - 1):
        widths.append(widths[-1] + gap)
        gap *= ratio
    return widths
