import base64
import os

import pytest

from stressd.errors import UsageError
from stressd.observe.access import SHORTEST_TOKEN, Token
from stressd.observe.messages import Request

SECRET = "s3cret-with-ümlaut-and:colon"


def asks(authorization):
    return Request("GET", "/", {"authorization": authorization})


def basic(text):
    return asks("Basic " + base64.b64encode(text.encode()).decode())


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "token"
    path.write_text(SECRET + "\n")
    return path


def as_sent(text):
    """How a header of UTF-8 bytes reaches the routes."""
    return text.encode().decode("latin-1")


def test_the_token_is_taken_as_a_bearer_and_as_a_password(file):
    token = Token(str(file))
    assert token.admits(asks(as_sent(f"Bearer {SECRET}")))
    assert token.admits(asks(as_sent(f"bearer  {SECRET} ")))
    assert token.admits(basic(f"anyone:{SECRET}"))
    assert not token.admits(basic(f"anyone:{SECRET}"), bearer_only=True)


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", f"Bearer {SECRET[:-1]}", f"Bearer {SECRET}x", SECRET, "Basic %%%", "Basic", "Basic YQ==",
     f"Digest {SECRET}", f"Bearer {SECRET},Bearer {SECRET}"],
)  # fmt: skip
def test_whatever_else_is_sent_is_not_admitted(file, authorization):
    assert not Token(str(file)).admits(asks(as_sent(authorization)))


def test_another_token_in_the_file_counts_at_once_and_an_unfit_one_never(file, caplog):
    token = Token(str(file))
    file.write_text("another one that is long")
    assert token.admits(asks("Bearer another one that is long"))
    assert not token.admits(asks(as_sent(f"Bearer {SECRET}")))
    for spoil in (lambda: file.write_text("short"), lambda: os.remove(file)):
        caplog.clear()
        spoil()
        assert token.admits(asks("Bearer another one that is long"))
        assert token.admits(asks("Bearer another one that is long"))
    file.write_text("the third of the tokens")
    assert token.admits(asks("Bearer the third of the tokens"))


def test_an_unfit_file_is_logged_once(file, caplog):
    token = Token(str(file))
    os.remove(file)
    for _ in range(3):
        assert token.admits(asks(as_sent(f"Bearer {SECRET}")))
    assert [record.message for record in caplog.records] == [
        f"--token-file {file}: cannot be read: No such file or directory; the token before it goes on counting"
    ]


@pytest.mark.parametrize("content", ["", "\n", "x" * (SHORTEST_TOKEN - 1), "x" * 5_000])
def test_an_unfit_token_is_refused_at_the_start(file, content):
    file.write_text(content)
    with pytest.raises(UsageError, match=r"--token-file .*bytes, from 16 to 4096 are needed"):
        Token(str(file))
    with pytest.raises(UsageError, match="cannot be read"):
        Token(str(file) + ".none")


def test_the_token_itself_is_kept_nowhere(file):
    token = Token(str(file))
    assert not [value for value in vars(token).values() if "s3cret" in repr(value)]
