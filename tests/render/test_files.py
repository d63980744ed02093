"""What is made and checked in is what the code says, and follows the criteria."""

import re
from dataclasses import replace

import pytest
import yaml

from stressd.criteria import BY_NAME, CRITERIA, Line
from stressd.render.__main__ import main
from stressd.render.files import rendered

FILES = rendered()


@pytest.mark.parametrize("name", FILES)
def test_a_file_checked_in_is_as_it_would_be_made_now(project_root, name):
    assert (project_root / name).read_text(encoding="utf-8") == FILES[name], "make render"


def test_nothing_else_lies_where_made_files_do(project_root):
    folders = ("grafana", "config/prometheus")
    found = {
        path.relative_to(project_root).as_posix() for folder in folders for path in files_below(project_root, folder)
    }
    assert found == {name for name in FILES if name.startswith(folders)}


def files_below(root, folder):
    return [path for path in (root / folder).rglob("*") if path.is_file()]


def with_line(name, bound):
    """The criteria, one of them with its line of failing moved."""
    moved = replace(BY_NAME[name], fail_line=Line(BY_NAME[name].fail_line.comparison, bound))
    return [moved if criterion.name == name else criterion for criterion in CRITERIA]


@pytest.mark.parametrize(
    ("name", "bound", "shown"),
    [
        (
            "error_rate",
            7,
            {
                "config/prometheus/rules.yml": "> 0.07",
                "grafana/provisioning/alerting/rules.yml": "- 0.07",
                "grafana/dashboards/overview.json": '"value": 0.07',
                "docs/criteria.md": ">= 7 %",
            },
        ),
        (
            "memory_growth",
            33,
            {
                "config/prometheus/rules.yml": "> 33000000",
                "grafana/provisioning/alerting/rules.yml": "- 33000000",
                "grafana/dashboards/overview.json": '"value": 33000000.0',
                "docs/criteria.md": ">= 33 MB",
            },
        ),
        ("cpu_at_rest", 61, {"grafana/dashboards/overview.json": '"value": 0.61', "docs/criteria.md": ">= 61 %"}),
    ],
)
def test_moving_a_threshold_moves_it_everywhere(name, bound, shown):
    changed = rendered(with_line(name, bound))
    for file, text in shown.items():
        assert text not in FILES[file], file
        assert text in changed[file], file
    assert {file for file in FILES if FILES[file] != changed[file]} >= set(shown)


def test_a_criterion_of_ones_own_is_told_of_and_watched_like_the_others():
    own = replace(
        BY_NAME["cpu_at_rest"], name="online_read", unit="ms", pass_line=Line("<", 10), fail_line=Line(">=", 50)
    )
    made = rendered([*CRITERIA, own])
    assert "## online_read" in made["docs/criteria.md"]
    assert ">= 50 ms" in made["docs/criteria.md"]
    # Its status reaches rules and dashboards by its label: they name no criterion but the one that has its own alert.
    rules = made["config/prometheus/rules.yml"]
    assert re.findall(r"stressd_criterion_status(\S*)", rules) == ['{criterion!="data_integrity"}', ""]


def test_the_command_writes_what_changed_and_says_so(tmp_path, capsys):
    main(["--into", str(tmp_path)])
    assert capsys.readouterr().out.split() == list(FILES)
    (tmp_path / "docs/criteria.md").write_text("old")
    main(["--into", str(tmp_path)])
    assert capsys.readouterr().out.split() == ["docs/criteria.md"]
    assert {name: (tmp_path / name).read_text(encoding="utf-8") for name in FILES} == FILES


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".yml")])
def test_yaml_says_where_it_comes_from_and_has_no_anchors(name):
    assert FILES[name].startswith("# Made by `make render`")
    assert yaml.safe_load(FILES[name])
    events = yaml.parse(FILES[name], Loader=yaml.SafeLoader)
    assert not [event for event in events if isinstance(event, yaml.AliasEvent)]
