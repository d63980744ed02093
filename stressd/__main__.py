"""`python -m stressd` is `stressd`."""

from stressd.cli import main

if __name__ == "__main__":
    main()
