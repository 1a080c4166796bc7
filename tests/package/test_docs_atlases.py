"""docs/atlases.md: its command runs as it stands, and its script finds the place of a column."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bidsmask.bids.region_names import INDEX_COLUMNS, NAME_COLUMNS
from bidsmask.cli import main
from tests.make_app import Written
from tests.make_images import AFFINE, write_image
from tests.make_runs import SHAPE, SPACE, write_atlas, write_dataset
from tests.package.test_docs import ROOT, blocks

TEXT = (ROOT / "docs/atlases.md").read_text(encoding="utf-8")
RUN = "sub-01_ses-1_task-faces"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with everything that the command names below /data."""
    runs = write_dataset(tmp_path / "bids", tasks=("faces",), session="1")
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path / "templateflow"))
    schaefer = "atlas-Schaefer2018_desc-100Parcels7Networks_dseg"
    template = tmp_path / f"templateflow/tpl-{SPACE}"
    write_atlas(template, name=f"tpl-{SPACE}_res-02_{schaefer}")
    (template / f"tpl-{SPACE}_res-02_{schaefer}.tsv").rename(
        template / f"tpl-{SPACE}_{schaefer}.tsv"
    )
    write_atlas(tmp_path / "atlas" / f"tpl-{SPACE}", name=f"tpl-{SPACE}_atlas-demo_dseg")
    (tmp_path / "atlas/dataset_description.json").write_text(json.dumps({"Name": "x"}))
    write_atlas(tmp_path, name="mine")
    for run in runs:
        labels = np.full(SHAPE, 17, np.int16)
        write_image(run.file("desc-aparcaseg_dseg.nii.gz", SPACE), labels, affine=AFFINE)
    (tmp_path / "bids/desc-aparcaseg_dseg.tsv").write_text("index\tname\n17\thippocampus\n")
    return tmp_path


def test_the_command_writes_every_atlas_and_the_script_finds_the_place_of_a_column(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [command] = [block for block in blocks(TEXT, "bash") if "--atlas" in block]
    _, *words = shlex.split(command.replace("\\\n", " ").replace("/data", str(data)))
    assert main([*words, "--mask-strategy", "derivative"]) == 0
    written = Written(data / "out", RUN, SPACE)
    for name in ("Schaefer2018100Parcels7Networks", "aparcaseg", "demo", "mine"):
        assert written.path(f"atlas-{name}_stat-coverage_bold.tsv").exists()
        assert written.path(f"atlas-{name}_stat-mean_desc-simple_timeseries.tsv").exists()

    [script] = blocks(TEXT, "python")
    monkeypatch.chdir(written.folder)
    found: dict[str, Any] = {}
    exec(script, found)
    assert found["name"] == "block4"
    # The fourth block is the upper half along i and j.
    middle = [
        (start + end - 1) / 2
        for start, end in zip((SHAPE[0] // 2, SHAPE[1] // 2, 0), SHAPE, strict=True)
    ]
    expected = AFFINE[:3, :3] @ middle + AFFINE[:3, 3]
    np.testing.assert_allclose(found["centre_mm"], expected)


def test_the_document_names_every_column_that_is_looked_for() -> None:
    row = next(line for line in TEXT.splitlines() if line.startswith("| `.tsv`, `.csv`"))
    missing = [name for name in (*INDEX_COLUMNS, *NAME_COLUMNS) if f"`{name}`" not in row]
    assert missing == []
