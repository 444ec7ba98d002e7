"""`python -m gaitdynamics`."""

from gaitdynamics.apps.cli import main

if __name__ == "__main__":
    main()
