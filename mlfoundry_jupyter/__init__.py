"""The IPython extension of MLFoundry."""
