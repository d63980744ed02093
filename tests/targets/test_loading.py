import pytest

from stressd.errors import TargetError
from stressd.targets.loading import BUILT_IN, load_target, with_folder
from stressd.targets.noop import NoopTarget
from stressd.targets.protocol import TargetSpec, abilities_of

GOOD = """
class Store:
    def __init__(self, url="nowhere", size=1):
        if size < 1:
            raise ValueError(f"size {size} is below 1")
        self.url = url
    def setup(self): pass
    def teardown(self): pass
    def open(self): return self
def factory(**options): return Store(**options)
class Halfway:
    def open(self): pass
text = "not to be called"
"""


@pytest.fixture
def module(tmp_path, monkeypatch, request):
    """Write a module into the current folder; returns its name, a new one each time."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    written = []

    def write(text):
        name = f"own_store_{abs(hash(request.node.nodeid))}_{len(written)}"
        written.append(name)
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return write


@pytest.mark.parametrize("name", [name for name in BUILT_IN if name != "embedded"])
def test_the_built_in_ones_are_found_by_name(name):
    assert load_target(TargetSpec(name)).open() is not None


def test_the_embedded_one_is_given_a_folder_and_a_folder_that_was_given_is_kept(tmp_path):
    assert with_folder(TargetSpec("embedded"), "/state/store").options == {"path": "/state/store"}
    assert with_folder(TargetSpec("embedded", {"path": "/mine"}), "/state/store").options == {"path": "/mine"}
    assert with_folder(TargetSpec("memory"), "/state/store").options == {}
    target = load_target(with_folder(TargetSpec("embedded"), str(tmp_path / "store")))
    target.setup()
    assert (tmp_path / "store").is_dir()
    target.teardown()


@pytest.mark.parametrize("what", ["Store", "factory"])
def test_anyones_own_class_or_factory_is_built_with_its_options(module, what):
    target = load_target(TargetSpec(f"{module(GOOD)}:{what}", {"url": "here", "size": 2}))
    assert target.url == "here"


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (TargetSpec("embeded"), "did you mean embedded"),
        (TargetSpec("redis"), "there are embedded, memory, noop, and module:factory"),
        (TargetSpec("no_such_module_at_all:Store"), "no module no_such_module_at_all in"),
        (TargetSpec("memory", {"size": 3}), "cannot be built with options size: TypeError"),
        (TargetSpec("json:no_such_thing"), "has no no_such_thing to call"),
    ],
)
def test_what_is_wrong_with_a_target_is_said(spec, told):
    with pytest.raises(TargetError, match=told):
        load_target(spec)


@pytest.mark.parametrize(
    ("text", "what", "options", "told"),
    [
        ("import no_such_dependency", "Store", {}, "importing .* failed: ModuleNotFoundError: .*no_such_dependency"),
        ("1 / 0", "Store", {}, "importing .* failed: ZeroDivisionError"),
        ("def (", "Store", {}, "importing .* failed: SyntaxError"),
        (GOOD, "Storage", {}, "has no Storage to call"),
        (GOOD, "text", {}, "has no text to call"),
        (GOOD, "Halfway", {}, r"Halfway has no setup, teardown\(\); a target has all of them"),
        (GOOD, "Store", {"size": 0}, "cannot be built with options size: ValueError: size 0 is below 1"),
    ],
)
def test_what_is_wrong_with_anyones_own_is_said(module, text, what, options, told):
    with pytest.raises(TargetError, match=told):
        load_target(TargetSpec(f"{module(text)}:{what}", options))


def test_options_are_named_but_their_values_are_kept_secret(module):
    with pytest.raises(TargetError) as raised:
        load_target(TargetSpec(f"{module(GOOD)}:Store", {"password": "hunter2"}))
    assert "password" in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_noop_stores_nothing_and_says_so():
    target = NoopTarget()
    assert not abilities_of(target).storage
    session = target.open()
    assert session.save("group", {}) is None
    assert session.read("group", ["name"]) == {}
