"""What Grafana is provisioned with against what it reads: the fields of its own types, and no others.

Grafana passes over a field that it does not know, and an alert with a misspelt `noDataState` is another alert.
"""

import re
from typing import Any, Literal

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from stressd.render.files import rendered

FILES = rendered()
Duration = Field(pattern=r"^(\d+)(s|m|h|d)$")
Uid = Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Camel(Part):
    model_config = ConfigDict(alias_generator=to_camel)


class TimeRange(Part):
    from_: int = Field(alias="from", ge=0)
    to: int = Field(ge=0)


class Query(Camel):
    ref_id: str
    relative_time_range: TimeRange
    datasource_uid: str
    model: dict[str, Any]


class Rule(Camel):
    uid: str = Uid
    title: str = Field(min_length=1, max_length=190)
    condition: str
    data: list[Query] = Field(min_length=1)
    dashboard_uid: str = Uid
    panel_id: int
    no_data_state: Literal["OK", "NoData", "Alerting", "KeepLast"]
    exec_err_state: Literal["OK", "Error", "Alerting", "KeepLast"]
    for_: str = Field(alias="for", pattern=r"^(\d+)(s|m|h|d)$")
    annotations: dict[str, str]
    labels: dict[str, str]
    is_paused: bool


class Group(Camel):
    org_id: int
    name: str
    folder: str
    interval: str = Duration
    rules: list[Rule]


class Receiver(Part):
    uid: str = Uid
    type: Literal["webhook", "email"]
    settings: dict[str, str]


class ContactPoint(Camel):
    org_id: int
    name: str
    receivers: list[Receiver] = Field(min_length=1)


class Route(Part):
    receiver: str
    object_matchers: list[list[str]]
    group_wait: str = Duration
    repeat_interval: str = Duration


class Policy(Part):
    org_id: int = Field(alias="orgId")
    receiver: str
    group_by: list[str]
    group_wait: str = Duration
    group_interval: str = Duration
    repeat_interval: str = Duration
    routes: list[Route]


class Datasource(Camel):
    name: str
    uid: str = Uid
    type: Literal["prometheus"]
    access: Literal["proxy"]
    url: str
    is_default: bool
    editable: Literal[False]
    json_data: dict[str, str]


class Provider(Camel):
    name: str
    org_id: int
    folder: str
    type: Literal["file"]
    disable_deletion: bool
    allow_ui_updates: Literal[False]
    update_interval_seconds: int
    options: dict[str, Any]


class File(Camel):
    api_version: Literal[1]
    groups: list[Group] = []
    contact_points: list[ContactPoint] = []
    policies: list[Policy] = []
    datasources: list[Datasource] = []
    providers: list[Provider] = []


def documents():
    names = [name for name in FILES if name.startswith("grafana/provisioning")]
    return {name: yaml.safe_load(FILES[name]) for name in names}


@pytest.mark.parametrize("name", documents())
def test_a_file_has_the_fields_that_grafana_reads_and_no_others(name):
    parsed = File.model_validate(documents()[name])
    lists = [parsed.groups, parsed.contact_points, parsed.policies, parsed.datasources, parsed.providers]
    assert sum(map(bool, lists)) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("noDataState", "noDatastate"),
        ("panelId", "panel"),
        ("- uid: stressd", f"- uid: {'x' * 41}"),
        ("for: 2m", "for: 2 m"),
    ],
)
def test_a_misspelt_field_is_found(old, new):
    text = FILES["grafana/provisioning/alerting/rules.yml"]
    assert old in text
    with pytest.raises(ValidationError):
        File.model_validate(yaml.safe_load(text.replace(old, new, 1)))


def test_both_queries_of_a_rule_name_themselves_and_their_datasource():
    (datasource,) = documents()["grafana/provisioning/datasources/prometheus.yml"]["datasources"]
    for rule in documents()["grafana/provisioning/alerting/rules.yml"]["groups"][0]["rules"]:
        value, comparison = rule["data"]
        for query in (value, comparison):
            assert query["model"]["refId"] == query["refId"]
            assert query["model"]["datasource"]["uid"] == query["datasourceUid"]
        assert value["datasourceUid"] == datasource["uid"]
        assert value["model"]["instant"]
        assert value["relativeTimeRange"]["from"] > 0


def test_grafana_replaces_nothing_in_an_alert():
    # It replaces $NAME from its environment in titles and labels, ${NAME} in annotations; a template needs its `$`.
    for rule in documents()["grafana/provisioning/alerting/rules.yml"]["groups"][0]["rules"]:
        assert not re.search(r"\$", rule["title"] + str(rule["labels"]) + rule["uid"])
        assert "${" not in str(rule["annotations"])


def test_rules_of_a_group_and_ids_are_unique():
    (group,) = documents()["grafana/provisioning/alerting/rules.yml"]["groups"]
    for key in ("uid", "title"):
        values = [rule[key] for rule in group["rules"]]
        assert len(set(values)) == len(values)
