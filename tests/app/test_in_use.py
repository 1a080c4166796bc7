"""Two runs of the program in one output: none disturbs what the other makes."""

from __future__ import annotations

from bidsmask.bids.locks import held
from tests.make_app import run_app
from tests.make_group import GROUP, masks_of, run_group, write_masks
from tests.make_runs import SPACE, contents, leftovers, write_dataset


def test_a_run_that_another_program_makes_is_refused_and_the_others_are_made(tmp_path, capsys):
    write_dataset(tmp_path / "in", ("01", "02"))
    assert run_app(tmp_path / "in", tmp_path / "alone") == 0
    output = tmp_path / "out"
    with held(output / "sub-02/func", f"sub-02_task-rest_space-{SPACE}"):
        assert run_app(tmp_path / "in", output) == 1
        assert run_app(tmp_path / "in", output, "--participant-label", "02") == 73
        assert run_app(tmp_path / "in", output, "--participant-label", "01", "--force") == 0
        assert list(output.glob("sub-02/func/*")) == leftovers(output)
    assert "is being made by another run of bidsmask. When that has ended" in (
        capsys.readouterr().err
    )
    assert run_app(tmp_path / "in", output) == 0
    assert contents(output) == contents(tmp_path / "alone")
    assert leftovers(output) == []


def test_what_another_program_makes_of_a_group_is_refused_and_the_rest_is_made(tmp_path, capsys):
    output = write_masks(tmp_path / "out")
    with held(output, f"{GROUP}_mask"):
        assert run_group(output) == 1
        assert masks_of(output) == {}
        assert (output / "desc-group_qc.tsv").exists()
    assert "is being made by another run of bidsmask" in capsys.readouterr().err
    assert run_group(output) == 0
    assert len(masks_of(output)) == 6
    assert leftovers(output) == []
