"""Text from outside as it may be printed."""

__all__ = ["printable"]


def printable(text: str) -> str:
    """Return a text whose control characters, terminal escapes and line breaks are written as Python escapes.

    Whatever is read from a file, a catalog or a venue goes through here before it reaches a terminal or a log.
    """
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
