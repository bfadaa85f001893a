"""What commands read from the words of a command line: lists of symbols, and moments."""

from datetime import datetime

from mm_nautilus.errors import ConfigError


def symbol_names(text: str | None) -> list[str] | None:
    """Return the names of a list with commas, None where none is given.

    Raises
    ------
    ConfigError
        If a name between two commas is missing.
    """
    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise ConfigError(f"--symbols must be symbols separated by commas, was {text!r}")
    return names


def moment_value(option: str, text: str | None) -> datetime | None:
    """Return a date and time, None where none is given.

    Raises
    ------
    ConfigError
        If the text is no date, with or without a time.
    """
    if text is None:
        return None
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 (keeps --help fast)

    from mm_nautilus.config.fields import MOMENT_TEXT, Moment  # noqa: PLC0415

    try:
        moment: datetime = TypeAdapter(Moment).validate_python(text)
    except ValidationError:
        raise ConfigError(f"{option} must be {MOMENT_TEXT}, was {text!r}") from None
    return moment
