"""Presets of one's own and links: what is stored, what is refused, and in which words."""

import math
import random
import threading

import pytest
import yaml

from blending import BlendSettings
from clips.core_clips_processor import AUTOMATIC
from clips.errors import ClipError
from clips.presets import load_preset
from studio.links import link_query, read_link
from studio.preset_shelf import PresetShelf

SOFT = {"feather_amount": 50, "registration": "off"}
EVENING = "05,20s talk evening"


@pytest.fixture
def shelf(tmp_path):
    return PresetShelf(tmp_path)


def names(shelf, *scope):
    return [preset.name for preset in shelf.listing(*scope)[0]]


def test_saved_presets_come_back_and_are_found_by_the_command_line_too(shelf, tmp_path):
    assert shelf.save("  Bärte, weich ", SOFT, when="for\nbeards") == "Bärte, weich"
    assert names(shelf) == ["default", "classic", "Bärte, weich"]
    assert shelf.load("Bärte, weich") == load_preset("Bärte, weich", tmp_path) == BlendSettings.parse(SOFT)
    preset = shelf.listing()[0][-1].describe()
    assert (preset["kind"], preset["when"], preset["scope"]) == ("own", "for beards", "everything")
    assert [path.name for path in (tmp_path / "presets").iterdir()] == ["Bärte, weich.yaml"]


def test_all_values_are_stored_so_that_new_defaults_do_not_change_them(shelf, tmp_path):
    shelf.save("plain", {})
    stored = yaml.safe_load((tmp_path / "presets" / "plain.yaml").read_text(encoding="utf-8"))
    assert stored == BlendSettings().model_dump()


def test_narrower_presets_win(shelf):
    shelf.save("mine", {"feather_amount": 10})
    shelf.save("mine", {"feather_amount": 20}, model="LS1")
    shelf.save("mine", {"feather_amount": 30}, model="LS1", clip=EVENING)
    feather = [
        shelf.load("mine", *scope).feather_amount for scope in ((), ("LS1",), ("LS1", "silence"), ("LS1", EVENING))
    ]
    assert feather == [10, 20, 20, 30]
    assert shelf.load("mine", "LS1", AUTOMATIC).feather_amount == 20
    assert shelf.listing("LS1", EVENING)[0][-1].scope == f"LS1, {EVENING}"
    shelf.delete("mine", model="LS1", clip=EVENING)
    assert shelf.load("mine", "LS1", EVENING).feather_amount == 20


@pytest.mark.parametrize(
    ("model", "clip"), [("../x", None), ("LS1", "../x"), ("nobody", None), (["LS1"], None), ("LS1", 3)]
)
def test_scopes_are_known_names(shelf, tmp_path, model, clip):
    with pytest.raises(ClipError, match=r"model|clip"):
        shelf.save("mine", SOFT, model=model, clip=clip)
    assert not (tmp_path / "presets").exists()


@pytest.mark.parametrize("name", ["default", "Classic", "DEFAULT", "classic"])
def test_shipped_presets_stay_as_they_are(shelf, name):
    with pytest.raises(ClipError, match="save under another name"):
        shelf.save(name, SOFT, replace=True)
    for change in (lambda: shelf.delete(name.lower()), lambda: shelf.rename(name.lower(), "other")):
        with pytest.raises(ClipError, match="stays as it is; save it under another name"):
            change()


@pytest.mark.parametrize(
    "name",
    ["", "   ", ".hidden", "a/b", "..", "../../x", "a\\b", "a:b", "a\0b", "a\nb", "x" * 61, "\ud800", "end.", "NUL",
     "com1.soft", "\u202egnp", None, 3, True, ["a"], float("nan")],
)  # fmt: skip
def test_names_never_become_paths(shelf, tmp_path, name):
    with pytest.raises(ClipError, match="name"):
        shelf.save(name, SOFT)
    shelf.save("good", SOFT)
    with pytest.raises(ClipError, match="name"):
        shelf.rename("good", name)
    for change in (shelf.delete, shelf.load, lambda name: shelf.rename(name, "other")):
        with pytest.raises(ClipError, match="preset"):
            change(name)
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.yaml")] == ["presets/good.yaml"]


def test_names_that_meet_on_other_systems_clash(shelf):
    shelf.save("Größe", SOFT)
    for other in ("größe", "GRÖSSE", "Gro\u0308ße"):
        with pytest.raises(ClipError, match="there is a preset 'Größe' already"):
            shelf.save(other, SOFT, replace=other == "größe")
    assert shelf.save("Gro\u0308ße", {"feather_amount": 1}, replace=True) == "Größe"
    assert shelf.load("Größe").feather_amount == 1
    assert shelf.rename("Größe", "größe") == "größe"
    shelf.save("b", SOFT)
    with pytest.raises(ClipError, match="already"):
        shelf.rename("b", "Größe")
    assert names(shelf) == ["default", "classic", "b", "größe"]


@pytest.mark.parametrize(
    "values", [{"feather_amount": math.nan}, {"fether": 1}, {"feather_amount": True}, {"colour": []}, [1]]
)
def test_wrong_values_write_nothing(shelf, tmp_path, values):
    with pytest.raises(ValueError, match=r"must be|not a setting"):
        shelf.save("mine", values)
    assert list(tmp_path.iterdir()) == []


def test_files_that_cannot_be_used_are_shown_with_the_reason(shelf, tmp_path):
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "bad.yaml").write_text("feather_amount: 99\n", encoding="utf-8")
    (tmp_path / "presets" / "default.yaml").write_text("feather_amount: 9\n", encoding="utf-8")
    (tmp_path / "presets" / ".half.part.yaml").write_text("", encoding="utf-8")
    shown, notes = shelf.listing()
    assert [preset.name for preset in shown] == ["default", "classic", "bad"]
    assert "between 0 and 60" in shown[-1].error
    assert shown[0].settings == BlendSettings()
    assert notes == ["presets/default.yaml is left aside: default names the built-in values; rename the file to use it"]


def test_two_people_who_save_at_once_leave_a_whole_file(shelf):
    def save(value):
        shelf.save("both", {"feather_amount": value}, replace=True)

    threads = [threading.Thread(target=save, args=(value,)) for value in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shelf.load("both").feather_amount in range(20)
    assert names(shelf) == ["default", "classic", "both"]


def test_links_give_back_what_they_hold():
    rng = random.Random(6)
    for _ in range(200):
        values = {}
        for control in BlendSettings.controls():
            if control.kind == "choice":
                values[control.name] = rng.choice(control.choices)
            else:
                steps = round((control.maximum - control.minimum) / control.step)
                values[control.name] = round(control.minimum + rng.randint(0, steps) * control.step, 6)
        settings = BlendSettings.parse(values)
        state = read_link("?" + link_query(settings, "LS1", EVENING, 31))
        assert (state.settings, state.model, state.base, state.frame) == (settings, "LS1", EVENING, 31)
    assert link_query(BlendSettings()) == ""
    assert read_link("__theme=dark").settings == BlendSettings()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("fether_amount=3", "did you mean feather_amount"),
        ("feather_amount=nan", "feather_amount must be between 0 and 60; got nan"),
        ("feather_amount=-inf", "feather_amount must be between 0 and 60"),
        ("feather_amount=61", "feather_amount must be between 0 and 60; got 61"),
        ("feather_amount=", "feather_amount must be a number"),
        ("colour=%00", "colour must be one of"),
        ("colour=none&colour=none", "colour stands twice"),
        ("frame=-1", "frame must be a whole number"),
        ("frame=1e3", "frame must be a whole number"),
        ("frame=%D9%A3", "frame must be a whole number"),
        ("model=", "model must be a name"),
        ("base=" + "x" * 300, "base must be a name"),
        ("x" * 5000, "4000 characters"),
        ("colour=%ff", "cannot be read"),
        ("&".join(f"a{n}=1" for n in range(100)), "cannot be read"),
        (None, "must be text"),
    ],
)
def test_links_that_do_not_fit_name_the_key(query, said):
    with pytest.raises(ValueError, match=said):
        read_link(query)
