"""Group warnings for display: one line per rule, with its symbols in parentheses."""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

__all__ = ["grouped_warnings"]

_WARNING: Final = "Warning: "
_OF_SYMBOL: Final = re.compile(r"Warning: ([^\s:/]+/[^\s:]+): (.+)", re.DOTALL)
_PLACE: Final = re.compile(r" \((?:--set|[^()]+:\d+)\)$")
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?")
_DETAIL: Final = ": "


class _OfSymbol(NamedTuple):
    """A warning of one symbol: its text without symbol and place, and the text as it was given."""

    symbol: str
    message: str
    text: str


def grouped_warnings(warnings: Iterable[str]) -> list[str]:
    """Merge warnings that differ only in symbol and numbers.

    Differing numbers become a range, and the explanation after the message's first colon is left out; summary and
    report have the full texts. A warning without a match stays as it is.

    Parameters
    ----------
    warnings
        Texts such as those of `validate`; their order is kept.
    """
    groups: dict[str, list[_OfSymbol]] = {}
    for text in dict.fromkeys(warnings):
        match = _OF_SYMBOL.fullmatch(text)
        if match is None:
            groups[text] = [_OfSymbol("", text, text)]
            continue
        message = _PLACE.sub("", match[2])
        groups.setdefault(_NUMBER.sub("#", message), []).append(_OfSymbol(match[1], message, text))
    return [_told(group) for group in groups.values()]


def _told(group: list[_OfSymbol]) -> str:
    symbols = list(dict.fromkeys(warning.symbol for warning in group))
    if len(group) == 1:
        return group[0].text
    heads = [warning.message.partition(_DETAIL)[0] for warning in group]
    columns = iter(zip(*(_NUMBER.findall(head) for head in heads), strict=True))
    merged = _NUMBER.sub(lambda _match: _range(next(columns)), heads[0])
    return f"{_WARNING}{merged} ({', '.join(symbols)})"


def _range(numbers: Iterable[str]) -> str:
    ordered = sorted(numbers, key=float)
    least, greatest = ordered[0], ordered[-1]
    return least if float(least) == float(greatest) else f"{least} to {greatest}"
