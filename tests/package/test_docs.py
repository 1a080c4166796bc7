"""The documents: what they say of the command line holds, and their scripts run on the demo."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bidsmask.app import region_options, unmask_options
from bidsmask.app.arguments import parse, parser
from bidsmask.app.words import LEVELS
from tests.make_demo import atlas_of, demo_dataset
from tests.make_runs import contents, leftovers

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RUNNING = (ROOT / "docs/running.md").read_text(encoding="utf-8")
IDS = [path.name for path in DOCUMENTS]

# Options of docker, apptainer and others that stand in the text.
OTHERS = {"--build-arg", "--cleanenv"}


def blocks(text: str, *languages: str) -> list[str]:
    """Return the fenced blocks in these languages; "" is none."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [content for language, content in found if language in languages]


def calls(text: str) -> Iterator[list[str]]:
    """Yield the arguments of every call of bidsmask, whatever starts it."""
    lines = [*blocks(text, "", "bash"), *re.findall(r"`(bidsmask [^`\n]+)`", text)]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(re.sub(r"\$\{?\w+\}?", "1", line), posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = list(lexer)
        end = next((n for n, word in enumerate(words) if set(word) <= set("();<>|&")), len(words))
        programs = [n for n in range(end) if Path(words[n]).name in ("bidsmask", "bidsmask.sif")]
        for n in reversed(programs):
            if len(words) > n + 3 and words[n + 3] in LEVELS:
                yield words[n + 1 : end]
                break


@pytest.mark.parametrize("path", DOCUMENTS, ids=IDS)
def test_every_call_in_a_document_is_one_that_the_parser_takes(path):
    found = list(calls(path.read_text(encoding="utf-8")))
    for arguments in found:
        if "--config" in arguments:  # its file is not there
            at = arguments.index("--config")
            del arguments[at : at + 2]
        parse(arguments)
    assert len(found) >= {"README.md": 3, "running.md": 4}.get(path.name, 0)


def test_a_wrong_call_in_a_document_would_be_found():
    text = "```\nsrun \\\n  env/bin/bidsmask a b participant \\\n  --no-such 1 # why\n```\n"
    assert list(calls(text)) == [["a", "b", "participant", "--no-such", "1"]]
    text = "and `bidsmask in out group`\n```\ndocker run -v a:b bidsmask /in /out group; ls\n```"
    assert sorted(calls(text)) == [["/in", "/out", "group"], ["in", "out", "group"]]


def test_every_call_of_the_second_command_is_one_that_its_parser_takes():
    text = "\n".join(blocks((ROOT / "README.md").read_text(encoding="utf-8"), "bash"))
    lines = [shlex.split(line, comments=True) for line in text.replace("\\\n", " ").splitlines()]
    found = [words[1:] for words in lines if words and words[0] == "bidsmask-regions"]
    assert len(found) >= 2
    for arguments in found:
        region_options.parse(arguments)


def test_every_call_of_the_third_command_is_one_that_its_parser_takes():
    [text] = blocks((ROOT / "docs/unmask.md").read_text(encoding="utf-8"), "bash")
    found = [shlex.split(line) for line in text.splitlines()]
    assert len(found) >= 4
    for program, *arguments in found:
        assert program == "bidsmask-unmask"
        unmask_options.parse(arguments)


@pytest.mark.parametrize("path", DOCUMENTS, ids=IDS)
def test_every_option_in_a_document_is_there(path):
    text = path.read_text(encoding="utf-8")
    before, _, table = text.partition("| fMRIPrep | bidsmask |")
    ours = re.sub(r"^\|[^|]*\|", "", table, flags=re.MULTILINE)
    spans = re.findall(r"`(-[^`\n]+)`", before + ours)
    options = {word for one in spans for word in re.findall(r"(?<![\w-])--?[a-z][\w-]*", one)}
    others = (region_options.parser(), unmask_options.parser())
    actions = [action for one in (parser(), *others) for action in one._actions]
    known = {word for action in actions for word in action.option_strings} | {"-vv"}
    assert options - known - OTHERS == set()
    assert path.name != "running.md" or len(options) >= 15


@pytest.mark.parametrize("path", DOCUMENTS, ids=IDS)
def test_every_shell_block_is_one(path):
    for block in blocks(path.read_text(encoding="utf-8"), "", "bash"):
        subprocess.run(["bash", "-n"], input=block, text=True, check=True)


# The scripts of docs/running.md

# Runs the tasks of an array side by side, as a cluster with room for all of them would.
SBATCH = """\
#!/bin/bash
set -euo pipefail
script=${!#}
tasks=
for word in "$@"; do
    case $word in --array=1-*) tasks=${word#--array=1-} ;; esac
done
if [ -z "$tasks" ]; then
    bash "$script" >&2
else
    for task in $(seq "${tasks%%%*}"); do SLURM_ARRAY_TASK_ID=$task bash "$script" >&2 & done
    wait
fi
echo 1
"""


@pytest.fixture
def job_folder(tmp_path, tmp_path_factory) -> Path:
    """Return a folder with the scripts of the document, its paths those of the demo."""
    demo = demo_dataset(tmp_path_factory)
    folder = tmp_path / "jobs"
    folder.mkdir()
    paths = {
        "/data/bids": str(demo),
        "/data/out": str(tmp_path / "out"),
        "/data/atlases/Schaefer2018_400Parcels.nii.gz": str(atlas_of(demo)),
    }
    participants, group = blocks(RUNNING, "bash")
    [options] = blocks(RUNNING, "toml")
    [submit] = [one for one in blocks(RUNNING, "") if "sbatch --parsable" in one]
    texts = {"participants.sbatch": participants, "group.sbatch": group, "options.toml": options}
    for name, text in {**texts, "submit.sh": submit, "sbatch": SBATCH}.items():
        for said, ours in paths.items():
            text = text.replace(said, ours)
        (folder / name).write_text(text)
    (folder / "sbatch").chmod(0o755)
    return folder


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Return the environment of a job: our command and the folder's sbatch on the path."""
    path = [str(folder), str(Path(sys.executable).parent), os.environ["PATH"]]
    return {**os.environ, "PATH": os.pathsep.join(path), "SLURM_CPUS_PER_TASK": "1", **more}


def shell(folder: Path, *words: str) -> None:
    """Run a command in the folder, as at the prompt of a cluster."""
    done = subprocess.run(
        words, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_an_array_after_a_cancelled_task_writes_what_one_run_of_all_does(job_folder, tmp_path):
    out, others = tmp_path / "out", tmp_path / "others"
    (job_folder / "participants.txt").write_text("sub-01\n")
    with subprocess.Popen(
        ["bash", "participants.sbatch"],
        cwd=job_folder,
        env=environment(job_folder, SLURM_ARRAY_TASK_ID="1"),
        stderr=subprocess.DEVNULL,
    ) as task:
        while not list(out.glob("logs/run-*/bidsmask.log")) and task.poll() is None:
            time.sleep(0.01)
        task.send_signal(signal.SIGTERM)
    assert task.returncode == 143
    assert leftovers(out) == []

    shell(job_folder, "bash", "submit.sh")
    assert (job_folder / "participants.txt").read_text() == "sub-01\nsub-02\nsub-03\n"
    [bids] = re.findall("^bids=(.*)$", (job_folder / "group.sbatch").read_text(), re.MULTILINE)
    shell(job_folder, "bidsmask", bids, str(others), "participant", "--config", "options.toml")
    shell(job_folder, "bidsmask", bids, str(others), "group")
    assert contents(out) == contents(others)
    assert len(list(out.glob("logs/run-*"))) == 1 + 3 + 1
