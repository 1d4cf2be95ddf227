"""BlendSettings: declared once, forbidden keys, readable messages."""

import math
import re

import pytest

from blending import COLOUR_METHODS, COMPOSITORS, BlendSettings

CONTROLS = {control.name: control for control in BlendSettings.controls()}


def test_defaults_and_ranges_are_the_documented_ones() -> None:
    chosen = BlendSettings()
    assert (chosen.expansion_ratio, chosen.feather_amount) == (1.15, 30)
    assert (chosen.feather_unit, chosen.compositor, chosen.colour, chosen.colour_amount) == (
        "adaptive", "alpha", "membrane", 1.0,
    )  # fmt: skip
    assert (chosen.registration, chosen.use_parsing) == ("on", "on")
    assert (chosen.outward_share, chosen.down_share, chosen.side_share) == (0, 1.25, 1)
    assert [(c.minimum, c.maximum, c.step) for c in list(CONTROLS.values())[:2]] == [(1.0, 1.3, 0.01), (0, 60, 1)]


def test_every_field_is_a_complete_control() -> None:
    assert list(CONTROLS) == list(BlendSettings.model_fields)
    assert CONTROLS["compositor"].choices == tuple(COMPOSITORS)
    assert CONTROLS["colour"].choices == tuple(COLOUR_METHODS)
    for control in CONTROLS.values():
        assert control.label
        assert control.help.endswith(".")
        if control.kind == "choice":
            assert control.default in control.choices
            assert len(control.choices) > 1
        else:
            assert control.minimum < control.maximum
            assert control.minimum <= control.default <= control.maximum
            assert 0 < control.step < control.maximum - control.minimum


@pytest.mark.parametrize("name", CONTROLS)
def test_every_allowed_value_is_taken(name: str) -> None:
    control = CONTROLS[name]
    for value in control.choices or (control.minimum, control.maximum):
        assert getattr(BlendSettings.parse({name: value}), name) == value


def test_written_numbers_are_numbers_and_round_trip() -> None:
    chosen = BlendSettings.parse({"expansion_ratio": "1.2", "feather_amount": 12})
    assert chosen.expansion_ratio == 1.2
    assert BlendSettings.parse(chosen.model_dump()) == chosen
    assert len({chosen, BlendSettings.parse(chosen.model_dump())}) == 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"expansion_ratio": math.nan}, "expansion_ratio must be between 1.0 and 1.3; got nan"),
        ({"expansion_ratio": 1.31}, "expansion_ratio must be between 1.0 and 1.3; got 1.31"),
        ({"expansion_ratio": True}, "expansion_ratio must be between 1.0 and 1.3; got True"),
        ({"feather_amount": -1}, "feather_amount must be between 0 and 60; got -1"),
        ({"feather_amount": math.inf}, "feather_amount must be between 0 and 60; got inf"),
        ({"feather_amount": "wide"}, "feather_amount must be between 0 and 60; got 'wide'"),
        ({"feather_amount": None}, "feather_amount must be between 0 and 60; got None"),
        ({"feather_amount": [1, 2]}, "feather_amount must be between 0 and 60; got [1, 2]"),
        ({"colour": "histogramm"},
         "colour must be one of membrane, covariance, mean_std, histogram, none; "
         "got 'histogramm'; did you mean histogram?"),
        ({"compositor": 3}, "compositor must be one of alpha, poisson, multiband, hard; got 3"),
        ({"expansion": 1.1}, "expansion is not a setting; did you mean expansion_ratio?"),
        ({"color": "none"}, "color is not a setting; did you mean colour?"),
        ({"colour_amount": 2, "featherAmount": 3},
         "colour_amount must be between 0.0 and 1.0; got 2; "
         "featherAmount is not a setting; did you mean feather_amount?"),
        (["expansion_ratio"], "settings must be a mapping of names to values; got list"),
    ],
    ids=str,
)  # fmt: skip
def test_mistakes_are_told_in_one_sentence(values: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        BlendSettings.parse(values)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        BlendSettings().expansion_ratio = 1.2


def test_feather_follows_the_face_or_stays_in_pixels() -> None:
    assert BlendSettings().feather_px(200) == pytest.approx(30)
    assert BlendSettings(feather_amount=60).feather_px(250) == pytest.approx(75)
    assert BlendSettings(feather_unit="px", feather_amount=12).feather_px(250) == 12


def test_switches_take_what_yaml_makes_of_on_and_off() -> None:
    chosen = BlendSettings.parse({"registration": False, "adapt": True, "use_parsing": False})
    assert (chosen.registration, chosen.adapt, chosen.use_parsing) == ("off", "on", "off")
    with pytest.raises(ValueError, match="colour must be one of"):
        BlendSettings.parse({"colour": True})
