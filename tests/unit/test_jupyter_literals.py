"""Params that a cell tells without a word: what is one, and what only looks like one."""

import pytest

from mlfoundry_jupyter.literals import literal_params


@pytest.mark.parametrize(
    ("source", "params"),
    [
        ("lr = 0.01", {"lr": 0.01}),
        ("lr: float = -1e-3", {"lr": -0.001}),
        ("lr, epochs = 0.1, 5", {"lr": 0.1, "epochs": 5}),
        ("a = b = 'x'", {"a": "x", "b": "x"}),
        ("(a, [b, c]) = (1, [2, 3])", {"a": 1, "b": 2, "c": 3}),
        ("size = 64 * 2 + 2 ** 3; big = 1 << 20", {"size": 136, "big": 1048576}),
        ("layers = (64, 32)\nnames = ['a', 'b']", {"layers": (64, 32), "names": ["a", "b"]}),
        ("cfg = {'lr': 0.1, 'opt': {'name': 'adam'}}", {"cfg": {"lr": 0.1, "opt": {"name": "adam"}}}),
        ("shuffle = True\nseed = None", {"shuffle": True, "seed": None}),
        ("%%mlfoundry_run demo\n!ls\nlr = 0.1", {"lr": 0.1}),
        ("SEED = 0\nawait f()", {"SEED": 0}),
        ("lr = 0.1\nlosses = [lr for lr in range(3)]", {"lr": 0.1}),
        ("lr = 0.1\ndef f():\n    lr = 5\n    return lr", {"lr": 0.1}),
        ("lr = 0.1\nclass A:\n    lr = 5", {"lr": 0.1}),
        ("lr = 0.1\nf(lr=3)", {"lr": 0.1}),
        ("text = '''%d\n'''\nlr = 0.1", {"lr": 0.1}),
    ],
)
def test_a_literal_that_is_assigned_once_is_a_param(source, params):
    found = literal_params(source)
    assert found == params
    assert [type(value) for value in found.values()] == [type(value) for value in params.values()]


@pytest.mark.parametrize(
    "source",
    [
        "for lr in (0.1, 0.2): pass",
        "lr = 0.1\nfor lr in (0.1, 0.2): pass",
        "lr = 0.1\nlr = 0.2",
        "lr = 0.1\nlr += 1",
        "lr = 0.1\nif x: lr = 0.2",
        "if x: lr = 0.1",
        "try:\n    lr = 0.1\nfinally: pass",
        "lr = 0.1\ndel lr",
        "lr = 0.1\nwith open('f') as lr: pass",
        "lr = 0.1\nimport x as lr",
        "lr = 0.1\nfrom y import lr",
        "lr = 0.1\ndef lr(): pass",
        "lr = 0.1\nclass lr: pass",
        "lr = 0.1\nf(lr := 3)",
        "lr = 0.1\n[(lr := x) for x in y]",
        "lr = 0.1\ndef f():\n    global lr\n    lr = 2",
        "lr = 0.1\ntry: pass\nexcept E as lr: pass",
        "lr = 0.1\nmatch x:\n    case [lr]: pass",
        "lr = 0.1\nmatch x:\n    case {**lr}: pass",
        "lr = 0.1\nwhile lr: lr = 0",
        "cfg = {'a': 1}\ncfg['a'] = 2",
        "cfg = {'a': 1}\ncfg.update(a=2)",
        "cfg = {'a': 1}\ndel cfg['a']",
        "xs = [1]\ndef f(): xs.append(2)",
        "_lr = 0.1",
        "api_key = 'abc'",
        "url = 'postgres://ann:pw@db/x'",
        "x = 1 + y",
        "x = f(1)",
        "x = f'{1}'",
        "x = {1, 2}",
        "x = b'1'",
        "x = 1j",
        "x = []",
        "x = {1: 2}",
        "x = 10 ** 10 ** 10",
        "x = 1 << 100000",
        "x = 1 / 0",
        f"x = '{'a' * 500}'",
        "x = 'a\\nb'",
        f"x = {list(range(100))}",
        "x = [[1], f]",
        "a, *b = 1, 2, 3",
        "x.y = 1",
        "x[0] = 1",
        "print(1)",
        "x = (",
    ],
)
def test_what_is_bound_otherwise_or_no_small_literal_is_none(source):
    assert literal_params(source) == {}


def test_secrets_inside_of_a_dict_are_left_out():
    assert literal_params("cfg = {'lr': 1, 'password': 'abc'}") == {"cfg": {"lr": 1}}


def test_there_is_an_end_to_it():
    assert len(literal_params("\n".join(f"x{i} = {i}" for i in range(500)))) == 100
