"""What the parts of a scenario are made of: strict values, lengths of time, and mistakes that know their place."""

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, ValidationError, WithJsonSchema
from pydantic_core import InitErrorDetails, PydanticCustomError

from stressd import durations


def parse_duration_s(value: object) -> object:
    """Return the seconds that a text like `90s` says; whatever else comes in goes through unchanged."""
    try:
        return durations.parse_s(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _seconds(value: object) -> object:
    return durations.parse_s(value) if isinstance(value, str) else value


def number_or_text(title: str, pattern: str, **bounds: float) -> Any:
    """Return the type, for a JSON Schema, of what may be written as a number or as a text of that pattern."""
    schema = {"title": title, "type": ["number", "string"], "pattern": pattern}
    return Annotated[Any, WithJsonSchema(schema | bounds)]


# Strict: `true` is no 1 and "5" is no 5. A file that means a number writes one.
Whole = Annotated[int, Strict()]
Real = Annotated[float, Strict()]
Seconds = Annotated[Real, BeforeValidator(_seconds, number_or_text("a time", durations.PATTERN)), Field(ge=0)]
Span = Annotated[
    Real, BeforeValidator(_seconds, number_or_text("a time above 0", durations.PATTERN_ABOVE_0)), Field(gt=0)
]

# Where in a part a mistake is, and what it is.
Mistakes = Iterable[tuple[tuple[str | int, ...], str]]


def refuse(mistakes: Mistakes) -> None:
    """Raise all mistakes as one error, each with its place; do nothing if there are none."""
    details = [
        InitErrorDetails(type=PydanticCustomError("mistake", "{text}", {"text": text}), loc=place, input=None)
        for place, text in mistakes
    ]
    if details:
        raise ValidationError.from_exception_data("Scenario", details)


class Part(BaseModel):
    """A part of a scenario: frozen, without unknown keys, without infinite numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
