"""Reference to a custom class or function, written ``my_module:my_model`` in a configuration."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from mm_nautilus.config.fields import Allowed

_PATTERN: Final = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*$"
_LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class ObjectReference:
    """A module, which may be in a package (``my_package.my_module``), and a name in it."""

    module: str
    name: str
    folder: Path | None = field(default=None, compare=False)
    """First folder to look for the module: that of the configuration file, None without a file."""

    @classmethod
    def parse(cls, text: str, folder: Path | None = None) -> Self:
        """Read ``my_module:my_model``; a ValueError says that the text has another form."""
        if len(text) > _LONGEST or not re.fullmatch(_PATTERN, text, re.ASCII):
            raise ValueError("a module, a colon and a name in it are needed")
        module, _, name = text.partition(":")
        return cls(module, name, folder)

    @classmethod
    def of(cls, model: Callable[..., Any]) -> Self:
        """Return a reference to a callable, for its name in messages and reports."""
        named = model if hasattr(model, "__name__") else type(model)
        return cls(named.__module__, named.__name__)

    def __str__(self) -> str:
        return f"{self.module}:{self.name}"

    @property
    def file(self) -> Path:
        """The module's file, relative to the folder that is searched."""
        return Path(*self.module.split(".")).with_suffix(".py")

    @property
    def copy_of_installed(self) -> Path:
        """Name of the copy of an installed module in a run's folder; no import finds it under this name."""
        return Path(f"{self.module}.installed.py")


def _read_reference(value: Any) -> ObjectReference:
    return value if isinstance(value, ObjectReference) else ObjectReference.parse(str(value))


ObjectField = Annotated[
    ObjectReference,
    PlainValidator(_read_reference),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(
        {"type": "string", "pattern": _PATTERN, "maxLength": _LONGEST, "examples": ["my_module:my_model"]}
    ),
    Allowed("a module, a colon and a name in it such as my_module:my_model"),
]
"""A class or function, written as ``my_module:my_model``."""
