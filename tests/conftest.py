"""What holds for all tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is; --timeout ends what hangs.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")


@pytest.fixture(scope="session", autouse=True)
def no_templates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Hide the templates of who runs the tests: which mask `auto` takes depends on them."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("no-templates")
        patch.setenv("TEMPLATEFLOW_HOME", str(home))
        yield home
