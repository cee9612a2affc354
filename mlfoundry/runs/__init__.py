"""A run in this process, from its beginning to its end, and a run as the store has it.

`run` is what users log to; `beginning`, `standing`, `waiting` and `endings` are its stations, `own_runs` the table of
those that this process has open, `process_exit` how the process ends under them. What a run takes along without a word
is in `observation`; its files go through `uploads` and `downloads`, which `below` and `progress` serve, and `figures`
makes some. `stored_run` asks the store, and `card` shows what it says. How what is logged gets there is the business of
`shipping`.
"""
