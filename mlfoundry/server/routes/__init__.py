"""The routes, a file for each kind of thing: how a request becomes a verb of the rules, and its answer JSON."""
