"""The Boutiques descriptor: in step with the options, valid, and the program can be run by it."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bidsmask.app import descriptor as module
from bidsmask.app.arguments import EXIT_CODES, parse, parser
from bidsmask.app.descriptor import descriptor, descriptor_text
from bidsmask.app.options import Options, option
from bidsmask.app.words import LEVELS, RUNNING
from tests.app.test_options import EXAMPLES
from tests.make_demo import demo_dataset

ROOT = Path(__file__).parents[2]
BOSH = Path(sys.executable).with_name("bosh")
FIELDS = [one for one in dataclasses.fields(Options) if one.metadata]
DESCRIPTOR = descriptor()
INPUTS: dict[str, dict[str, Any]] = {one["id"]: one for one in DESCRIPTOR["inputs"]}

needs_bosh = pytest.mark.skipif(not BOSH.exists(), reason="boutiques is not installed")


def bosh(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Run bosh in a folder that is its home, with our command on its path."""
    path = os.pathsep.join([str(BOSH.parent), os.environ["PATH"]])
    return subprocess.run(
        [BOSH, *map(str, words)],
        cwd=folder,
        env={**os.environ, "HOME": str(folder), "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


# In step


def test_the_file_is_what_make_descriptor_writes():
    assert (ROOT / "descriptor.json").read_text(encoding="utf-8") == descriptor_text()


def test_a_new_field_of_options_is_in_the_descriptor_without_more(monkeypatch):
    more = [
        ("shine_mm", float | None, option(None, "shine, mm", group=RUNNING, kind=float)),
        ("glow", bool | None, option(None, "glow", group=RUNNING, kind=bool)),
    ]
    larger = dataclasses.make_dataclass("Larger", more, bases=(Options,), frozen=True)
    monkeypatch.setattr(module, "Options", larger)
    found = {one["id"]: one for one in descriptor()["inputs"]}
    assert set(found) - set(INPUTS) == {"shine_mm", "glow", "no_glow"}
    assert found["shine_mm"]["type"] == "Number"
    assert "[SHINE_MM] [GLOW] [NO_GLOW]" in descriptor()["command-line"]


def test_every_flag_of_the_parser_is_there_but_the_version():
    long = {word for one in parser()._actions for word in one.option_strings if word[:2] == "--"}
    flags = {one["command-line-flag"] for one in INPUTS.values() if "command-line-flag" in one}
    assert flags <= long
    aliases = {word for one in FIELDS for word in one.metadata["flags"] if word[:2] == "--"}
    assert long - flags == {"--help", "--version", "--verbose", *aliases}


@pytest.mark.parametrize("one", FIELDS, ids=lambda one: one.name)
def test_every_option_has_its_kind_its_choices_and_a_sentence(one):
    found = INPUTS[one.name]
    words, _ = EXAMPLES[one.name]
    assert found["description"].startswith(one.metadata["help"])
    assert found.get("list", False) == isinstance(one.default, tuple)
    if one.metadata["kind"] is bool:
        assert found["type"] == "Flag"
    elif not one.metadata["is_counted"]:
        is_number = isinstance(one.metadata["kind"]("1"), int | float)
        assert (found["type"] == "Number") == is_number
        assert tuple(found.get("value-choices", ())) == one.metadata["choices"]
        assert set(words) <= set(found.get("value-choices", words))


def test_defaults_are_told_but_not_given():
    """Boutiques writes a given default on the command line, before what --config says."""
    assert not [one for one in INPUTS.values() if "default-value" in one]
    assert INPUTS["confounds"]["description"].endswith("(default: simple)")
    assert INPUTS["detrend"]["description"].endswith("(default: yes)")


def test_a_switch_can_be_turned_on_and_off():
    assert INPUTS["voxels"]["command-line-flag"] == "--voxels"
    assert INPUTS["no_voxels"]["command-line-flag"] == "--no-voxels"
    assert INPUTS["voxels"]["disables-inputs"] == ["no_voxels"]


def test_levels_exit_codes_and_least_numbers_are_those_of_the_program():
    assert INPUTS["analysis_level"]["value-choices"] == list(LEVELS)
    codes = {one["code"]: one["description"] for one in DESCRIPTOR["error-codes"]}
    assert {0: EXIT_CODES[0], **codes} == EXIT_CODES
    assert INPUTS["n_procs"]["minimum"] == 0
    assert INPUTS["n_procs"]["integer"]


def test_the_groups_are_the_headings_of_the_help():
    members = {one["name"].lower(): one["members"] for one in DESCRIPTOR["groups"]}
    for one in FIELDS:
        assert one.name in members[one.metadata["group"]]


def test_the_readme_names_the_image_as_the_descriptor_does():
    image = DESCRIPTOR["container-image"]["image"]
    assert f"`docker tag bidsmask {image}`" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_call_of_the_readme_gives_what_the_descriptor_knows_and_wants():
    [call] = re.findall(r"```json\n(.*)\n```", (ROOT / "README.md").read_text(encoding="utf-8"))
    given = json.loads(call)
    wanted = {name for name, one in INPUTS.items() if not one["optional"]}
    assert wanted <= given.keys() <= INPUTS.keys()


# By Boutiques


@needs_bosh
def test_boutiques_takes_it_for_a_bids_app(tmp_path):
    done = bosh(tmp_path, "validate", "-b", ROOT / "descriptor.json")
    assert (done.returncode, "BIDS validation OK" in done.stdout) == (0, True), done.stdout


def invocation(bids_dir: Path, output_dir: str, **more: object) -> str:
    """Return an invocation of the participant level as JSON."""
    known = {"bids_dir": str(bids_dir), "output_dir": output_dir, "analysis_level": "participant"}
    return json.dumps({**known, **more})


def example(name: str) -> object:
    """Return the words of an option's example as Boutiques wants them."""
    found, (words, _) = INPUTS[name], EXAMPLES[name]
    if found["type"] == "Flag":
        return True
    if found["type"] == "Number":
        numbers = [int(word) if found.get("integer") else float(word) for word in words]
        return numbers if found.get("list") else numbers[0]
    return words if found.get("list") else words[0]


@needs_bosh
def test_every_option_goes_through_a_simulation_to_our_parser(tmp_path):
    beside = {"mask_strategy": "gm-template", "n_compcor": "0.5", "confounds": ["acompcor", "36P"]}
    # Targets are for masks alone.
    alone = {"mask_only", "mask_file", "quiet", "target_affine", "target_shape"}
    left_out = {*alone, "verbose", "detrend", "filter"}
    given = {one.name: example(one.name) for one in FIELDS if one.name not in left_out}
    given |= {**beside, "no_detrend": True, "verbose": "-vv", "filter": "butterworth"}
    for name in ("a", "b", "filter.json"):
        (tmp_path / name).mkdir()
    (tmp_path / "call.json").write_text(invocation(tmp_path, "two words", **given))
    call = ("exec", "simulate", "-i", tmp_path / "call.json", ROOT / "descriptor.json")
    done = bosh(tmp_path, *call)
    assert done.returncode == 0, done.stdout + done.stderr
    [line] = re.findall(r"^mkdir -p 'two words'; bidsmask (.*)$", done.stdout, re.MULTILINE)
    options = parse(shlex.split(line))
    assert options.output_dir == Path.cwd() / "two words"
    # What an option without value says when it is not left out.
    changed = {one.name for one in FIELDS if getattr(options, one.name) != one.default}
    assert changed == {one.name for one in FIELDS} - alone
    assert options.verbose == 2
    assert options.detrend is False
    for name in ("fd_threshold", "t_r", "n_procs", "mask_args"):
        words = EXAMPLES[name][0]
        value = getattr(options, name)
        assert list(map(str, value if isinstance(value, tuple) else [value])) == words


@needs_bosh
def test_a_launch_runs_the_demo(tmp_path, tmp_path_factory):
    demo = demo_dataset(tmp_path_factory)
    told = {"participant_label": ["02"], "run_label": ["1"], "space": ["MNI152NLin2009cAsym"]}
    (tmp_path / "call.json").write_text(invocation(demo, "out", **told))
    words = ("exec", "launch", "--no-container", "--skip-data-collection")
    done = bosh(tmp_path, *words, ROOT / "descriptor.json", "call.json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 done, 0 up to date, 0 failed." in done.stdout + done.stderr
    assert len(list((tmp_path / "out").glob("sub-02/func/*_timeseries.json"))) == 1


@needs_bosh
def test_the_output_by_its_other_name_alone_is_refused(tmp_path):
    (tmp_path / "out").mkdir()
    told = json.loads(invocation(tmp_path, "out"))
    told["existing_output_dir"] = told.pop("output_dir")
    (tmp_path / "call.json").write_text(json.dumps(told))
    done = bosh(tmp_path, "exec", "simulate", "-i", "call.json", ROOT / "descriptor.json")
    assert done.returncode != 0
    assert "output_dir" in done.stdout + done.stderr
    assert INPUTS["existing_output_dir"]["description"].startswith("not used by bosh")


@needs_bosh
def test_a_launch_hands_our_exit_code_on(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "call.json").write_text(invocation(tmp_path / "empty", "out"))
    words = ("exec", "launch", "--no-container", "--skip-data-collection")
    done = bosh(tmp_path, *words, ROOT / "descriptor.json", "call.json")
    assert done.returncode == 16
    [told] = [one for one in DESCRIPTOR["error-codes"] if one["code"] == 16]
    assert told["description"] in done.stdout
