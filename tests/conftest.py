"""What tests share: the folder of measured data beside the repository, a quiet OpenSim, the bundled body and walk."""

from importlib.resources import files
from pathlib import Path
from types import ModuleType

import pytest

from gaitdynamics.io.motion import read_motion
from gaitdynamics.io.osim import read_model
from gaitdynamics.types.motion import Motion
from gaitdynamics.types.skeleton import Skeleton

SHARED = Path(__file__).resolve().parents[2] / "shared"
ASSETS = Path(str(files("gaitdynamics") / "assets"))


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


@pytest.fixture(scope="session")
def body() -> Skeleton:
    """The bundled body."""
    return read_model(ASSETS / "generic_body.osim")


@pytest.fixture(scope="session")
def walk(body: Skeleton) -> Motion:
    """The bundled walk."""
    return read_motion(ASSETS / "synthetic_walk.mot", body.coordinates)[0]
