"""Warnings for people: one line a rule, with the symbols that it concerns in brackets."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from mm_nautilus.config.problems import Problem

_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?")
_DETAIL: Final = ": "


def grouped_warnings(warnings: Mapping[str, Problem]) -> list[str]:
    """Return warnings, those that differ only in their symbol and their numbers as one, in the order given.

    A number that differs becomes the range from the least to the greatest, and what explains the rule, after the
    message's first colon, is left out: the summary and the report have every text in full. A warning without another
    of its rule stays as it is. Risks are by their texts.
    """
    groups: dict[str, list[str]] = {}
    for text, risk in warnings.items():
        rule = text if risk.symbol is None else _NUMBER.sub("#", risk.message)
        groups.setdefault(rule, []).append(text)
    return [
        texts[0] if len(texts) == 1 else _merged([warnings[text] for text in texts])
        for texts in groups.values()
    ]


def _merged(risks: list[Problem]) -> str:
    heads = [risk.message.partition(_DETAIL)[0] for risk in risks]
    columns = iter(zip(*(_NUMBER.findall(head) for head in heads), strict=True))
    merged = _NUMBER.sub(lambda _match: _range(next(columns)), heads[0])
    symbols = dict.fromkeys(str(risk.symbol) for risk in risks)
    return f"Warning: {merged} ({', '.join(symbols)})"


def _range(numbers: Iterable[str]) -> str:
    ordered = sorted(numbers, key=float)
    least, greatest = ordered[0], ordered[-1]
    return least if float(least) == float(greatest) else f"{least} to {greatest}"
