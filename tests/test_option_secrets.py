"""What of a target's options is a secret, and what may be kept of them."""

import pytest

from stressd import redaction
from stressd.errors import UsageError
from stressd.redaction import MARK
from stressd.scenario_file import expand_secrets, without_secrets


@pytest.fixture(autouse=True)
def nothing_hidden(monkeypatch):
    monkeypatch.setattr(redaction, "_hidden", set())
    monkeypatch.setattr(redaction, "_forms", ())


@pytest.mark.parametrize(
    "name",
    [
        *("password", "PASSWORD", "db_password", "passwd", "pwd", "passphrase", "secret", "client_secret", "token"),
        *("auth-token", "api_key", "apikey", "aws_secret_access_key", "private_key", "credentials", "account_key"),
    ],
)
def test_a_secret_by_its_name_is_left_out_and_hidden(name):
    assert without_secrets({name: "hunter22"}) == {name: MARK}
    assert without_secrets({"nested": [{name: 123456}]}) == {"nested": [{name: MARK}]}
    assert expand_secrets({"nested": [{name: "hunter22"}]}) == {"nested": [{name: "hunter22"}]}
    assert redaction.hidden() == ["hunter22"]


@pytest.mark.parametrize("name", ["path", "keys", "partition_key", "tokens_per_s", "passes", "url", "secretary"])
def test_other_options_stay_as_they_are(name):
    options = {name: "hunter22", "on": True, "none": None, "size": 1.5}
    assert without_secrets(options) == options
    assert expand_secrets(options) == options
    assert redaction.hidden() == []


def test_references_stay_as_they_are_written_and_what_they_stand_for_is_hidden(tmp_path):
    (tmp_path / "pw").write_text("from a file\n")
    options = {"password": "${PW}", "path": "${HOME}/x", "url": "db://u:${PW}@h", "key": f"file:{tmp_path}/pw"}
    assert without_secrets(options) == options
    assert expand_secrets(options, {"PW": "hunter22", "HOME": "/home-of-me"})["url"] == "db://u:hunter22@h"
    assert redaction.hidden() == ["from a file", "hunter22"]


def test_a_password_within_a_url_is_left_out_and_hidden():
    options = {"url": "postgres://me:hunter22@db:5432/x?y=a:b@c", "plain": "http://db:5432/a:b@c"}
    assert without_secrets(options) == {**options, "url": f"postgres://me:{MARK}@db:5432/x?y=a:b@c"}
    expand_secrets(options)
    assert redaction.hidden() == ["hunter22"]


def test_what_was_left_out_cannot_be_used_and_that_is_said():
    with pytest.raises(
        UsageError, match=r"^target option password: it is left out .* put \$\{NAME\} or file:PATH there"
    ):
        expand_secrets(without_secrets({"password": "hunter22"}))
    with pytest.raises(UsageError, match="target option url: it is left out"):
        expand_secrets(without_secrets({"url": "db://me:hunter22@h"}))
