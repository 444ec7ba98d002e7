"""GaitDynamics: ground reaction forces from OpenSim motions of walking and running."""

__version__ = "0.1.0"
