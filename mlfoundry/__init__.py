"""MLFoundry: an experiment tracker for people who live in notebooks."""

__version__ = "0.1.0"
