"""What a run records about its surroundings: git, Python, packages and hardware.

`capture` is what runs ask; it asks `git` (whose addresses `remotes` makes harmless), `machine` and `packages`.
`programs` runs others for what they print, `facts` leaves out what cannot be found out.
"""
