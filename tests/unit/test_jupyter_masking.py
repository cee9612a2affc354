"""Secrets in a cell's source are masked, whatever the cell looks like; what is none stays."""

import ast
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlfoundry_jupyter.masking import is_secret, looks_secret, masked, parsed

TOKEN = "ghp_" + "a1B2" * 9


@pytest.mark.parametrize(
    "source",
    [
        'api_key = "hunter2"',
        "%env DB_PASSWORD hunter2",
        "x = 1\n%set_env MY_TOKEN  hunter2 more",
        "API_KEY: str = 'hunter2'",
        'client.password = "hunter2"',
        'os.environ["DB_PASSWORD"] = "hunter2"',
        'connect(user="ann", password="hunter2")',
        'config = {"user": "ann", "secretToken": "hunter2"}',
        'user, token = "ann", "hunter2"',
        'def login(user, *, password="hunter2"): pass',
        'def login(password="hunter2"): pass',
        'token = "hun" + "ter2" or "hunter2"',
        'token = f"hunter2{1}"',
        "print(f\"{login(token='hunter2')}\")",
        'token = os.environ.get("TOKEN", "hunter2")',
        'keys = ["hunter2", "x"]',
        'if (secret := "hunter2"): pass',
        'assert password == "hunter2"',
        'os.environ.setdefault("TOKEN", "hunter2")',
        "password = b'hunter2'",
        'token = """hunter2\nhunter2"""\nx = 1',
        'dsn = "Server=db;Password=hunter2;Timeout=5"',
        'engine("postgres://ann:hunter2@db.example/x")',
        "# api_key = hunter2",
        "x = 1  # password: 'hunter2'",
        "%env API_KEY=hunter2",
        "!curl -H 'Authorization: Bearer hunter2hunter2'",
        "!login --password hunter2 --user ann",
        "!export TOKEN=hunter2; run",
        "%%mlfoundry_run demo\npassword = 'hunter2'",
        "%%mlfoundry_run demo --param token=hunter2\nx = 1",
        "!ls \\\n  --token hunter2\npassword = 'hunter2'",
        "é = 'ünï'; password = 'hunter2'",
        "x = !ls\npassword = 'hunter2'",
        "this is no python at all\npassword = 'hunter2'",
        "secret_pin = 1\npassword = 'hunter2' \\\n  'hunter2'",
        "x = 1\rpassword = 'hunter2'\r\n",
        "x = 1\x0c\npassword = 'hunter2'\u2028\n",
    ],
)
def test_a_secret_is_gone(source):
    text, count = masked(source)
    assert "hunter2" not in text
    assert "***" in text
    assert count >= 1


@pytest.mark.parametrize(
    "secret",
    [
        TOKEN,
        "mlf_" + "ab3d" * 8 + "0a1b2c3d",
        "sk-" + "proj-Ab12" * 4,
        "AKIA" + "ABCD1234" * 2,
        "xoxb-1234567890-abcdef",
        "hf_" + "abCD" * 8,
        "glpat-" + "x1" * 10,
        "AIza" + "Sy-_" * 9,
        "eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.SflKxwRJSMeKKF2QT4",
    ],
)
def test_what_looks_like_a_token_is_masked_wherever_it_stands(secret):
    for source in (f"x = '{secret}'", f"# {secret}", f"!run {secret}", f"print('''a\n{secret}\n''')"):
        assert secret not in masked(source)[0]


def test_a_private_key_is_masked_whole():
    source = "x = '''-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----'''\ny = 2"
    text, count = masked(source)
    assert "MIIE" not in text
    assert text.endswith("y = 2")
    assert count == 1


@pytest.mark.parametrize(
    "source",
    [
        "lr = 0.01",
        "max_tokens = 512",
        "tokenizer = 'bert-base'",
        "pad_token = '<pad>'",
        "rows = sorted(rows, key=lambda r: r.loss)",
        "df.sort_values(by='a', sort_key='x')",
        "token = os.environ['TOKEN']",
        "token = os.getenv('TOKEN')",
        "password = getpass('Password: ')",
        "url = 'https://example.org/a?b=c'",
        "url = 'http://localhost:8080/pkg@1.0'",
        "keyboard = 'qwertz'",
        "for token in tokens: count[token] += 1",
        "monkey = 'x'  # a comment that says nothing",
        "git = 'git@github.com:ann/repo.git'",
        "%timeit f(x)",
        "%env PATH /usr/bin",
        "%env TOKEN",
        "%env TOKEN $token",
        "",
    ],
)
def test_what_is_no_secret_stays_as_it_is(source):
    assert masked(source) == (source, 0)


def test_the_rest_of_the_source_stays_to_the_letter():
    source = "x = [1,2]   # kept\napi_key='abc' ; y='ü'\n\nif x:\n\tprint( 'a' )"
    assert masked(source)[0] == "x = [1,2]   # kept\napi_key=\"***\" ; y='ü'\n\nif x:\n\tprint( 'a' )"


def test_masked_python_is_python_still():
    source = "a = connect(password='x', f=lambda: {'token': f'{1}'})\nb = b'1'\nsecret = 'a' 'b'"
    calls = [node for node in ast.walk(ast.parse(masked(source)[0])) if isinstance(node, ast.Call)]
    assert [keyword.arg for keyword in calls[0].keywords] == ["password", "f"]
    assert ast.literal_eval(calls[0].keywords[0].value) == "***"


def test_masking_twice_masks_nothing_more():
    text, _ = masked(f"password = 'hunter2'\n# token: abc\nx = '{TOKEN}'")
    assert masked(text)[0] == text


ANYTHING = st.text(alphabet="abk=\"'#\n\\ ([{}])%!?:;_1é\u2028\x0c\rtoken", max_size=80)
LINES = [
    "token = 'abc'",
    "x = 1",
    "%env API_KEY=abc",
    "!run --password abc \\",
    "# token: abc",
    "d = {'key': 'abc'}",
    '"""',
]


@given(ANYTHING | st.lists(st.sampled_from(LINES) | ANYTHING, max_size=5).map("\n".join))
def test_any_text_can_be_masked(source):
    text, count = masked(source)
    assert (count == 0) == (text == re.sub("\r\n?", "\n", source))  # ends of lines are made alike
    assert masked(text)[0] == text


def test_names_are_judged_by_their_words():
    assert all(map(is_secret, ("key", "api_key", "apiKey", "OPENAI_API_KEY", "authToken", "user_pwd", "credentials")))
    assert not any(map(is_secret, ("keyboard", "monkey", "tokenizer", "max_tokens", "sort_key", "secretary", "lr", "")))
    assert is_secret("max_password")


@pytest.mark.parametrize(
    "piece",
    ["a", "x://", "eyJ", "key", "token=", "://a:", "a-", "a.", "x://a:", "bearer ", "sk-", "--a", "'", "token ", "?"],
)
def test_a_long_line_takes_no_time(piece):
    line = piece * (100_000 // len(piece))
    began = time.process_time()
    for source in (line, f"x = {line!r}", f"# {line}", f"!{line}"):
        masked(source)
        looks_secret(source)
    assert time.process_time() - began < 10


def test_magics_count_as_nothing():
    assert [type(each).__name__ for each in parsed("%%mlfoundry_run demo\n!ls\nx = 1").body] == [
        "Pass",
        "Pass",
        "Assign",
    ]
    assert parsed("x = (") is None
