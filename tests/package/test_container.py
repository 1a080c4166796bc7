"""The image, as far as it can be judged without building it; `make test-container` builds it."""

from __future__ import annotations

import configparser
import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement

import bidsmask
from bidsmask.app.container import TAG, container_of
from tests.make_app import run_app
from tests.make_runs import write_dataset

ROOT = Path(bidsmask.__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text()
HADOLINT = Path(sys.executable).with_name("hadolint")
LOCKS = ("requirements.txt", "build-requirements.txt")


def script(path: str) -> ModuleType:
    """Return a script of the project as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def locked(name: str) -> list[tuple[Requirement, list[str], list[str]]]:
    """Return each package of a lock with its hashes and with what wants it."""
    text = (ROOT / "docker" / name).read_text()
    blocks = re.split(r"^(?=\w)", text, flags=re.MULTILINE)[1:]
    return [
        (
            Requirement(block.split(" \\\n")[0]),
            re.findall(r"--hash=sha256:([0-9a-f]{64})\b", block),
            re.findall(r"^ +# +(?:via )?([\w-].*)$", block, flags=re.MULTILINE),
        )
        for block in blocks
    ]


# The Dockerfile


def test_hadolint_has_nothing_to_say_of_the_dockerfile():
    said = subprocess.run(
        [HADOLINT, "--failure-threshold", "style", "--no-color", ROOT / "Dockerfile"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")


def test_the_image_is_of_this_version():
    assert re.findall(r"^ARG VERSION=(.*)$", DOCKERFILE, re.MULTILINE) == [bidsmask.__version__]
    assert f"{TAG}=bidsmask:${{VERSION}}" in DOCKERFILE


def test_the_image_is_nobodys_in_particular_and_checks_no_health():
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (.*)$", last, re.MULTILINE) == ["1000:1000"]
    assert re.findall(r"^HEALTHCHECK (.*)$", last, re.MULTILINE) == ["NONE"]
    assert re.findall(r"^ENTRYPOINT (.*)$", last, re.MULTILINE) == ['["bidsmask"]']


def test_nothing_is_run_in_the_last_stage_where_it_would_leave_traces():
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
    assert [bool(re.search(r"^RUN ", stage, re.MULTILINE)) for stage in stages] == [True, False]


def test_what_the_dockerfile_copies_is_all_that_is_let_into_its_context():
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    sources = {word.removeprefix("./").split("/")[0] for line in copied for word in line.split()}
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] != "#"]
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule[0] == "!"} == sources
    assert rules[-1] == "**/__pycache__"
    assert sources.isdisjoint({".git", "tests", "benchmarks", "ci", "docs"})
    assert all((ROOT / source).exists() for source in sources)


def test_no_file_of_the_image_names_a_machine():
    path_of_one = re.compile(r"/(?:work|home|root|Users|mnt)/\w")
    files = ["Dockerfile", "apptainer.def", ".dockerignore"]
    texts = [ROOT / name for name in files] + [
        *(ROOT / "ci").iterdir(),
        *(ROOT / "docker").iterdir(),
    ]
    named = [path.name for path in texts if path.is_file() and path_of_one.search(path.read_text())]
    assert named == []


# The lock


def test_the_lock_holds_what_pyproject_asks_for():
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for name, wanted, by in (
        ("requirements.txt", asked["project"]["dependencies"], "bidsmask (pyproject.toml)"),
        ("build-requirements.txt", asked["build-system"]["requires"], "-r -"),
    ):
        pinned = locked(name)
        for requirement in map(Requirement, wanted):
            versions = [one for one, _, _ in pinned if one.name == requirement.name]
            assert versions, f"{requirement} is not in {name}: make lock"
            for one in versions:
                (pin,) = one.specifier
                assert pin.version in requirement.specifier, f"{one} in {name}: make lock"
        for_us = {one.name for one, _, wanted_by in pinned if by in wanted_by}
        assert for_us <= {Requirement(one).name for one in wanted}, f"{name}: make lock"


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_of_the_lock_is_pinned_by_version_and_hash(name):
    packages = locked(name)
    assert packages
    for requirement, hashes, _ in packages:
        assert [one.operator for one in requirement.specifier] == ["=="]
        assert hashes
        assert requirement.url is None


@pytest.mark.parametrize("name", LOCKS)
def test_the_lock_names_no_index(name):
    assert not re.search(
        r"://|--\w*(?:index|find-links|host)", (ROOT / "docker" / name).read_text()
    )


# The container in dataset_description.json


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, {}),
        ({"APPTAINER_CONTAINER": "x.sif"}, {}),
        ({TAG: "bidsmask:1"}, {"Type": "docker", "Tag": "bidsmask:1"}),
        (
            {TAG: "bidsmask:1", "APPTAINER_CONTAINER": "x.sif"},
            {"Type": "apptainer", "Tag": "bidsmask:1"},
        ),
        (
            {TAG: "bidsmask:1", "SINGULARITY_CONTAINER": "x.sif"},
            {"Type": "apptainer", "Tag": "bidsmask:1"},
        ),
    ],
)
def test_the_container_is_known_by_its_environment(environment, expected):
    assert container_of(environment) == expected


def test_an_output_made_in_a_container_differs_by_that_word_alone(tmp_path, monkeypatch):
    write_dataset(tmp_path / "in")
    assert run_app(tmp_path / "in", tmp_path / "outside", "--mask-only") == 0
    monkeypatch.setenv(TAG, "bidsmask:1")
    assert run_app(tmp_path / "in", tmp_path / "inside", "--mask-only") == 0
    container = {"Type": "docker", "Tag": "bidsmask:1"}
    same = script("ci/same_outputs.py").differences
    assert same(tmp_path / "outside", tmp_path / "inside", container) == []


# The scripts


@pytest.fixture
def outputs(tmp_path):
    for name, container in (("outside", {}), ("inside", {"Container": {"Type": "docker"}})):
        (tmp_path / name / "sub-01").mkdir(parents=True)
        (tmp_path / name / "logs").mkdir()
        (tmp_path / name / "logs" / name).touch()
        (tmp_path / name / "sub-01" / "x.tsv").write_text("1\n")
        description = {"Name": "x", "GeneratedBy": [{"Name": "bidsmask", **container}]}
        (tmp_path / name / "dataset_description.json").write_text(json.dumps(description))
    return tmp_path


def compared(outputs: Path) -> list[str]:
    """Return what differs."""
    same = script("ci/same_outputs.py").differences
    return same(outputs / "outside", outputs / "inside", {"Type": "docker"})


def test_outputs_may_differ_by_logs_and_by_the_container(outputs):
    assert compared(outputs) == []


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("sub-01/x.tsv", "2\n", "sub-01/x.tsv differs"),
        ("sub-01/y.tsv", "1\n", "sub-01/y.tsv is only in one of them"),
        (
            "dataset_description.json",
            '{"GeneratedBy": [{"Container": {"Type": "docker"}}]}',
            "dataset_description.json differs in more than the Container",
        ),
        (
            "dataset_description.json",
            '{"Name": "x", "GeneratedBy": [{"Name": "bidsmask"}]}',
            "the Container inside is None, not {'Type': 'docker'}",
        ),
    ],
)
def test_outputs_that_differ_are_told(outputs, name, content, said):
    (outputs / "inside" / name).write_text(content)
    assert compared(outputs) == [said]


def test_outputs_without_participants_are_not_the_same(outputs):
    for path in outputs.glob("*/sub-01/x.tsv"):
        path.unlink()
    assert compared(outputs) == ["there is no participant in them"]


def test_pips_settings_are_handed_on_with_what_they_name(tmp_path):
    module = script("ci/pip_mounts.py")
    index, wheels, bundle = tmp_path / "index/simple", tmp_path / "wheels", tmp_path / "ca.crt"
    for folder in (index, wheels):
        folder.mkdir(parents=True)
    bundle.touch()
    found = module.settings(
        [
            f":env:.find-links='{wheels}'",
            "global.find-links='/not/this'",
            "global.timeout='5'",
            f"global.extra-index-url='file://{index}\\nhttps://host/simple'",
        ],
        {"SSL_CERT_FILE": str(bundle)},
    )
    assert found == {
        "find-links": [str(wheels)],
        "extra-index-url": [f"file://{index}", "https://host/simple"],
        "cert": [str(bundle)],
    }
    assert module.paths(found) == {index.parent, wheels, bundle}
    written = configparser.ConfigParser()
    written.read_string(module.configuration(found))
    assert {key: value.split("\n") for key, value in written["global"].items()} == found


def test_templates_are_fetched_as_listed():
    asked = []

    def get(template, **entities):
        asked.append((template, entities))
        return [Path("a"), Path("b")] if template == "T" else Path("c")

    bake = script("docker/templates.py").bake
    words = "T:resolution=2,desc=brain U:desc=none,suffix=mask"
    assert bake(words, get) == [Path("a"), Path("b"), Path("c")]
    assert asked == [
        ("T", {"resolution": 2, "desc": "brain"}),
        ("U", {"desc": None, "suffix": "mask"}),
    ]
    assert bake("none", get) == []


@pytest.mark.parametrize("words", ["T", "T:resolution", "T:=2", "T:resolution=2"])
def test_templates_that_cannot_be_had_fail_the_build(words):
    with pytest.raises(SystemExit, match=re.escape(words)):
        script("docker/templates.py").bake(words, lambda template, **entities: [])


def test_every_template_of_the_dockerfile_is_one_that_templateflow_has(tmp_path):
    (default,) = re.findall(r'^ARG TEMPLATES="(.*?)"$', DOCKERFILE, re.MULTILINE | re.DOTALL)
    words = default.replace("\\\n", "")
    code = (
        "import sys\n"
        "from templateflow import api\n"
        f"sys.path.insert(0, {str(ROOT / 'docker')!r})\n"
        "from templates import bake\n"
        "print(*(path.name for path in bake(sys.argv[1], api.ls)), sep='\\n')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, words],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TEMPLATEFLOW_HOME": str(tmp_path / "home")},
    )
    atlas = "tpl-MNI152NLin2009cAsym_{}atlas-Schaefer2018_desc-{}Parcels7Networks_dseg.{}"
    assert done.stdout.split() == [
        "tpl-MNI152NLin2009cAsym_res-02_desc-brain_mask.nii.gz",
        "tpl-MNI152NLin2009cAsym_res-02_desc-fMRIPrep_boldref.nii.gz",
        "tpl-MNI152NLin2009cAsym_res-02_T1w.nii.gz",
        "tpl-MNI152NLin2009cAsym_res-02_T2w.nii.gz",
        atlas.format("res-02_", 100, "nii.gz"),
        atlas.format("", 100, "tsv"),
        atlas.format("res-02_", 400, "nii.gz"),
        atlas.format("", 400, "tsv"),
    ]
