"""Constants and the few conversions that files, plots and reports need; everything inside is SI and radians."""

import math

STANDARD_GRAVITY_M_S2 = 9.80665  # ISO 80000-3; OpenSim's default too
DEGREES_PER_RADIAN = 180.0 / math.pi
MILLIMETRES_PER_METRE = 1000.0

SIDES = ("r", "l")  # feet are ordered right, left everywhere
SIDE_NAMES = ("right", "left")
