"""`python -m bottlepost`, the same as `bottlepost`."""

from bottlepost.cli import main

if __name__ == "__main__":
    main()
