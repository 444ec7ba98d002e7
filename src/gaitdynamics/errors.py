"""What can go wrong, as one tree.

GaitDynamicsError
├── InputFileError           a file is missing, truncated or not what it should be
├── UnknownCoordinateError   motion and model do not name the same coordinates
├── NonFiniteValueError      a needed number is missing or infinite
├── InvalidModelError        the model lacks what the method needs (feet, legs, mass)
├── InvalidSubjectError      mass or height is not a human's
├── InvalidMotionError       the motion is too short, or not one that the method can work on
├── InvalidChangeError       what a gait is to be changed to is not understood, or can't be
├── TrainingError            training can't begin, or can't go on
└── OutputError              a result exists already, or can't be written

Messages say what was found, where, what was expected, and the likely fix.
"""


class GaitDynamicsError(Exception):
    """Anything the user can do something about; the command line prints it and exits with 2."""


class InputFileError(GaitDynamicsError):
    """A file is missing, truncated or not what it should be."""


class UnknownCoordinateError(GaitDynamicsError):
    """Motion and model do not name the same coordinates."""


class NonFiniteValueError(GaitDynamicsError):
    """A needed number is missing or infinite."""


class InvalidModelError(GaitDynamicsError):
    """The model lacks what the method needs: feet, legs, mass."""


class InvalidSubjectError(GaitDynamicsError):
    """Mass or height is not a human's."""


class InvalidMotionError(GaitDynamicsError):
    """The motion is too short, or not one that the method can work on."""


class InvalidChangeError(GaitDynamicsError):
    """What a gait is to be changed to is not understood, or can't be."""


class TrainingError(GaitDynamicsError):
    """Training can't begin, or can't go on: nothing to learn from, or a loss that is not a number."""


class OutputError(GaitDynamicsError):
    """A result exists already, or can't be written."""
