"""Presets and key=value changes: what they accept, and what they say."""

import re

import pytest
import yaml

from blending import BlendSettings
from clips.errors import ClipError
from clips.presets import SHIPPED, change_settings, load_preset, preset_names


@pytest.fixture
def presets(tmp_path):
    (tmp_path / "presets").mkdir()

    def write(name, text):
        (tmp_path / "presets" / f"{name}.yaml").write_text(text, encoding="utf-8")
        return tmp_path

    return write


def test_default_is_the_declared_defaults():
    assert load_preset("default") == BlendSettings()
    assert preset_names()[0] == "default"


@pytest.mark.parametrize("name", preset_names())
def test_every_shipped_preset_loads(name):
    assert isinstance(load_preset(name), BlendSettings)


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_presets_say_when_to_use_them(path):
    assert len(yaml.safe_load(path.read_text(encoding="utf-8"))["when"]) > 20


def test_classic_is_the_documented_recipe():
    classic = load_preset("classic")
    assert (classic.colour, classic.compositor, classic.feather_unit) == ("histogram", "alpha", "px")
    assert (classic.expansion_ratio, classic.feather_amount) == (1.15, 30)


def test_own_presets_stand_beside_the_shipped_ones_and_win(presets):
    presets("soft", "when: for beards\nfeather_amount: 55\n")
    workspace = presets("classic", "feather_amount: 5\n")
    assert preset_names(workspace) == ["default", "classic", "soft"]
    assert load_preset("soft", workspace) == BlendSettings(feather_amount=55)
    assert load_preset("classic", workspace) == BlendSettings(feather_amount=5)
    assert load_preset("classic").feather_unit == "px"


def test_default_cannot_be_taken_over(presets):
    workspace = presets("default", "feather_amount: 5\n")
    assert preset_names(workspace) == ["default", "classic"]
    assert load_preset("default", workspace) == BlendSettings()


@pytest.mark.parametrize("name", ["clasic", "../presets/classic", "classic.yaml", "", "/classic"])
def test_unknown_presets_are_refused_with_what_there_is(name):
    with pytest.raises(ClipError, match="there are: default, classic"):
        load_preset(name)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'setting: value' lines; got NoneType"),
        ("- feather_amount\n", "'setting: value' lines; got list"),
        ("feather_amount: [unclosed\n", "cannot be read as YAML"),
        ("fether_amount: 20\n", "did you mean feather_amount"),
        ("feather_amount: 99\n", "feather_amount must be between 0 and 60; got 99"),
        ("feather_amount: .nan\n", "feather_amount must be between 0 and 60; got nan"),
        ("feather_amount: yes\n", "feather_amount must be between 0 and 60; got True"),
        ("compositor: alfa\n", "did you mean alpha"),
        ("1: 2\n", "1 is not a setting"),
    ],
)
def test_bad_presets_say_which_and_why(presets, text, said):
    with pytest.raises(ClipError, match=r"^preset bad") as caught:
        load_preset("bad", presets("bad", text))
    assert said in str(caught.value)


def test_a_preset_that_is_no_text_is_refused(presets, tmp_path):
    presets("bad", "")
    (tmp_path / "presets" / "bad.yaml").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(ClipError, match="preset bad cannot be read as YAML"):
        load_preset("bad", tmp_path)


def test_changes_apply_in_order_over_the_preset():
    changed = change_settings(load_preset("classic"), ["feather_amount=10", " colour = none", "feather_amount=12.5"])
    assert changed == BlendSettings(
        feather_amount=12.5, colour="none", feather_unit="px", registration="off", down_share=1, texture=0
    )
    assert change_settings(changed, []) == changed


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ("feather_amount", "key=value; got 'feather_amount'"),
        ("fether_amount=3", "did you mean feather_amount"),
        ("feather_amount=many", "feather_amount must be a number; got 'many'"),
        ("feather_amount=", "feather_amount must be a number; got ''"),
        ("feather_amount=nan", "between 0 and 60; got nan"),
        ("feather_amount=inf", "between 0 and 60; got inf"),
        ("feather_amount=-0.1", "between 0 and 60; got -0.1"),
        ("expansion_ratio=1.31", "between 1.0 and 1.3; got 1.31"),
        ("colour=histgram", "did you mean histogram"),
        ("=3", "key=value; got '=3'"),
    ],
)
def test_bad_changes_say_which_and_why(pair, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        change_settings(BlendSettings(), [pair])
