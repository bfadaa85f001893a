"""Suggest the known name that a mistyped one most likely means."""

import difflib
from collections.abc import Collection, Iterable

_MOST_NAMES = 20


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most similar to `name`, None if none is close; never `name` itself."""
    by_folded = {candidate.casefold(): candidate for candidate in known if candidate != name}
    found = difflib.get_close_matches(name.casefold()[:100], by_folded, n=1)
    return by_folded[found[0]] if found else None


def known_names(name: str, known: Collection[str]) -> str:
    """Return the first known names and, of several, a suggestion, such as ``A, B; did you mean B?``."""
    more = ", ..." if len(known) > _MOST_NAMES else ""
    names = ", ".join(list(known)[:_MOST_NAMES]) or "there is none"
    likely = nearest(name, known) if len(known) > 1 else None
    return f"{names}{more}{'' if likely is None else f'; did you mean {likely}?'}"
