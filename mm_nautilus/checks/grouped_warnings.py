"""Warnings as they are told to people: one line a rule, with the symbols that it concerns in brackets."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from mm_nautilus.config.problems import Problem

__all__ = ["grouped_warnings"]

_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?")
_DETAIL: Final = ": "


def grouped_warnings(warnings: Mapping[str, Problem]) -> list[str]:
    """Return warnings with those that differ in their symbol and their numbers alone as one.

    A number that differs becomes the range from the least to the greatest, and what explains the rule, after the
    message's first colon, is left out: the summary and the report have every text in full. A warning that stands alone
    stays as it is.

    Parameters
    ----------
    warnings
        Risks by the texts that tell them; they keep their order.
    """
    groups: dict[str, list[str]] = {}
    for text, risk in warnings.items():
        rule = text if risk.symbol is None else _NUMBER.sub("#", risk.message)
        groups.setdefault(rule, []).append(text)
    return [
        texts[0] if len(texts) == 1 else _told([warnings[text] for text in texts])
        for texts in groups.values()
    ]


def _told(risks: list[Problem]) -> str:
    heads = [risk.message.partition(_DETAIL)[0] for risk in risks]
    columns = iter(zip(*(_NUMBER.findall(head) for head in heads), strict=True))
    merged = _NUMBER.sub(lambda _match: _range(next(columns)), heads[0])
    symbols = dict.fromkeys(str(risk.symbol) for risk in risks)
    return f"Warning: {merged} ({', '.join(symbols)})"


def _range(numbers: Iterable[str]) -> str:
    ordered = sorted(numbers, key=float)
    least, greatest = ordered[0], ordered[-1]
    return least if float(least) == float(greatest) else f"{least} to {greatest}"
