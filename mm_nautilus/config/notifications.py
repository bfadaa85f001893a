"""Configuration of a sandbox run's notifications: which services, and what is worth a message."""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, Self

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from mm_nautilus.config.fields import Duration, Section, VariableName, is_variable_name
from mm_nautilus.config.problems import NOT_SHOWN, Problem, refuse
from mm_nautilus.system.near_names import nearest

_LEAST_PERIOD: Final = timedelta(seconds=10)


def _unknown_words(key: str, known: Sequence[str]) -> str:
    """Return why a key is refused; it is repeated only where it is like a known one, and no secret."""
    likely = nearest(key, known)
    if likely is None or re.fullmatch(r"[A-Za-z_]{1,30}", key) is None:
        return f"every key of notify must be one of {', '.join(known)}; {NOT_SHOWN}"
    return f"unknown key {key} of notify (did you mean {likely}?); {NOT_SHOWN}"


class NotifyConfig(Section):
    """Notifications of a sandbox run.

    What is not understood here is refused without being repeated: somebody may have pasted a service's address.
    """

    urls: list[VariableName] = Field(default_factory=list, max_length=20)
    """Names of environment variables, each with the Apprise URL of one service. A list in place of this section, as in
    notify: [MM_NAUTILUS_NOTIFY], gives them alone. URLs are never written to a file."""
    disconnect_seconds: float = Field(60.0, ge=1, le=86_400)
    """A feed that is disconnected for longer is reported, seconds."""
    summary_every: Duration | None = timedelta(days=1)
    """Period of the summaries, aligned to UTC, at least 10s; null sends none."""
    storm_changes: int = Field(20, ge=2, le=10_000)
    """More changes of a symbol's guards than this within storm_minutes are reported once, until they are fewer."""
    storm_minutes: float = Field(10.0, ge=0.1, le=1_440)
    """Window of storm_changes, minutes."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Allow a list of names in place of the section."""
        schema = handler(core_schema)
        resolved = handler.resolve_ref_schema(schema)
        mapping = dict(resolved)
        resolved.clear()
        resolved["anyOf"] = [mapping, {**mapping["properties"]["urls"], "minItems": 1}, {"type": "null"}]
        return schema

    @model_validator(mode="before")
    @classmethod
    def _refuse_secrets(cls, given: Any) -> Any:
        """Accept a list of names alone, and refuse what may be a secret without repeating it."""
        if isinstance(given, NotifyConfig):
            return given
        if given is None:
            return {}
        values = {"urls": given} if isinstance(given, list | tuple) else given
        if not isinstance(values, Mapping):
            was = ", was empty" if given == "" else f"; {NOT_SHOWN}"
            text = f"must be a list of names of environment variables, a mapping of keys, or null{was}"
            refuse([Problem((), f"notify {text}")])
        known = list(cls.model_fields)
        problems = [Problem((), _unknown_words(key, known)) for key in values if key not in cls.model_fields]
        if given in ([], ()) or (values and "urls" not in values and not problems):
            text = "urls must name at least one environment variable that holds a service's URL, was empty"
            problems.append(Problem(("urls",), text))
        problems += [
            Problem((key,), f"{key} must be no URL; {NOT_SHOWN}")
            for key in cls.model_fields
            if key != "urls" and isinstance(value := values.get(key), str) and "://" in value
        ]
        names = values.get("urls", [])
        if not isinstance(names, list | tuple):
            problems.append(Problem(("urls",), f"urls must be a list of names; {NOT_SHOWN}"))
        else:
            problems += [
                Problem(
                    ("urls",),
                    f"urls[{index}] must be the name of an environment variable that holds the "
                    f"service's URL; {NOT_SHOWN}",
                )
                for index, name in enumerate(names)
                if not is_variable_name(name)
            ]
        refuse(problems)
        return {**values, **({"urls": list(names)} if "urls" in values else {})}

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        doubled = sorted({name for name in self.urls if self.urls.count(name) > 1})
        problems = [
            Problem(("urls",), f"urls must name each variable once, was {name} more than once")
            for name in doubled
        ]
        if self.summary_every is not None and self.summary_every < _LEAST_PERIOD:
            text = f"summary_every must be at least 10s, was {self.summary_every.total_seconds():g}s"
            problems.append(Problem(("summary_every",), text))
        refuse(problems)
        return self
