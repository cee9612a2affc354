"""The team server: the rules of `tracking` over HTTP. Needs the extra ``server``."""
