"""Settings: argument before environment before file before default, and errors that name the source."""

import getpass
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlfoundry import folders, get_client, settings
from mlfoundry.errors import InvalidSetting


@pytest.fixture
def file(home):
    """Write the settings file."""

    def write(text):
        home.mkdir(exist_ok=True)
        (home / "settings.toml").write_text(text, encoding="utf-8")

    return write


# -- where a value comes from --------------------------------------------------------------------


def test_without_anything_said_the_defaults_hold(home):
    resolved = settings.resolve()
    assert resolved.home == home
    assert resolved.tracking_uri == str(home)
    assert resolved.folder == home
    assert resolved.user == getpass.getuser()
    assert resolved.api_key is None
    assert (resolved.system_metrics, resolved.system_metrics_interval_s) == (True, 1.0)
    assert (resolved.capture, resolved.end_timeout_s) == (True, 10.0)


def test_without_a_home_the_platforms_data_folder_is_used():
    import platformdirs

    assert settings.resolve({}).home == platformdirs.user_data_path("mlfoundry")
    assert settings.settings_file({}) == platformdirs.user_config_path("mlfoundry") / "settings.toml"


def test_an_argument_comes_before_the_environment_and_that_before_the_file(file, monkeypatch):
    file('user = "from-file"\n')
    assert settings.resolve().user == "from-file"
    monkeypatch.setenv("MLFOUNDRY_USER", "from-environment")
    assert settings.resolve().user == "from-environment"
    assert settings.resolve(user="from-argument").user == "from-argument"


def test_every_setting_can_be_made_in_the_file(home, tmp_path, monkeypatch):
    lines = [
        f'home = "{tmp_path}/elsewhere"',
        f'tracking_uri = "{tmp_path}/store"',
        'api_key = "k"',
        'user = "ann"',
        "system_metrics = false",
        "system_metrics_interval_s = 5",
        "capture = false",
        "end_timeout_s = 0.5",
        'host = "https://runs.example.org"',
        "panel = false",
        "cell_source = false",
        "cell_params = false",
        "cell_changes = false",
        "cell_cost = false",
    ]
    (home / "settings.toml").write_text("\n".join(lines))
    monkeypatch.setattr(settings, "settings_file", lambda environment=None: home / "settings.toml")
    resolved = settings.resolve({})
    assert resolved == settings.Settings(
        tmp_path / "elsewhere",
        f"{tmp_path}/store",
        "https://runs.example.org",
        "k",
        "ann",
        *(False, 5.0, False, 0.5),
        *(False, False, False, False, False),
    )
    assert len(lines) == len(settings.SETTINGS)


def test_every_setting_can_be_made_in_the_environment(tmp_path):
    environment = {
        "MLFOUNDRY_HOME": str(tmp_path / "home"),
        "MLFOUNDRY_TRACKING_URI": str(tmp_path / "store"),
        "MLFOUNDRY_API_KEY": "k",
        "MLFOUNDRY_USER": "ann",
        "MLFOUNDRY_SYSTEM_METRICS": "0",
        "MLFOUNDRY_SYSTEM_METRICS_INTERVAL": "5",
        "MLFOUNDRY_CAPTURE": "no",
        "MLFOUNDRY_END_TIMEOUT": "0.5",
        "MLFOUNDRY_HOST": "https://runs.example.org",
        "MLFOUNDRY_PANEL": "0",
        "MLFOUNDRY_CELL_SOURCE": "0",
        "MLFOUNDRY_CELL_PARAMS": "0",
        "MLFOUNDRY_CELL_CHANGES": "0",
        "MLFOUNDRY_CELL_COST": "0",
    }
    assert set(environment) == {variable for variable, _, _ in settings.SETTINGS.values()}
    assert settings.resolve(environment) == settings.Settings(
        tmp_path / "home",
        str(tmp_path / "store"),
        "https://runs.example.org",
        "k",
        "ann",
        *(False, 5.0, False, 0.5),
        *(False, False, False, False, False),
    )


def test_an_empty_variable_is_as_if_it_were_not_set(home):
    environment = {variable: "" for variable, _, _ in settings.SETTINGS.values()} | {"MLFOUNDRY_HOME": str(home)}
    assert settings.resolve(environment) == settings.resolve()


def test_the_store_is_the_home_when_no_other_place_is_given(tmp_path):
    assert settings.resolve(home=tmp_path).folder == tmp_path
    assert settings.resolve(home=tmp_path, tracking_uri=tmp_path / "store").folder == tmp_path / "store"


@pytest.mark.parametrize("text", ["1", "true", "YES", " on ", "True"])
def test_the_words_for_yes(text, home):
    assert settings.resolve({"MLFOUNDRY_HOME": str(home), "MLFOUNDRY_CAPTURE": text}).capture is True


@pytest.mark.parametrize("text", ["0", "false", "No", "off"])
def test_the_words_for_no(text, home):
    assert settings.resolve({"MLFOUNDRY_HOME": str(home), "MLFOUNDRY_CAPTURE": text}).capture is False


# -- places --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "folder"),
    [
        ("/data/runs", Path("/data/runs")),
        ("file:///data/runs", Path("/data/runs")),
        ("file://localhost/data/runs", Path("/data/runs")),
        ("file:///data/my%20runs%23", Path("/data/my runs#")),
        ("~/runs", Path.home() / "runs"),
        (b"/data/runs", Path("/data/runs")),
        (Path("/data/runs"), Path("/data/runs")),
    ],
)
def test_a_path_or_a_file_uri_means_a_folder(uri, folder):
    assert settings.resolve(tracking_uri=uri).folder == folder


def test_a_relative_path_is_one_of_where_the_program_stands_when_asked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    resolved = settings.resolve(tracking_uri="runs", home="home")
    assert (resolved.folder, resolved.home) == (tmp_path / "runs", tmp_path / "home")


@pytest.mark.parametrize("uri", ["s3://bucket", "file://", "file://host/x"])
def test_a_uri_that_is_no_folder_is_refused(uri):
    with pytest.raises(InvalidSetting, match="give a path, file:///path or the https:// address of a server"):
        settings.resolve(tracking_uri=uri)


def test_journals_lie_with_the_store_or_in_a_temporary_folder_of_this_account_and_store(tmp_path):
    first, second = settings.resolve(tracking_uri=tmp_path / "a").journal_roots()
    assert first == tmp_path / "a" / "journals"
    assert second != settings.resolve(tracking_uri=tmp_path / "b").journal_roots()[1]
    assert second == settings.resolve(tracking_uri=f"file://{tmp_path}/a").journal_roots()[1]


def test_the_first_folder_that_takes_files_is_made_for_this_account_alone(tmp_path):
    (tmp_path / "file").write_text("")
    folder = tmp_path / "new" / "deep"
    assert folders.make_one_of([tmp_path / "file" / "x", tmp_path / "file", folder, tmp_path / "other"]) == folder
    assert folder.stat().st_mode & 0o777 == folder.parent.stat().st_mode & 0o777 == 0o700
    assert not (tmp_path / "other").exists()
    assert folders.make_one_of([tmp_path / "file", tmp_path / "file" / "x"]) is None


def test_a_folder_is_ones_own_when_nobody_else_can_change_what_lies_in_it_and_asking_makes_none(tmp_path):
    folders.make_private(tmp_path / "new")
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "new")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o777)
    assert folders.is_own(tmp_path / "new")
    assert not any(folders.is_own(tmp_path / name) for name in ("link", "shared", "file"))  # anybody may have put it
    assert not folders.is_own(tmp_path / "missing")
    assert not (tmp_path / "missing").exists()


# -- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "variable", "value", "message"),
    [
        ("system_metrics", "MLFOUNDRY_SYSTEM_METRICS", "maybe", "is 'maybe'; give 1 or 0 (true/false, yes/no, on/off)"),
        ("end_timeout_s", "MLFOUNDRY_END_TIMEOUT", "soon", "is 'soon' (str); give seconds from 0 to 86400"),
        ("end_timeout_s", "MLFOUNDRY_END_TIMEOUT", "-1", "is '-1' (str); give seconds from 0 to 86400"),
        ("end_timeout_s", "MLFOUNDRY_END_TIMEOUT", "nan", "is 'nan' (str); give seconds from 0 to 86400"),
        (
            "system_metrics_interval_s",
            "MLFOUNDRY_SYSTEM_METRICS_INTERVAL",
            "0",
            "is '0' (str); give seconds from 0.1 to 3600",
        ),
        ("user", "MLFOUNDRY_USER", "a/b", ": user name 'a/b'"),
        (
            "tracking_uri",
            "MLFOUNDRY_TRACKING_URI",
            "s3://x",
            "is 's3://x'; give a path, file:///path or the https:// address of a server",
        ),
    ],
)
def test_a_wrong_value_is_told_with_the_place_it_came_from(name, variable, value, message, home, file):
    for source, resolve in (
        (f"argument {name}", lambda: settings.resolve(**{name: value})),
        (variable, lambda: settings.resolve({"MLFOUNDRY_HOME": str(home), variable: value})),
    ):
        with pytest.raises(InvalidSetting) as caught:
            resolve()
        assert str(caught.value).startswith(source)
        assert message in str(caught.value)
    file(f'{name} = "{value}"\n')
    with pytest.raises(InvalidSetting) as caught:
        settings.resolve()
    assert str(caught.value).startswith(f"{home / 'settings.toml'}: {name}")
    assert message in str(caught.value)


def test_a_slip_in_a_variable_is_warned_about_once_and_a_strange_one_never(home, caplog):
    for name, near in (("MLFOUNDRY_PANLE", "MLFOUNDRY_PANEL"), ("MLFOUNDRY_END_TIMEOUT_S", "MLFOUNDRY_END_TIMEOUT")):
        settings._slips_told.discard(name)
        caplog.clear()
        for _ in range(2):
            settings.resolve({"MLFOUNDRY_HOME": str(home), name: "0", "MLFOUNDRY_OUR_OWN_THING": "1"})
        assert caplog.messages == [f"The variable {name} sets nothing. Did you mean {near}?"]


@pytest.mark.parametrize("value", [True, 10**400, [1], float("inf")], ids=["a bool", "huge", "a list", "infinite"])
def test_a_time_that_is_none_is_refused(value):
    with pytest.raises(InvalidSetting, match="give seconds from 0 to 86400"):
        settings.resolve(end_timeout_s=value)


def test_a_nul_character_in_a_place_is_refused_at_once():
    with pytest.raises(InvalidSetting, match="argument tracking_uri holds a NUL character"):
        settings.resolve(tracking_uri="a\0b")


def test_a_key_is_never_shown():
    with pytest.raises(InvalidSetting) as caught:
        settings.resolve(api_key="se\0cret")
    assert "cret" not in str(caught.value)
    resolved = settings.resolve(api_key="secret")
    assert "secret" not in repr(resolved)
    assert repr(resolved).endswith("api_key=set)")
    assert repr(settings.resolve()).endswith("api_key=not set)")


KEY = "mlf_6h5r7nehm5doasz3g3mv4nef3xubcqqb87927c96"


def key_from(way, key, home):
    """Resolve the settings of a server with a key that comes from an argument, the environment, the file or a login."""
    host = "https://runs.example.org"
    if way == "file":
        (home / "settings.toml").write_text(f"api_key = {json.dumps(key, ensure_ascii=False)}\n", "utf-8")
    if way == "login":
        told = {"default": host, "hosts": {host: {"api_key": key, "user": "ann"}}}
        (home / "credentials.json").write_text(json.dumps(told))
    environment = {"MLFOUNDRY_HOME": str(home)} | ({"MLFOUNDRY_API_KEY": key} if way == "environment" else {})
    return settings.resolve(environment, tracking_uri=host, api_key=key if way == "argument" else None)


WAYS = ("argument", "environment", "file", "login")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("around", ["{}\n", "{}\r\n", "  {}", "{}\t"], ids=repr)
def test_what_a_file_or_a_shell_left_around_a_key_is_no_part_of_it(way, around, home):
    assert key_from(way, around.format(KEY), home).api_key == KEY


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("inside", ["\n", "\r\n", " ", "\t", "é", "ж", "\u202e", "\u2028"], ids=ascii)
def test_a_key_with_what_no_key_holds_is_refused_and_not_shown(way, inside, home):
    with pytest.raises(InvalidSetting, match="is no API key: a key is one line of letters, digits") as caught:
        key_from(way, KEY[:20] + inside + KEY[20:], home)
    assert KEY[4:20] not in str(caught.value)
    assert KEY[20:] not in str(caught.value)
    assert caught.value.__cause__ is None
    where = {"argument": "argument api_key", "environment": "MLFOUNDRY_API_KEY", "file": "settings.toml: api_key"}
    assert where.get(way, "credentials.json: the key for https://runs.example.org") in str(caught.value)


@pytest.mark.parametrize("way", WAYS)
def test_blanks_alone_are_no_key(way, home):
    assert key_from(way, " \n", home).api_key is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"user = ", "is no TOML: "),
        (b"colour = 1\nuser = 'a'", "sets colour, which is none of: home, tracking_uri, host, api_key, user,"),
        (b'user = "\xff"', "is no UTF-8"),
        (b"user = " + b"[" * 3000, "is no TOML: "),
    ],
)
def test_a_settings_file_that_cannot_be_used_is_named(content, message, home):
    (home / "settings.toml").write_bytes(content)
    with pytest.raises(InvalidSetting) as caught:
        settings.resolve()
    assert str(caught.value).startswith(f"{home / 'settings.toml'} {message[:3]}")
    assert message in str(caught.value)


def test_an_account_without_a_name_works_under_its_number(monkeypatch, home):
    def nobody():
        raise KeyError("uid not found")

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert settings.resolve().user.startswith("uid-")
    monkeypatch.setattr(getpass, "getuser", lambda: "not/legal")
    assert settings.resolve().user.startswith("uid-")


def test_nothing_is_resolved_at_import():
    code = (
        "import builtins, os, sys\n"
        "class Watched(dict):\n"
        "    def __getitem__(self, name): print('read', name); return super().__getitem__(name)\n"
        "    def get(self, name, default=None): print('read', name); return super().get(name, default)\n"
        "os.environ = Watched(os.environ)\n"
        "import mlfoundry, mlfoundry.settings, mlfoundry.client, mlfoundry.runs.run\n"
        "print(mlfoundry.get_client)\n"
    )
    environment = {"MLFOUNDRY_CAPTURE": "wrong", "MLFOUNDRY_TRACKING_URI": "http://wrong", "PATH": "/usr/bin"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=Path.cwd())
    assert done.returncode == 0, done.stderr
    assert "read MLFOUNDRY" not in done.stdout


@pytest.mark.parametrize("below", ["", "store", "deep/store"])
@pytest.mark.parametrize("how", ["argument", "environment", "file://", "home"])
def test_a_file_where_the_store_is_to_be_is_refused_and_named(tmp_path, monkeypatch, below, how):
    thesis = tmp_path / "thesis.txt"
    thesis.write_text("years")
    place = thesis / below
    given = {
        "argument": {"tracking_uri": place},
        "file://": {"tracking_uri": f"file://{place}"},
        "home": {"home": place},
    }
    if how == "environment":
        monkeypatch.setenv("MLFOUNDRY_TRACKING_URI", str(place))
    resolved = settings.resolve(**given.get(how, {}))
    with pytest.raises(InvalidSetting) as caught:
        get_client(**given.get(how, {}))
    assert str(caught.value) == f"runs are kept in a folder, and {resolved.folder} cannot be one: {thesis} is a file"
    assert thesis.read_text() == "years"


@pytest.mark.parametrize(
    "text", ["localhost:5000", "127.0.0.1:8080", "runs.example.org:443/x", "runs.example.org", "10.0.0.7/x", "a-b.c.de"]
)
def test_an_address_without_its_scheme_is_no_folder(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidSetting, match=f"write http://{text} for a server, or ./{text} for a folder"):
        settings.resolve(tracking_uri=text)
    assert settings.resolve(tracking_uri=f"./{text}").folder == tmp_path / text
    (tmp_path / text).mkdir(parents=True)
    assert settings.resolve(tracking_uri=text).folder == tmp_path / text, "a folder that is there is one"


@pytest.mark.parametrize(
    "text",
    [
        "runs",
        "runs.db",
        "my.folder",
        "v1.2.3",
        "2026.11.28",
        "/srv/runs.example.org",
        "a..b.c",
        "-x.y.zz",
        "runs/a.b.c",
    ],
)
def test_a_folder_that_is_named_like_folders_are_is_no_address(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    assert settings.resolve(tracking_uri=text).folder == tmp_path / text


@pytest.mark.parametrize(("name", "told"), [("tracking_uri", r"5 \(int\)"), ("home", r"5 \(int\)"), ("api_key", "int")])
def test_what_is_no_text_is_refused(name, told):
    with pytest.raises(InvalidSetting, match=rf"argument {name} is {told}; give text"):
        settings.resolve(**{name: 5})


@pytest.mark.parametrize("name", ["tracking_uri", "home"])
def test_a_relative_place_where_the_current_folder_is_gone_is_refused(tmp_path, monkeypatch, name):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(InvalidSetting, match=r"is 'store', and where that is cannot be told .*give the whole path"):
        settings.resolve(**{name: "store"})
    assert settings.resolve(tracking_uri=tmp_path / "store").folder == tmp_path / "store"


@pytest.mark.parametrize("name", ["home", "tracking_uri", "host"])
def test_a_place_whose_name_is_no_utf8_is_refused_at_once(name, tmp_path):
    place = os.fsdecode(bytes(tmp_path) + b"/\xff") if name != "host" else os.fsdecode(b"https://\xff.example.org")
    for given, source in (({name: place}, f"argument {name}"), ({}, f"MLFOUNDRY_{name.upper()}")):
        environment = {} if given else {f"MLFOUNDRY_{name.upper()}": place}
        with pytest.raises(
            InvalidSetting, match=rf"{source} is '.*, which is no UTF-8 text; runs cannot be kept there"
        ):
            settings.resolve(environment, **given)


def test_a_relative_place_below_a_folder_whose_name_is_no_utf8_is_refused_as_well(tmp_path, monkeypatch):
    odd = os.fsdecode(bytes(tmp_path) + b"/\xff")
    Path(odd).mkdir()
    monkeypatch.chdir(odd)
    with pytest.raises(InvalidSetting, match="which is no UTF-8 text"):
        settings.resolve(tracking_uri="store")
