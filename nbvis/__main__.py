"""`python -m nbvis` is the command `nbvis`."""

from .cli import main

if __name__ == "__main__":
    main()
