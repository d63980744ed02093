"""The JSON Schema of scenario files, for editors: made from the models, so that it knows what they know.

What only looking at several keys at once can tell is beyond most of a schema; `_RULES` has what is not. For the rest
there is `stressd validate`.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema

from stressd.criteria import BY_NAME
from stressd.parts import Part
from stressd.pools import PARAMETERS, Mix
from stressd.scenario import FEATURE_GROUPS, Scenario
from stressd.scenario_file.meanings import MEANINGS
from stressd.scenario_file.resolving import short_number

Json = dict[str, Any]

# pydantic writes a bound on a number that may also come as text by its own word.
_KEYWORDS: Final = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
_ZERO: Final = {"maximum": 0, "pattern": r"^\s*0+(\.0+)?\s*(ms|s|m|h|d|)\s*$"}
_THERE: Final = {"not": {"type": "null"}}
_SOME: Final = {"minItems": 1}


def schema() -> Json:
    """Return the schema (draft 2020-12) of what a scenario file may say."""
    made = Scenario.model_json_schema(by_alias=True, schema_generator=_OfWhatIsWritten)
    parts = made.pop("$defs")
    for model, meanings in MEANINGS.items():
        _describe(made if model is Scenario else parts[model.__name__], model, meanings)
    for name, rules in _rules().items():
        part = made if name == "Scenario" else parts[name]
        part["allOf"] = rules
    parts["Keys"] = {
        "description": parts["Keys"].pop("description"),
        "anyOf": [{"enum": parts["Keys"]["properties"]["distribution"]["enum"]}, parts["Keys"]],
    }
    return {"$schema": GenerateJsonSchema.schema_dialect, **made, "title": "A scenario of stressd", "$defs": parts}


def schema_text() -> str:
    """Return the schema as a file holds it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


class _OfWhatIsWritten(GenerateJsonSchema):
    """Without a title for each key, which would only repeat it; bounds and defaults as people write them."""

    def field_title_should_be_set(self, _schema: object) -> bool:
        return False

    def generate_inner(self, schema: Any) -> Json:
        made = {_KEYWORDS.get(key, key): value for key, value in super().generate_inner(schema).items()}
        default = made.pop("default", None)
        # A part that is left out has the defaults of its keys; what they are stands beside these.
        return made if default is None or isinstance(default, dict) else made | {"default": _short(default)}


def _short(default: Any) -> Any:
    """Return a default as people write it: one number for two that are equal."""
    if isinstance(default, list):
        return short_number(default[0]) if len(default) == 2 and default[0] == default[1] else default
    return short_number(default)


def _describe(part: Json, model: type[Part], meanings: Mapping[str, str]) -> None:
    part["description"] = re.sub(r"(?<!\n)\n(?!\n)", " ", part.get("description", model.__doc__ or ""))
    for key, meaning in meanings.items():
        part["properties"][key]["description"] = meaning


# --- What several keys say together ------------------------------------------------------------------


def _rules() -> dict[str, list[Json]]:
    names_of_movies = {"type": "array", "items": {"enum": list(FEATURE_GROUPS)}}
    lanes_at_work = {"items": _with(target={"type": "integer"})}
    probes = {"anyOf": [_has("before", _SOME), _has("after", _SOME)]}
    return {
        "Mix": [{"anyOf": [_has(name, {"exclusiveMinimum": 0}) for name in Mix.model_fields]}],
        "Keys": [
            _when(_has(name, _THERE), _has("distribution", {"enum": distributions}))
            for name, distributions in sorted(_distributions().items())
        ],
        "Pool": [
            _with(name={"not": {"const": "probe"}}),
            _when(
                _has("rate", {"type": "number"}),
                _with(think_time_s=_ZERO),
                _with(arrival={"const": "constant"}, stages=lanes_at_work),
            ),
        ],
        "Content": [
            _with(names={**_SOME, "uniqueItems": True}),
            _when(_with(kind={"const": "movies"}), _with(names=names_of_movies)),
        ],
        "Fault": [_when(_has("every_s", _THERE), _with(per_minute={"type": "null"}))],
        "Objective": [
            _with(name={"not": {"enum": list(BY_NAME)}}),
            _when(_has("source", _THERE), _with(op={"const": "read"}, stat={"not": {"const": "error_ratio"}})),
        ],
        "Scenario": [
            {"anyOf": [_has("pools", _SOME), _has("probes", probes)]},
            _when(_has("slo", _SOME), _has("pools", _SOME)),
            _when(_has("phases", _SOME), _has("pools", {**_SOME, "items": _with(stages={"maxItems": 0})})),
        ],
    }


def _distributions() -> dict[str, list[str]]:
    """Return which distributions of keys have each parameter."""
    names = {name for own in PARAMETERS.values() for name in own}
    return {name: [each for each, own in PARAMETERS.items() if name in own] for name in names}


def _with(**properties: Json) -> Json:
    """Return a schema of objects whose keys, those that are there, are like this."""
    return {"properties": properties}


def _has(name: str, value: Json) -> Json:
    """Return a schema of objects that have this key, and it is like this."""
    return {"required": [name], "properties": {name: value}}


def _when(condition: Json, then: Json, otherwise: Json | None = None) -> Json:
    """Return a schema of what is like `then` if it is like `condition`, like `otherwise` if not."""
    return {"if": condition, "then": then} | ({} if otherwise is None else {"else": otherwise})
