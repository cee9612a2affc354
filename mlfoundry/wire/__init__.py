"""How records travel between a client and a server: JSON for what is small, frames of bytes for slots and points.

In JSON, times are microseconds since 1970, ids of projects are ints, numbers that JSON lacks are the strings
``"NaN"``, ``"Infinity"`` and ``"-Infinity"``, and params are [type, text] as in `values.param_text`. Every
function stands beside its inverse; those that read raise `InvalidInput` for what is no such thing.
"""
