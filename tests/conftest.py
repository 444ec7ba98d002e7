"""What tests share: the folder of measured data beside the repository, and a quiet OpenSim."""

from pathlib import Path
from types import ModuleType

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of measured data; tests that need it are skipped without it."""
    if not SHARED.is_dir():
        pytest.skip("../shared is absent: measured data to test against lie beside the repository")
    return SHARED


@pytest.fixture(scope="session")
def opensim() -> ModuleType:
    """OpenSim, told neither to print nor to write opensim.log."""
    import opensim

    opensim.Logger.setLevelString("Off")
    opensim.Logger.removeFileSink()
    return opensim
