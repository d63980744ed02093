"""YAML as people would write it: keys in their order, long texts as blocks, no anchors."""

from typing import Final

import yaml

HEADER: Final = (
    "# Made by `make render` from stressd/criteria.py, stressd/metrics.py and stressd/render/; edit those.\n"
)


class _Dumper(yaml.SafeDumper):
    """Indents lists below their key, and repeats instead of referring."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - YAML's own question
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def to_yaml(document: object, comment: str = "") -> str:
    """Return the document with a header that says where it comes from; `comment` is lines of its own below."""
    more = "".join(f"# {line}\n" for line in comment.splitlines())
    body: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=10_000, allow_unicode=True)
    return HEADER + more + body
