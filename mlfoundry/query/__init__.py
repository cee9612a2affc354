"""The filter language: text to a syntax tree and back.

`tokens` finds the words, `parser` makes the tree of them, `mistakes` tells what it did not understand, `tree` has its
nodes, the attributes of a run that can be asked for, and the way back to text. Knows nothing of SQL: the store compiles
the tree into bound parameters.

    filter      not, and, or and parentheses around comparisons; not binds closest, then and, then or
    comparison  field = value      also == != <> < <= > >=  like  ilike  ~  contains  in (…)  is null
    field       loss   metrics.loss   params."learning rate"   tags.`my tag`   min(metrics.val/loss)
    value       0.1   1e-3   -inf   svm   'support vectors'   "it's"   'it''s'
    order       metrics.loss desc, started_at   or   -metrics.loss
"""
