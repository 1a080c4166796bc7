"""Names taken apart and put together: nothing is lost, the order is that of BIDS."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidsmask.bids.entities import KNOWN_KEYS, Entities, natural_order, same_label

# The order of the BIDS specification, by hand; cohort where NiBabies writes it.
IN_ORDER = (
    "sub-01_ses-pre_sample-a_task-rest_tracksys-t_acq-mb_ce-gd_trc-x_stain-s_rec-norm_dir-AP_run-1_"
    "mod-T1w_echo-2_flip-1_inv-1_mt-on_part-mag_proc-p_hemi-L_space-MNIInfant_cohort-1_split-1_"
    "recording-r_chunk-1_atlas-A_seg-voxels_scale-100_res-2_den-91k_label-GM_desc-preproc_"
    "bold.nii.gz"
)

labels = st.text("abcXYZ0123456789+", min_size=1, max_size=6)
known = st.dictionaries(st.sampled_from(sorted(KNOWN_KEYS)), labels, max_size=8)
strange = st.dictionaries(
    st.text("abcdefghXYZ09", min_size=2, max_size=9).filter(lambda key: key not in KNOWN_KEYS),
    labels,
    max_size=3,
)
suffixes = st.sampled_from(["bold", "mask", "T1w", "timeseries"])
extensions = st.sampled_from(["", ".nii", ".nii.gz", ".json", ".tsv", ".dtseries.nii"])


def shuffled_names():
    """Names of known and unknown pairs in any order."""
    return st.tuples(known, strange).flatmap(
        lambda two: st.tuples(st.permutations([*two[0].items(), *two[1].items()]), suffixes)
    )


def test_a_name_in_the_order_of_bids_comes_back_as_it_was():
    assert Entities.parse(IN_ORDER).name() == IN_ORDER


def test_the_order_is_that_of_the_schema_which_the_validator_uses():
    schema = pytest.importorskip("bidsschematools.schema").load_schema()
    order = [schema.objects.entities[entity].name for entity in schema.rules.entities]
    order.remove("cohort")
    name = "_".join(f"{key}-x" for key in order) + "_bold.nii"
    assert Entities.parse("_".join(sorted(name.split("_")[:-1])) + "_bold.nii").name() == name


@given(shuffled_names(), extensions)
def test_every_pair_of_a_name_is_kept_whatever_its_order(name, extension):
    pairs, suffix = name
    entities = Entities.parse(
        "_".join([*(f"{key}-{value}" for key, value in pairs), suffix]) + extension
    )
    assert entities.pairs == tuple(pairs)
    assert (entities.suffix, entities.extension, entities.left_over) == (suffix, extension, ())
    again = Entities.parse(entities.name())
    assert again.meaning == entities.meaning
    assert again.name() == entities.name()


@given(st.text(max_size=40))
def test_no_part_of_any_text_is_lost(text):
    parts = sorted(part for part in text.split("_") if part)
    again = sorted(part for part in Entities.parse(text).name().split("_") if part)
    # The extension follows the last part, which may not be the last of the text's any more.
    assert sorted("".join(parts)) == sorted("".join(again))


@given(shuffled_names())
def test_unknown_keys_stand_before_desc_in_their_own_order(name):
    pairs, suffix = name
    entities = Entities(tuple(pairs), suffix).with_(desc="x")
    keys = [part.split("-")[0] for part in entities.name().split("_")[:-1]]
    unknown = [key for key, _ in pairs if key not in KNOWN_KEYS]
    assert keys[-1] == "desc"
    assert keys[len(keys) - 1 - len(unknown) : -1] == unknown


@pytest.mark.parametrize(
    ("name", "left_over"),
    [
        ("sub-01_task-a_b_bold.nii.gz", ("b",)),
        ("sub-01_task-a_task-b_bold.nii.gz", ("task-b",)),
        ("sub-01_task-a-b_bold.nii.gz", ("task-a-b",)),
        ("sub-01_task-1.5_bold.nii.gz", ("task-1.5",)),
        ("sub-01_task-_bold.nii.gz", ("task-",)),
    ],
)
def test_what_is_no_pair_is_left_over_and_stays_in_the_name(name, left_over):
    entities = Entities.parse(name)
    assert entities.left_over == left_over
    assert entities.unknown == left_over
    assert entities.name() == name


def test_an_unknown_key_is_named_as_unknown():
    assert Entities.parse("sub-01_foo-bar_bold.nii").unknown == ("foo-bar",)
    assert Entities.parse("sub-01_variant-x_desc-preproc_bold.nii").unknown == ()


def test_a_cohort_of_nibabies_is_part_of_its_space():
    entities = Entities.parse("sub-01_space-MNIInfant+1_desc-preproc_bold.nii.gz")
    assert entities["space"] == "MNIInfant+1"
    assert entities.unknown == ()


@pytest.mark.parametrize(
    ("name", "suffix", "extension"),
    [
        ("sub-01_bold.nii.gz", "bold", ".nii.gz"),
        ("sub-01_space-fsLR_den-91k_bold.dtseries.nii", "bold", ".dtseries.nii"),
        ("sub-01_space-fsaverage5_hemi-R.func.gii", "", ".func.gii"),
        ("dataset_description.json", "description", ".json"),
    ],
)
def test_suffix_and_extension(name, suffix, extension):
    entities = Entities.parse(name)
    assert (entities.suffix, entities.extension) == (suffix, extension)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("task-a_bold_space-X_preproc.nii.gz", "task-a_space-X_desc-preproc_bold.nii.gz"),
        ("task-a_bold_space-X_brainmask.nii.gz", "task-a_space-X_desc-brain_mask.nii.gz"),
        ("task-a_bold_preproc.nii.gz", "task-a_desc-preproc_bold.nii.gz"),
        ("task-a_bold_confounds.tsv", "task-a_desc-confounds_regressors.tsv"),
        (
            "task-a_bold_space-X_variant-smoothAROMAnonaggr_preproc.nii.gz",
            "task-a_space-X_desc-smoothAROMAnonaggr_bold.nii.gz",
        ),
        ("task-a_space-X_desc-preproc_bold.nii.gz", "task-a_space-X_desc-preproc_bold.nii.gz"),
        ("T1w_space-X_preproc.nii.gz", "space-X_desc-preproc_T1w.nii.gz"),
        ("T1w_class-GM_probtissue.nii.gz", "class-GM_T1w_probtissue.nii.gz"),
    ],
)
def test_old_names_of_fmriprep_are_understood(old, new):
    assert Entities.parse(f"sub-01_{old}").normal().name() == f"sub-01_{new}"


def test_entities_are_changed_only_in_copies():
    entities = Entities.parse("sub-01_task-a_space-X_desc-preproc_bold.nii.gz")
    changed = entities.without("space").with_(desc="simple", res="2")
    assert changed.name(suffix="timeseries", extension=".tsv") == (
        "sub-01_task-a_res-2_desc-simple_timeseries.tsv"
    )
    assert entities.get("space") == "X"
    assert entities.get("res") is None
    assert "task" in entities
    with pytest.raises(KeyError):
        entities["res"]


def test_entities_are_values():
    entities = Entities.parse(IN_ORDER)
    assert pickle.loads(pickle.dumps(entities)) == entities
    assert len({entities, Entities.parse(IN_ORDER)}) == 1


def test_labels_are_equal_as_whole_numbers():
    assert same_label("1", "01")
    assert same_label("000", "0")
    assert not same_label("10", "1")
    assert not same_label("pre", "post")


def test_labels_are_sorted_as_people_count():
    assert sorted(["10", "2", "1", "b2", "b10", "01"], key=natural_order) == [
        "01", "1", "2", "10", "b2", "b10",
    ]  # fmt: skip
