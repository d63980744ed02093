"""The pages hang together: links lead somewhere, every page can be found, what is made from code is all there."""

import re
from pathlib import Path

import pytest

from stressd.options.command_line import COMMANDS
from stressd.render.command_reference import command_line_page
from stressd.render.scenario_reference import scenario_page
from stressd.scenario_file.meanings import MEANINGS

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def text_of(page):
    """A page without its blocks of code and output, in which brackets are no links and hashes no headings."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def links_of(page):
    """The (file, part) that a page leads to, addresses elsewhere left out."""
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if not re.match(r"\w+:", target):
            name, _, part = target.partition("#")
            yield (page.parent / name).resolve() if name else page, part


def parts_of(page):
    """What a heading of a page is called in a link, as GitHub does."""
    headings = re.findall(r"^#+ (.*)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_every_link_leads_to_something(page):
    for target, part in links_of(page):
        assert target.exists(), f"{page.name}: {target}"
        assert not part or part in parts_of(target), f"{page.name}: {target.name} has no part {part}"


@each_page
def test_every_page_can_be_reached_from_the_readme(page):
    reached, ahead = {ROOT / "CONTRIBUTING.md"}, [ROOT / "README.md"]
    while ahead:
        here = ahead.pop()
        if here not in reached:
            reached.add(here)
            ahead += [target for target, _ in links_of(here) if target.suffix == ".md"]
    assert page in reached


def test_every_option_and_its_variable_is_in_the_reference():
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", command_line_page(), re.MULTILINE | re.DOTALL))
    for name, command in COMMANDS.items():
        for option in [option for group in command.groups.values() for option in group]:
            assert re.search(rf"^\| `{option.flag}\b.*`{option.variable}`", sections[name], re.MULTILINE), option.flag


def test_every_key_of_a_scenario_is_in_the_reference():
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", scenario_page(), re.MULTILINE | re.DOTALL))
    assert sections.keys() == {model.__name__ for model in MEANINGS}
    for model, meanings in MEANINGS.items():
        rows = re.findall(r"^\| `(\w+)` \|", sections[model.__name__], re.MULTILINE)
        assert rows == list(meanings)


def test_every_violation_and_every_exit_code_has_its_word():
    from stressd.errors import ExitCode
    from stressd.metrics import VIOLATIONS

    glossary = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", glossary, re.MULTILINE)) == set(VIOLATIONS)
    for code in ExitCode:
        assert re.search(rf"^(\d+, )?{int(code)}\b", command_line_page(), re.MULTILINE)


def test_pictures_are_small_and_say_what_they_show():
    pictures = list((ROOT / "docs/pictures").iterdir())
    shown = {target for page in PAGES for target, _ in links_of(page)}
    assert pictures
    for picture in pictures:
        assert picture in shown
        assert picture.stat().st_size < 200_000
    assert all(text for page in PAGES for text in re.findall(r"!\[([^]]*)\]", page.read_text(encoding="utf-8")))
