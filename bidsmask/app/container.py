"""The container that the program runs in, as BIDS names it."""

from __future__ import annotations

from collections.abc import Mapping

# Set by the Dockerfile, so that no other container is taken for ours.
TAG = "BIDSMASK_CONTAINER_TAG"
# Set by Apptainer; by its older versions and by Singularity, the second alone.
APPTAINER = ("APPTAINER_CONTAINER", "SINGULARITY_CONTAINER")


def container_of(environment: Mapping[str, str]) -> dict[str, str]:
    """Return `Type` and `Tag` of the container, for GeneratedBy; nothing outside of our image.

    Parameters
    ----------
    environment : mapping of str to str
        `os.environ`, which below the door is read for this and for TEMPLATEFLOW_HOME alone.
    """
    if not environment.get(TAG):
        return {}
    kind = "apptainer" if any(environment.get(name) for name in APPTAINER) else "docker"
    return {"Type": kind, "Tag": environment[TAG]}
