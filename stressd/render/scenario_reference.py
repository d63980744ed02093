"""docs/reference/scenario.md: every key of a scenario, from the schema that editors read."""

from collections.abc import Iterator
from typing import Any, Final

from stressd.render.markdown import page, paragraph, table
from stressd.scenario_file.resolving import short_number
from stressd.scenario_file.schema import Json, schema

_ABOUT: Final = """\
A scenario is a YAML file (or JSON) with these keys; what is left out has its default. `stressd validate FILE` prints it
as it would run, every default filled in, or every mistake with its line. The source (not the wheel) has commented ones
for the usual wishes in [config/scenarios](../../config/scenarios); `stressd scenarios` lists those that are built in.

A time is a number of seconds, or text: `20ms`, `90s`, `3m`, `24h`, `2d`. Every key can be set on the command line:
`--set pools.mixed.threads=4`.

Editors complete keys, show these texts and mark mistakes where a file begins with the line
`# yaml-language-server: $schema=scenario.schema.json` and the schema lies beside it:
[config/scenarios/scenario.schema.json](../../config/scenarios/scenario.schema.json), which is what
`stressd validate --schema` prints."""


def scenario_page() -> str:
    """Return the page."""
    made = schema()
    parts: dict[str, Json] = made["$defs"]
    return page(
        "stressd/scenario.py, stressd/pools.py, stressd/objectives.py and stressd/scenario_file/meanings.py",
        "A scenario's keys",
        _ABOUT.split("\n\n"),
        _part("Scenario", made),
        *(_part(name, _with_keys(parts[name])) for name in _in_order(made, parts)),
    )


def _in_order(part: Json, parts: dict[str, Json]) -> Iterator[str]:
    """Yield the names of the parts in the order in which a reader meets them, each once."""
    met: dict[str, None] = {}

    def walk(part: Json) -> None:
        for name in _references(part):
            if name not in met:
                met[name] = None
                walk(parts[name])

    walk(part)
    yield from met


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield _name(node)
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _with_keys(part: Json) -> Json:
    """Return the form of a part that has keys, where there is a shorter one as well."""
    forms = [form for form in part.get("anyOf", ()) if "properties" in form]
    return {**forms[0], "description": part["description"]} if forms else part


def _part(name: str, part: Json) -> str:
    needed = part.get("required", ())
    rows = (
        (f"`{key}`", _type(value), _default(value, needed=key in needed), value["description"])
        for key, value in part["properties"].items()
    )
    texts = "\n\n".join(paragraph(text) for text in part["description"].split("\n\n"))
    return f"## {name}\n\n{texts}\n\n{table(('key', 'takes', 'default', 'meaning'), rows)}"


def _default(value: Json, *, needed: bool) -> str:
    if needed:
        return "required"
    default = value.get("default")
    return "" if default in (None, "", []) else f"`{_written(default)}`"


def _written(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    return str(value)


def _type(node: Json) -> str:
    """Return what may be written at a place, in words."""
    if "$ref" in node:
        return f"[{_name(node)}](#{_name(node).lower()})"
    if "title" in node:
        return str(node["title"])
    if "enum" in node:
        return ", ".join(f"`{each}`" for each in node["enum"])
    if "anyOf" in node:
        return " or ".join(_type(each) for each in node["anyOf"] if each != {"type": "null"})
    return _WORDS[node["type"]](node)


def _name(node: Json) -> str:
    return str(node["$ref"]).rpartition("/")[2]


def _array(node: Json) -> str:
    if "prefixItems" in node:
        return f"[{', '.join(_short(each) for each in node['prefixItems'])}]"
    return f"list of {_type(node['items'])}"


def _short(node: Json) -> str:
    return str(node.get("title", node["type"]))


def _mapping(node: Json) -> str:
    values = node.get("additionalProperties")
    keys = "criterion" if "propertyNames" in node else "name"
    return f"{keys}: {_type(values)}" if isinstance(values, dict) else "a mapping"


def _bounds(node: Json) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    told = [f"{sign} {short_number(node[key]):,}" for key, sign in signs.items() if key in node and node[key] < 1e12]
    return f", {' and '.join(told)}" if told else ""


_WORDS: Final = {
    "string": lambda node: f"text like `{node['pattern']}`" if "pattern" in node else "text",
    "integer": lambda node: f"a whole number{_bounds(node)}",
    "number": lambda node: f"a number{_bounds(node)}",
    "array": _array,
    "object": _mapping,
}
