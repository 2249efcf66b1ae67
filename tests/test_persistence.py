"""Saved models: whole, without code, and of a known version."""

import errno
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline

from hyperfusion import (
    CatBoostHuberRegressor,
    ClipHierarchicalRegressor,
    GloveTextVectorizer,
    HyperFusionRegressor,
    TemporalEncoder,
    load_model,
    make_hyperfusion,
    make_posts,
    save_model,
)
from hyperfusion import persistence as module
from hyperfusion._writing import written_whole
from hyperfusion.exceptions import (
    BadFileError,
    InvalidInputError,
    MissingDependencyError,
    VersionWarning,
)

skops = pytest.importorskip("skops", reason="needs skops")

TIMES = ["2024-05-01 12:00", "2024-05-02 18:30"]


@pytest.fixture(scope="module")
def pipeline():
    posts = make_posts(40, random_state=0)
    model = make_hyperfusion(
        **posts.roles,
        image_encoder="hyperfusion-tiny",
        text_encoder="hyperfusion-tiny",
        members=[
            ("catboost", CatBoostHuberRegressor(iterations=10)),
            ("network", ClipHierarchicalRegressor(max_iter=2)),
            ("ridge", Ridge(solver="lsqr")),
        ],
        cv=2,
        random_state=0,
    )
    return model.fit(posts.data, posts.target), posts.data


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "encoder"
    save_model(TemporalEncoder().fit(TIMES), path)
    return path


def rewrite(path, change):
    """Change the schema inside a saved file."""
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    schema = json.loads(parts["schema.json"])
    change(schema)
    parts["schema.json"] = json.dumps(schema).encode()
    with zipfile.ZipFile(path, "w") as file:
        for name, data in parts.items():
            file.writestr(name, data)


def test_whole_pipeline_predicts_the_same(pipeline, tmp_path):
    model, posts = pipeline
    save_model(model, tmp_path / "model.skops")
    loaded = load_model(tmp_path / "model.skops")
    assert_array_equal(loaded.predict(posts), model.predict(posts))
    assert [p.name for p in tmp_path.iterdir()] == ["model.skops"]


def test_members_of_the_default_preset_load(tmp_path):
    X = np.random.RandomState(0).normal(size=(60, 3))
    model = HyperFusionRegressor(cv=2, random_state=0).fit(X, X[:, 0])
    save_model(model, tmp_path / "model.skops")
    loaded = load_model(tmp_path / "model.skops")
    assert_array_equal(loaded.predict(X), model.predict(X))


def test_encoders_weights_stay_out(pipeline, tmp_path):
    encode = pipeline[0][:1]
    save_model(encode, tmp_path / "model.skops")
    weights = 4_700_000  # bytes of the tiny CLIP, which both CLIP encoders use
    assert (tmp_path / "model.skops").stat().st_size < weights / 4
    assert len(pickle.dumps(encode)) < weights / 4


def test_unknown_types_are_refused_and_named(tmp_path):
    model = TemporalEncoder().fit(TIMES)
    model.extra_ = Foreign()
    save_model(model, tmp_path / "model")
    with pytest.raises(InvalidInputError, match=r"Foreign.*trusted="):
        load_model(tmp_path / "model")
    name = f"{__name__}.Foreign"
    assert isinstance(load_model(tmp_path / "model", trusted=[name]).extra_, Foreign)


class Foreign:
    """A type that the package doesn't know."""


@pytest.mark.parametrize(
    ("home", "name"),
    [
        ("posix", "system"),
        ("hyperfusion.persistence", "import_module"),
        ("hyperfusion.persistence", "zipfile"),
        ("hyperfusion.persistence", "Path"),
        ("hyperfusion.no_such_module", "Thing"),
    ],
)
def test_a_forged_file_can_not_reach_for_code(saved, home, name):
    def forge(schema):
        schema["__module__"], schema["__class__"] = home, name

    rewrite(saved, forge)
    with pytest.raises(InvalidInputError, match="not trusted"):
        load_model(saved)


@pytest.mark.parametrize("share", [0, 0.5, 0.95])
def test_a_truncated_file_is_noticed(saved, share):
    data = saved.read_bytes()
    saved.write_bytes(data[: int(share * len(data))])
    with pytest.raises(BadFileError, match="damaged"):
        load_model(saved)


def deep(schema):
    schema["content"] = json.loads("[" * 900 + "]" * 900)


def lists_of_lists(schema):
    kind = {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode"}
    inner = []
    for level in range(40):
        again = [{**kind, "content": [], "__id__": f"list {level - 1}"}] * 9
        inner = [{**kind, "content": inner + again, "__id__": f"list {level}"}]
    schema["content"]["content"]["more"] = inner[0]


TAMPERED = {
    "a list for an object": lambda schema: schema.update(content=[1, 2]),
    "a number for a loader": lambda schema: schema.update(__loader__=3),
    "no such loader": lambda schema: schema.update(__loader__="NoSuchNode"),
    "no class": lambda schema: schema.pop("__class__"),
    "a number for a class": lambda schema: schema.update(__class__=5),
    "an object for a module": lambda schema: schema.update(__module__={}),
    "a version of another kind": lambda schema: schema.update(protocol="new"),
    "nested": deep,
    "lists that hold one another": lists_of_lists,
}


@pytest.mark.parametrize("name", TAMPERED)
def test_tampered_files_give_one_error_that_names_them(saved, name):
    rewrite(saved, TAMPERED[name])
    with pytest.raises((BadFileError, InvalidInputError), match=str(saved)):
        load_model(saved)


@pytest.mark.parametrize(
    "schema",
    ["", "[]", "null", "[" * 10**6, b"\xff", '{"a": ' * 5_000 + "1" + "}" * 5_000],
)
def test_files_with_another_schema(saved, schema):
    with zipfile.ZipFile(saved, "w") as file:
        file.writestr("schema.json", schema)
    with pytest.raises(BadFileError, match=str(saved)):
        load_model(saved)


def test_padding_is_refused_before_it_takes_memory(saved):
    with zipfile.ZipFile(saved) as file:
        schema = file.read("schema.json")
    with (
        zipfile.ZipFile(saved, "w", zipfile.ZIP_DEFLATED) as file,
        file.open("schema.json", "w", force_zip64=True) as stream,
    ):
        stream.write(schema)
        for _ in range(60):
            stream.write(b" " * 2**20)
    assert saved.stat().st_size < 2**18
    with pytest.raises(BadFileError, match="bytes when unpacked"):
        load_model(saved)


class Payload:
    """Unpickling this makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_swapped_file_of_word_vectors_runs_no_code(tmp_path):
    vectors, run = tmp_path / "vectors.txt", tmp_path / "run"
    vectors.write_text("sea 1 2\nsun 3 4\n")
    save_model(GloveTextVectorizer(vectors).fit(["sea"]), tmp_path / "model.skops")
    vectors.write_bytes(pickle.dumps(Payload(run)))
    loaded = load_model(tmp_path / "model.skops")
    with pytest.raises(BadFileError, match=str(vectors)):
        loaded.transform(["sea"])
    assert not run.exists()
    pickle.loads(vectors.read_bytes())
    assert run.exists()


@pytest.mark.parametrize(
    "nest", [lambda e: e, make_pipeline, lambda e: Pipeline([("e", e)], memory="x")]
)
def test_swapped_fits_in_a_folder_of_memory_run_no_code(nest, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    X, y = np.arange(20.0).reshape(-1, 1), np.arange(20.0)
    ensemble = HyperFusionRegressor([Ridge()], cv=2, memory="fits", random_state=0)
    model = nest(ensemble).fit(X, y)
    save_model(model, "model.skops")
    run, stored = tmp_path / "run", list(Path("fits").rglob("output.pkl"))
    assert stored
    for file in stored:
        file.write_bytes(pickle.dumps(Payload(run)))
    loaded = load_model("model.skops").fit(X, y)
    assert_array_equal(loaded.predict(X), model.predict(X))
    assert not run.exists()


def test_a_missing_folder_is_named(tmp_path):
    folder = tmp_path / "models"
    with pytest.raises(InvalidInputError, match=f"folder '{folder}' does not exist"):
        save_model(TemporalEncoder(), folder / "model.skops")
    for place in (tmp_path, "."):
        with pytest.raises(InvalidInputError, match="is a folder: give a file in it"):
            save_model(TemporalEncoder(), place)
    with pytest.raises(FileNotFoundError, match=r"model\.skops"):
        load_model(folder / "model.skops")


def test_a_pickle_is_no_such_file(tmp_path):
    (tmp_path / "model").write_bytes(pickle.dumps(TemporalEncoder().fit(TIMES)))
    with pytest.raises(BadFileError, match=r"pickle\.load"):
        load_model(tmp_path / "model")


def test_a_failed_save_leaves_the_old_file(saved):
    before = saved.read_bytes()
    model = TemporalEncoder().fit(TIMES)
    model.extra_ = (i for i in range(3))  # generators can't be saved
    with pytest.raises(Exception, match="generator"):
        save_model(model, saved)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_writing_keeps_files_beside_it_and_links(tmp_path):
    (tmp_path / "model").write_text("old")
    (tmp_path / "model.unfinished").write_text("the user's own")
    (tmp_path / "link").symlink_to(tmp_path / "model")
    path = tmp_path / "link"
    with written_whole(path) as one, written_whole(path) as two:
        one.write_text("one")
        two.write_text("two")
        assert (tmp_path / "model").read_text() == "old"
    kept = {p.name: p.read_text() for p in tmp_path.iterdir()}
    own = {"model.unfinished": "the user's own"}
    assert kept == {"model": "one", "link": "one", **own}
    assert path.is_symlink()
    with pytest.raises(OSError, match=r"No space.*model"), written_whole(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert path.read_text() == "one"


def test_another_version_is_named(saved, monkeypatch):
    data = pickle.dumps(TemporalEncoder().fit(TIMES))
    monkeypatch.setattr("hyperfusion._base.__version__", "99.0")
    for load in (lambda: pickle.loads(data), lambda: load_model(saved)):
        with pytest.warns(VersionWarning, match=r"99\.0.*scikit-hyperfusion==\d"):
            loaded = load()
        assert np.isfinite(loaded.transform(TIMES)).all()
        assert "_hyperfusion_version" not in vars(loaded)


def test_skops_missing_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "skops", None)
    monkeypatch.setitem(__import__("sys").modules, "skops.io", None)
    with pytest.raises(MissingDependencyError, match=r"scikit-hyperfusion\[skops\]"):
        save_model(TemporalEncoder(), tmp_path / "model")
    assert module.load_model is load_model
