"""`python -m openbulk`."""

from openbulk.cli import main

main()
