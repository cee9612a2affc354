"""No package of ours can be made to run a stranger's code: what would allow it is not called at all."""

import ast

import pytest

from tests.architecture.imports import ROOT, imports, sources

UNSAFE_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "imp"}
UNSAFE_NAMES = {"eval", "exec", "__import__", "compile"}
UNSAFE_CALLS = {"os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "subprocess.getoutput"}


# A user's own words, in the user's own kernel: ``$var`` and ``{expression}`` in the arguments of a magic.
OWN_WORDS = {("mlfoundry_jupyter/arguments.py", "eval")}


def dangers(tree):
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called in UNSAFE_NAMES or called in UNSAFE_CALLS or called.startswith(("os.exec", "os.spawn")):
            yield f"line {node.lineno}: {called}"
        for keyword in node.keywords:
            if keyword.arg == "shell" and not (isinstance(keyword.value, ast.Constant) and not keyword.value.value):
                yield f"line {node.lineno}: shell="
            if keyword.arg == "allow_pickle" and not (
                isinstance(keyword.value, ast.Constant) and keyword.value.value is False
            ):
                yield f"line {node.lineno}: allow_pickle="


@pytest.mark.parametrize("path", sources().values(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_calls_nothing_that_runs_a_strangers_code(path):
    found = list(dangers(ast.parse(path.read_text(encoding="utf-8"))))
    where = path.relative_to(ROOT).as_posix()
    assert [danger for danger in found if (where, danger.rpartition(" ")[2]) not in OWN_WORDS] == []
    assert len(found) <= 1


def test_no_module_imports_what_runs_a_strangers_code():
    assert [f"{i.importer}:{i.line}" for i in imports() if i.imported.split(".")[0] in UNSAFE_MODULES] == []


@pytest.mark.parametrize(
    "code",
    ["eval('1')", "exec(text)", "os.system('ls')", "run('ls', shell=True)", "run('ls', shell=flag)", "yaml.load(x)",
     "np.load(path, allow_pickle=True)"],
)  # fmt: skip
def test_a_danger_is_seen(code):
    assert len(list(dangers(ast.parse(code)))) == 1


@pytest.mark.parametrize("code", ["run('ls', shell=False)", "re.compile('a')", "np.load(path, allow_pickle=False)"])
def test_what_is_harmless_is_not(code):
    assert list(dangers(ast.parse(code))) == []
