"""What a run records about its surroundings, and what it must never record, run or wait for."""

from __future__ import annotations

import getpass
import os
import platform
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlfoundry import __version__
from mlfoundry.surroundings import capture, machine, packages
from mlfoundry.surroundings import git as repositories
from mlfoundry.surroundings.remotes import without_credentials

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
posix_only = pytest.mark.skipif(os.name != "posix", reason="needs shell scripts and signals")


@pytest.fixture(autouse=True)
def no_thread_survives() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def git(directory: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "protocol.file.allow=always")
    command = ["git", *identity, "-C", str(directory), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def new_repository(directory: Path) -> Path:
    directory.mkdir(parents=True)
    git(directory, "init", "--quiet", "--initial-branch=main")
    (directory / "train.py").write_text("print()\n")
    git(directory, "add", "train.py")
    git(directory, "commit", "--quiet", "--message=first")
    return directory


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return new_repository(tmp_path / "repository")


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


# --- Git. ---


@needs_git
def test_a_clean_repository_gives_commit_branch_and_not_dirty(repository: Path) -> None:
    git(repository, "remote", "add", "origin", "https://ann:s3cret@example.org/team/project.git")
    facts = capture.capture(repository)
    assert facts["git.commit"] == git(repository, "rev-parse", "HEAD")
    assert facts["git.branch"] == "main"
    assert facts["git.dirty"] == "false"
    assert facts["git.remote"] == "https://example.org/team/project.git"


@needs_git
@pytest.mark.parametrize(
    "change",
    [lambda file: file.write_text("other\n"), lambda file: file.unlink(), lambda file: file.chmod(0o755)],
)
def test_a_changed_tracked_file_makes_it_dirty(repository: Path, change: object) -> None:
    change(repository / "train.py")  # type: ignore[operator]
    assert capture.capture(repository)["git.dirty"] == "true"


@needs_git
def test_a_staged_file_makes_it_dirty(repository: Path) -> None:
    (repository / "new.py").write_text("1")
    git(repository, "add", "new.py")
    assert capture.capture(repository)["git.dirty"] == "true"


@needs_git
def test_untracked_files_and_new_time_stamps_do_not_make_it_dirty(repository: Path) -> None:
    (repository / "model.bin").write_text("1")
    os.utime(repository / "train.py", (1, 1))
    assert capture.capture(repository)["git.dirty"] == "false"


@needs_git
def test_a_folder_inside_the_repository_is_enough(repository: Path) -> None:
    (repository / "inner").mkdir()
    assert capture.capture(repository / "inner")["git.branch"] == "main"


@needs_git
def test_a_detached_head_has_a_commit_and_no_branch(repository: Path) -> None:
    git(repository, "checkout", "--quiet", "--detach")
    facts = capture.capture(repository)
    assert len(facts["git.commit"]) == 40
    assert "git.branch" not in facts


@needs_git
def test_a_repository_without_a_commit_has_a_branch(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    facts = capture.capture(tmp_path)
    assert "git.commit" not in facts
    assert facts["git.branch"] == "main"


@needs_git
def test_origin_is_the_remote_that_counts(repository: Path) -> None:
    git(repository, "remote", "add", "fork", "git@example.org:ann/project.git")
    assert capture.capture(repository)["git.remote"] == "git@example.org:ann/project.git"
    git(repository, "remote", "add", "origin", "git@example.org:team/project.git")
    assert capture.capture(repository)["git.remote"] == "git@example.org:team/project.git"


@needs_git
@pytest.mark.parametrize(
    "url", ["/home/ann/project.git", "../project", "file:///home/ann/p.git", r"C:\ann\p", "C:/ann"]
)
def test_a_remote_on_this_machine_is_absent(repository: Path, url: str) -> None:
    git(repository, "remote", "add", "origin", url)
    assert "git.remote" not in capture.capture(repository)


@needs_git
def test_capturing_changes_nothing_in_the_repository(repository: Path) -> None:
    os.utime(repository / "train.py", (1, 1))  # an ordinary status would now write the index

    def state() -> dict[str, tuple[int, int]]:
        files = sorted(repository.rglob("*"))
        return {str(file): (file.stat().st_mtime_ns, file.stat().st_ino) for file in files}

    before = state()
    assert capture.capture(repository)["git.dirty"] == "false"
    assert state() == before


@needs_git
def test_no_repository_gives_no_git_facts(tmp_path: Path) -> None:
    assert not [name for name in capture.capture(tmp_path) if name.startswith("git.")]


def test_a_folder_that_does_not_exist_gives_no_git_facts(tmp_path: Path) -> None:
    facts = capture.capture(tmp_path / "gone")
    assert not [name for name in facts if name.startswith("git.")]
    assert facts["python.version"]


@needs_git
def test_without_git_on_the_path_its_facts_are_absent(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository))
    facts = capture.capture(repository)
    assert not [name for name in facts if name.startswith("git.")]
    assert facts["platform.system"]


@needs_git
@posix_only
def test_a_git_that_lies_in_the_working_directory_is_not_run(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(repository / "git", f"touch {tmp_path}/trap")
    monkeypatch.chdir(repository)
    monkeypatch.setenv("PATH", f".{os.pathsep}{os.pathsep}{os.environ['PATH']}")
    assert capture.capture()["git.branch"] == "main"
    assert not (tmp_path / "trap").exists()


# --- Repositories that would like to run something. ---


def trap(tmp_path: Path, answer: str = "cat") -> tuple[Path, Path]:
    """Return a program, and the file that appears when it is run."""
    sprung = tmp_path / "sprung"
    return script(tmp_path / "trap.sh", f"touch {sprung}\n{answer}"), sprung


@needs_git
@posix_only
def test_an_fsmonitor_program_is_not_run(repository: Path, tmp_path: Path) -> None:
    program, sprung = trap(tmp_path)
    git(repository, "config", "core.fsmonitor", str(program))
    assert capture.capture(repository)["git.dirty"] == "false"
    assert not sprung.exists()
    git(repository, "status")
    assert sprung.exists(), "the trap works"


@needs_git
@posix_only
@pytest.mark.parametrize("driver", ["clean", "process"])
def test_a_filter_program_of_the_repository_is_not_run(repository: Path, tmp_path: Path, driver: str) -> None:
    program, sprung = trap(tmp_path)
    (repository / ".git" / "info").mkdir(exist_ok=True)
    (repository / ".git" / "info" / "attributes").write_text("* filter=evil\n")
    git(repository, "config", f"filter.evil.{driver}", str(program))
    os.utime(repository / "train.py", (1, 1))
    facts = capture.capture(repository)
    assert not sprung.exists()
    assert "git.dirty" not in facts, "it cannot be known without running the filter"
    assert facts["git.branch"] == "main"
    subprocess.run(["git", "-C", str(repository), "status"], capture_output=True, check=False)
    assert sprung.exists(), "the trap works"


@needs_git
@posix_only
def test_a_filter_program_behind_an_include_is_not_run(repository: Path, tmp_path: Path) -> None:
    program, sprung = trap(tmp_path)
    (repository / ".gitattributes").write_text("* filter=evil\n")
    (repository / "settings").write_text(f'[filter "evil"]\n\tclean = {program}\n')
    git(repository, "config", "include.path", "../settings")
    os.utime(repository / "train.py", (1, 1))
    assert "git.dirty" not in capture.capture(repository)
    assert not sprung.exists()


@needs_git
@posix_only
def test_a_filter_of_the_users_own_configuration_is_used(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text('[filter "upper"]\n\tclean = tr a-z A-Z\n')
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    (repository / ".gitattributes").write_text("*.py filter=upper\n")
    git(repository, "add", "--renormalize", ".")
    git(repository, "commit", "--quiet", "--message=filtered")
    os.utime(repository / "train.py", (1, 1))
    assert capture.capture(repository)["git.dirty"] == "false"


@needs_git
@posix_only
def test_programs_of_a_submodule_are_not_run(repository: Path, tmp_path: Path) -> None:
    program, sprung = trap(tmp_path)
    inner = new_repository(tmp_path / "inner")
    git(repository, "submodule", "--quiet", "add", str(inner), "inner")
    git(repository, "commit", "--quiet", "--message=submodule")
    git(repository / "inner", "config", "core.fsmonitor", str(program))
    git(repository / "inner", "config", "filter.evil.clean", str(program))
    (repository / "inner" / ".gitattributes").write_text("* filter=evil\n")
    sprung.unlink(missing_ok=True)
    os.utime(repository / "inner" / "train.py", (1, 1))
    assert capture.capture(repository)["git.dirty"] == "false"
    assert not sprung.exists()
    git(repository, "status")
    assert sprung.exists(), "the trap works"


@needs_git
@posix_only
def test_hooks_pagers_and_diff_programs_are_not_run(repository: Path, tmp_path: Path) -> None:
    program, sprung = trap(tmp_path)
    for hook in ("post-index-change", "post-checkout", "pre-auto-gc", "reference-transaction"):
        shutil.copy(program, repository / ".git" / "hooks" / hook)
    for setting in (
        "core.pager",
        "pager.status",
        "diff.external",
        "core.editor",
        "core.sshCommand",
        "alias.status",
    ):
        git(repository, "config", setting, str(program))
    git(repository, "config", "status.submoduleSummary", "true")
    git(repository, "config", "commit.verbose", "true")
    sprung.unlink(missing_ok=True)
    (repository / "train.py").write_text("other\n")
    assert capture.capture(repository)["git.dirty"] == "true"
    assert not sprung.exists()


@needs_git
@posix_only
def test_a_partial_clone_fetches_nothing(repository: Path, tmp_path: Path) -> None:
    program, sprung = trap(tmp_path, answer="exit 1")
    tree = git(repository, "rev-parse", "HEAD^{tree}")
    (repository / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
    for name, value in (
        ("core.repositoryFormatVersion", "1"),
        ("extensions.partialClone", "origin"),
        ("remote.origin.url", str(tmp_path / "elsewhere")),
        ("remote.origin.promisor", "true"),
        ("remote.origin.uploadpack", str(program)),
        ("protocol.allow", "always"),
        ("protocol.file.allow", "always"),
    ):
        git(repository, "config", name, value)
    facts = capture.capture(repository)
    assert not sprung.exists()
    assert "git.dirty" not in facts
    subprocess.run(["git", "-C", str(repository), "status"], capture_output=True, check=False)
    assert sprung.exists(), "the trap works"


@needs_git
def test_a_bare_repository_among_the_files_is_not_looked_at(repository: Path) -> None:
    git(repository, "init", "--quiet", "--bare", "data")
    assert not [name for name in capture.capture(repository / "data") if name.startswith("git.")]


@posix_only
def test_a_git_that_hangs_is_killed_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    script(folder / "git", f"/bin/sleep 60 &\necho $! > {tmp_path}/child\nwait")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(repositories, "_GIT_CALL_S", 0.3)
    monkeypatch.setattr(repositories, "_GIT_TOTAL_S", 0.5)
    begin = time.monotonic()
    facts = capture.capture(tmp_path)
    assert time.monotonic() - begin < 2
    assert not [name for name in facts if name.startswith("git.")]
    child = Path("/proc") / (tmp_path / "child").read_text().strip()
    deadline = time.monotonic() + 5
    while child.exists() and " Z " not in (child / "stat").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@posix_only
def test_git_gets_a_minimal_environment_and_no_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    script(folder / "git", f"/usr/bin/env > {tmp_path}/environment\n/bin/cat > {tmp_path}/input\nexit 1")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    monkeypatch.setenv("GIT_TRACE", "1")
    monkeypatch.setenv("API_KEY", "s3cret")
    capture.capture(tmp_path)
    lines = (tmp_path / "environment").read_text().splitlines()
    environment = dict(line.split("=", 1) for line in lines)
    assert environment["GIT_OPTIONAL_LOCKS"] == environment["GIT_TERMINAL_PROMPT"] == "0"
    assert environment["GIT_NO_LAZY_FETCH"] == "1"
    assert environment["GIT_ALLOW_PROTOCOL"] == "none"
    assert environment["HOME"] == str(tmp_path)
    assert environment["LC_ALL"] == "C"
    assert not {"GIT_DIR", "GIT_TRACE", "API_KEY"} & set(environment)
    assert (tmp_path / "input").read_text() == ""


# --- Python, packages, hardware. ---


def test_python_platform_and_hardware_are_told(tmp_path: Path) -> None:
    facts = capture.capture(tmp_path)
    assert facts["python.version"] == platform.python_version()
    assert facts["python.implementation"] == platform.python_implementation()
    assert facts["platform.system"] == platform.system()
    assert facts["platform.machine"] == platform.machine()
    assert facts["platform.release"] == platform.release()
    assert facts["mlfoundry.version"] == __version__
    assert int(facts["hardware.cpu_count"]) == os.cpu_count()
    assert int(facts["hardware.memory_bytes"]) > 2**26
    assert all(isinstance(value, str) and value for value in facts.values())


def test_packages_are_one_a_line_sorted_with_versions(tmp_path: Path) -> None:
    lines = capture.capture(tmp_path)["packages"].splitlines()
    assert f"pytest=={pytest.__version__}" in lines
    assert lines == sorted(lines, key=lambda line: line.split("==")[0].lower().replace("_", "-").replace(".", "-"))
    assert all(line.count("==") == 1 for line in lines)


def write_package(folder: Path, name: str, version: str) -> None:
    metadata = folder / f"{name}-{version}.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: not-this\n")


def test_a_package_installed_meanwhile_is_seen_and_the_first_on_the_path_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    write_package(first, "Some_Package", "2.0+cu12")
    write_package(second, "some-package", "1.0")
    monkeypatch.setattr(sys, "path", [str(first), str(second), str(tmp_path / "gone")])
    assert capture.capture(tmp_path)["packages"] == "Some_Package==2.0+cu12"
    os.utime(second, (1, 1))
    write_package(second, "another", "3")
    assert capture.capture(tmp_path)["packages"] == "another==3\nSome_Package==2.0+cu12"


class Driver:
    """As much of pynvml as is used."""

    def __init__(self, names: list[str | bytes], wait: threading.Event | None = None) -> None:
        self.names = names
        self.wait = wait
        self.open = 0

    def nvmlInit(self) -> None:
        self.open += 1
        if self.wait is not None:
            self.wait.wait()

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:
        return len(self.names)

    def nvmlDeviceGetHandleByIndex(self, number: int) -> int:
        return number

    def nvmlDeviceGetName(self, handle: int) -> str | bytes:
        return self.names[handle]


@pytest.fixture
def forgotten_gpus() -> Iterator[None]:
    machine._gpu_names.cache_clear()
    yield
    machine._gpu_names.cache_clear()


@pytest.mark.usefixtures("forgotten_gpus")
def test_gpus_are_named_by_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver(["NVIDIA H200", b"NVIDIA T4"])
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    facts = capture.capture(tmp_path)
    assert facts["hardware.gpu.0"] == "NVIDIA H200"
    assert facts["hardware.gpu.1"] == "NVIDIA T4"
    assert driver.open == 0


@pytest.mark.usefixtures("forgotten_gpus")
def test_without_the_gpu_library_there_is_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    facts = capture.capture(tmp_path)
    assert not [name for name in facts if "gpu" in name]
    assert facts["packages"]


@pytest.mark.usefixtures("forgotten_gpus")
def test_a_gpu_driver_that_hangs_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wait = threading.Event()
    monkeypatch.setitem(sys.modules, "pynvml", Driver(["NVIDIA H200"], wait))
    monkeypatch.setattr(machine, "_GPU_S", 0.05)
    facts = capture.capture(tmp_path)
    wait.set()
    assert not [name for name in facts if "gpu" in name]
    assert facts["packages"]
    for thread in threading.enumerate():
        if thread.name == "mlfoundry-capture-gpu":
            thread.join(5)


@needs_git
def test_no_user_host_home_environment_or_argument_is_recorded(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY_KEY", "canary-in-environment")
    monkeypatch.setattr(sys, "argv", ["canary-in-argv"])
    git(
        repository,
        "remote",
        "add",
        "origin",
        "https://canary-user:canary-word@example.org/p?token=canary-token#canary",
    )
    git(repository, "config", "http.extraHeader", "Authorization: canary-header")
    facts = capture.capture(repository)
    text = "\n".join(f"{name}={value}" for name, value in facts.items() if name != "packages")
    assert "canary" not in text
    assert str(Path.home()) not in text
    assert str(repository) not in text
    # A host called "linux" or a user called "git" would be found in any text.
    private = {socket.gethostname(), getpass.getuser()} - {"localhost", "linux", "git", "main"}
    assert not [word for word in private if len(word) > 3 and word in text]


@posix_only
def test_it_works_when_the_working_directory_is_deleted(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    program = (
        "import os, sys; sys.path = [p for p in sys.path if p]; os.rmdir(os.getcwd());"
        "from mlfoundry.surroundings.capture import capture, start; pieces = [];"
        "start(pieces.append).join(); facts = capture();"
        "assert facts['python.version'] and facts['packages'] and pieces;"
        "assert not [name for name in facts if name.startswith('git.')]"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=place, check=True, timeout=30)


@posix_only
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_forked_during_a_capture_can_capture(tmp_path: Path) -> None:
    packages._packages.cache_clear()
    machine.machine.cache_clear()
    thread = capture.start(lambda facts: None, tmp_path)
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if capture.capture(tmp_path).get("packages") else 1)
        finally:
            os._exit(2)
    thread.join()
    deadline = time.monotonic() + 20
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert status == 0


def test_importing_the_module_imports_nothing_heavy() -> None:
    program = (
        "import sys, mlfoundry.surroundings.capture;"
        "heavy = {'subprocess', 'platform', 'importlib.metadata', 'psutil', 'pynvml', 'email', 'logging'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    subprocess.run([sys.executable, "-S", "-c", program], check=True, cwd=Path(capture.__file__).parents[2])


# --- In the background. ---


@needs_git
def test_start_hands_over_quick_facts_then_git_then_packages(repository: Path) -> None:
    pieces: list[dict[str, str]] = []
    thread = capture.start(pieces.append, repository)
    assert thread.daemon
    assert thread.name == "mlfoundry-capture"
    thread.join()
    assert [next(iter(sorted(piece)))[:4] for piece in pieces[:2]] == ["hard", "git."]
    assert "packages" in pieces[2]
    assert len(pieces) == 3
    assert {**pieces[0], **pieces[1], **pieces[2]} == capture.capture(repository)


def test_start_hands_over_no_empty_piece(tmp_path: Path) -> None:
    pieces: list[dict[str, str]] = []
    capture.start(pieces.append, tmp_path).join()
    assert len(pieces) == 2
    assert all(pieces)


def test_what_the_receiver_raises_does_not_escape_and_the_next_piece_comes(tmp_path: Path) -> None:
    calls = []

    def refuse(facts: dict[str, str]) -> None:
        calls.append(facts)
        raise RuntimeError("the run has ended")

    capture.start(refuse, tmp_path).join()  # an escape would be a warning, and warnings are errors here
    assert len(calls) == 2


@needs_git
def test_the_working_directory_is_the_one_at_the_start(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[dict[str, str]] = []
    monkeypatch.chdir(repository)
    thread = capture.start(pieces.append)
    monkeypatch.chdir("/")
    thread.join()
    assert any("git.commit" in piece for piece in pieces)


def test_changing_a_piece_does_not_change_the_next_capture(tmp_path: Path) -> None:
    capture.capture(tmp_path).clear()
    pieces: list[dict[str, str]] = []
    capture.start(pieces.append, tmp_path).join()
    pieces[0].clear()
    assert capture.capture(tmp_path)["python.version"]


def test_starting_costs_the_caller_well_under_a_millisecond(tmp_path: Path) -> None:
    costs = []
    for _ in range(9):
        begin = time.perf_counter()
        thread = capture.start(lambda facts: None, tmp_path)
        costs.append(time.perf_counter() - begin)
        thread.join()
    assert min(costs) < 0.001  # a thread that does nothing costs 0.1 to 0.4 ms, so does this one


# --- URLs. ---


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        # nothing to hide
        ("https://example.org/team/project.git", "https://example.org/team/project.git"),
        ("https://example.org:8443/project.git", "https://example.org:8443/project.git"),
        ("https://example.org", "https://example.org"),
        ("https://example.org/@scope/project@v2", "https://example.org/@scope/project@v2"),
        ("https://[::1]:8443/project", "https://[::1]:8443/project"),
        ("git://example.org/project.git", "git://example.org/project.git"),
        ("git@example.org:team/project.git", "git@example.org:team/project.git"),
        ("example.org:team/project.git", "example.org:team/project.git"),
        ("file:///srv/git/project.git", "file:///srv/git/project.git"),
        ("/srv/git/a@b/project.git", "/srv/git/a@b/project.git"),
        ("../project", "../project"),
        (r"C:\code\project", r"C:\code\project"),
        ("", ""),
        # user information
        ("https://ann@example.org/p", "https://example.org/p"),
        ("https://ann:s3cret@example.org/p", "https://example.org/p"),
        ("https://ann:s3cret@example.org:8443/p", "https://example.org:8443/p"),
        ("https://:s3cret@example.org/p", "https://example.org/p"),
        ("https://ghp_s3cret@example.org/p", "https://example.org/p"),
        ("https://x-access-token:ghp_s3cret@example.org/p", "https://example.org/p"),
        ("https://oauth2:s3cret@example.org/p", "https://example.org/p"),
        ("https://ann%40mail.org:s3%2Fcret@example.org/p", "https://example.org/p"),
        ("https://ann:s3cret%40example.org/p", "https://example.org/p"),
        ("https://ann@mail.org:s3cret@example.org/p", "https://example.org/p"),
        ("https://ann:s3@cret@example.org/p", "https://example.org/p"),
        ("https://ann:s3/cret@example.org/p", "https://example.org/p"),
        ("https://ann:s3#cret@example.org/p", "https://example.org/p"),
        ("https://ann:s3?cret@example.org/p", "https://example.org/p"),
        ("https://ann:s3cret@[::1]:8443/p", "https://[::1]:8443/p"),
        ("https://ann:s3cret/p", "https://ann/p"),
        ("HTTPS://ann:s3cret@example.org/p", "HTTPS://example.org/p"),
        ("https://änn:geh€im@beispiel.example/größe", "https://beispiel.example/größe"),
        ("  https://ann:s3cret@example.org/p\n", "https://example.org/p"),
        ("https://ann:s3cret@example.org/\u202ep\x1b[2J", "https://example.org/p[2J"),
        ("ssh://git@example.org/p.git", "ssh://example.org/p.git"),
        ("ssh://git:s3cret@example.org:2222/p.git", "ssh://example.org:2222/p.git"),
        ("ftp://ann:s3cret@example.org/p", "ftp://example.org/p"),
        ("file://ann:s3cret@host/p", "file://host/p"),
        (
            "https://proxy.example/https://ann:s3cret@example.org/p",
            "https://proxy.example/https://example.org/p",
        ),
        ("codecommit::eu-west-1://s3cret@project", "codecommit::eu-west-1://project"),
        ("ext::ssh -i key ann:s3cret@example.org %S p", ""),
        # host:path
        ("ann@example.org:p.git", "example.org:p.git"),
        ("ann:s3cret@example.org:p.git", "example.org:p.git"),
        ("git:s3cret@example.org:p.git", "example.org:p.git"),
        ("git@s3cret@example.org:p.git", "example.org:p.git"),
        ("git@ann:s3cret@example.org:p.git", "example.org:p.git"),
        ("ann:s3/cret@example.org:p.git", "example.org:p.git"),
        ("git@example.org:p.git?token=s3cret", "git@example.org:p.git"),
        ("git@[::1]:p.git", "git@[::1]:p.git"),
        # query and fragment
        ("https://example.org/p?private_token=s3cret", "https://example.org/p"),
        ("https://example.org?token=s3cret", "https://example.org"),
        ("https://example.org/p#access_token=s3cret", "https://example.org/p"),
        ("https://example.org/p?mail=a@b&token=s3cret", "https://example.org/p"),
    ],
)
def test_a_url_keeps_its_place_and_loses_its_secrets(url: str, kept: str) -> None:
    assert without_credentials(url) == kept
    assert without_credentials(kept) == kept
    assert "s3" not in kept
    assert "cret" not in kept
