# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sessions behind `make test`, and the environment behind `make demo` and `make lab`.

Every session works on a copy of the checkout in .nox/trees, with .nox/home as HOME: nothing is written into the checkout or
into the user's home. Environments are kept, and reinstalled only when their requirements change; `make clean` removes them.
`make test-all` runs the sessions with the tag `all`. One of them alone: `.venv/bin/nox --list`, then for example `.venv/bin/nox -s test-2.20`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nox

CHECKOUT = Path(__file__).resolve().parent
TOOLS = CHECKOUT / "tests" / "tools"
WORK = CHECKOUT / ".nox"
HOME = WORK / "home"

sys.path.insert(0, str(TOOLS.parent))
from tools.checkout import copy_checkout, link_collections, link_path  # noqa: E402

LAB_CORE = "2.21"
"""Of which ansible-core the lab has its ansible.windows, whatever core is tested: its win_powershell has to run outside Windows."""

# The supported ansible-core versions with the Pythons that each runs on, oldest first.
SUPPORTED = {
    "2.16": ("3.11", "3.12"),
    "2.19": ("3.11", "3.12", "3.13"),
    "2.20": ("3.12", "3.13"),
    "2.21": ("3.12", "3.13"),
}

nox.needs_version = ">=2025.5.1"
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = True
nox.options.download_python = "never"

# The user's own Ansible settings must not affect the tests.
for _name in [name for name in os.environ if name.startswith("ANSIBLE_")]:
    del os.environ[_name]

# Without bytecode files, each of many processes rewrites the assertions of all tests again, which takes five seconds.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def find_python(minor: str) -> str:
    """Return the path of this Python, empty if the machine does not have it."""
    found = subprocess.run([TOOLS / "find-python", minor], capture_output=True, text=True, check=False)
    return found.stdout.strip()


# The lab runs scripts in PowerShell: that from PATH, else the one beside the project.
BESIDE = CHECKOUT.parent / "shared" / "pwsh"
if not shutil.which("pwsh") and (BESIDE / "pwsh").exists():
    os.environ["PATH"] = f"{BESIDE}{os.pathsep}{os.environ['PATH']}"
NO_POWERSHELL = (
    ""
    if shutil.which("pwsh")
    else "PowerShell 7 is missing, so what needs it does NOT run. Install Microsoft's package powershell, so that pwsh is on the PATH."
)

# The rulebooks run in ansible-rulebook, whose rule engine is written in Java.
NO_JAVA = (
    ""
    if shutil.which("java")
    else "Java is missing, so tests/eda does NOT run. Install Debian's package openjdk-17-jre-headless, or a newer one."
)

PYTHONS = {minor: find_python(minor) for minor in ("3.11", "3.12", "3.13")}
USABLE = {core: [minor for minor in minors if PYTHONS[minor]] for core, minors in SUPPORTED.items()}
# Each core that can run here, with the newest Python that both it and this machine have; but the oldest core with the oldest one.
CORES = {core: minors[-1] for core, minors in USABLE.items() if minors}
if not CORES:
    sys.exit(f"No Python on this machine runs a supported ansible-core. They need: {SUPPORTED}.")
OLDEST, NEWEST = next(iter(CORES)), next(reversed(CORES))
if OLDEST != NEWEST:
    CORES[OLDEST] = USABLE[OLDEST][0]

# A file's tests run in one process, unless another one is idle: some share a lab that takes time to start.
WHOLE_RUNS = "pytest tests/integration -n {} --dist worksteal"

PESTER = "python tests/powershell/run.py"

# In a real ansible-rulebook, which mostly waits.
RULEBOOKS = "pytest tests/eda -n 2 -rP -p no:logging"

ran: list[str] = []  # the results of the test sessions, for the session `report`


# -- sessions ----------------------------------------------------------------------------------------------------------


@nox.session(python=PYTHONS[CORES[NEWEST]], default=False)
def lab(session: nox.Session) -> None:
    """Prepare the environment that `make demo` and `make lab` run in."""
    install(session, NEWEST, "lab", compiled=True)
    peers(session, LAB_CORE)
    # Links, not a copy: while `make lab` is up, it runs what is edited in the checkout.
    root = WORK / "lab" / "collections"
    link_collections(root, peers(session, NEWEST))
    link_path(root / "ansible_collections" / "aovpn" / "ikev2", CHECKOUT)


@nox.session(python=PYTHONS[CORES[NEWEST]], default=False)
def plots(session: nox.Session) -> None:
    """Plot what `make bench` has measured."""
    install(session, NEWEST, "lab", "plots")
    session.env["PYTHONPATH"] = str(CHECKOUT / "tests")
    session.run("python", "-m", "benchmark.plots", str(WORK / "bench.json"), str(CHECKOUT / "docs" / "performance.svg"))


@nox.session(python=PYTHONS[CORES[NEWEST]])
def lint(session: nox.Session) -> None:
    """Linters, types, documentation, the contents of the built archive, and beside them the PowerShell scripts' own tests."""
    install(session, NEWEST, "lab", "test", "lint")
    tree = Tree(session, NEWEST, "lint")
    archive = WORK / "archive"
    shutil.rmtree(archive, ignore_errors=True)
    tree.run_mypy("plugins", "tests", "noxfile.py")
    # ansible-lint takes longest: it has one lane, all others share the second.
    tree.run_at_once(
        "ansible-lint",
        PESTER,
        "antsibull-docs lint-collection-docs . --plugin-docs --skip-rstcheck",
        "lint-imports --no-cache --no-logo",
        "antsibull-changelog lint",
        "yamllint --strict .",
        "ruff check .",
        "ruff format --diff .",
        lanes=2,
    )
    # In the checkout itself: only there are the files that must stay out of the archive.
    tree.run("ansible-galaxy collection build", CHECKOUT, "--output-path", archive)
    tree.run("python tests/tools/archive.py", archive)
    tree.finish()


@nox.session(python=PYTHONS[CORES[NEWEST]], default=False)
def pester(session: nox.Session) -> None:
    """Run the PowerShell scripts' own tests alone, on the lab's stand-ins for Windows."""
    install(session, NEWEST, "lab")
    tree = Tree(session, NEWEST, "pester")
    tree.run(PESTER)
    tree.finish()


def test(session: nox.Session, core: str, minor: str) -> None:
    """Units and whole runs with one ansible-core, and sanity, but not with the oldest. With arguments, only these pytest paths."""
    install(session, core, "lab", "test", *(["eda"] if core == NEWEST and not NO_JAVA else []))
    if session.posargs:
        tree = Tree(session, core, "quick")
        tree.run("pytest", *session.posargs)
        tree.finish()
        return

    # pylint takes most of the time: `make test-all` runs it, with the oldest and the newest, and all the others with the oldest.
    # pep8 finds nothing that ruff does not, and the core matters little to it: it runs with the oldest only.
    sanity = sanity_tests(session, minor, "--skip-test pylint", "--skip-test pep8")
    script = "import ansible.release, platform; print(ansible.release.__version__, platform.python_version())"
    exact = str(session.run("python", "-c", script, silent=True, log=False)).split()
    versions = "ansible-core {} on Python {}".format(*exact)
    ran.append(f"{versions}: failed")
    tree = Tree(session, core, core)
    if NO_POWERSHELL:
        session.warn(NO_POWERSHELL)
        tree.failed += ["PowerShell, which has to be there in CI"] if os.environ.get("CI") else []
    whole_runs, left_out = f"{WHOLE_RUNS.format(3 if core == NEWEST else 2)} -m not(matrix)", ""
    if core != NEWEST:
        # What needs no Ansible (the properties), or depends only on the lab or on a module's options, runs with the newest core.
        units = "pytest tests/unit -m not(matrix)and(not(hypothesis))"
        units += "".join(f" --ignore=tests/unit/{path}" for path in ("meta", "lab", "plugins/module_utils"))
        tree.run_at_once(*([sanity] if core != OLDEST else []), units, f"{whole_runs}and(each_core)")
    else:
        if core != OLDEST:
            whole_runs += "and(not(oldest))"
        # Adapters against the lab, and the report's page in a browser: without Ansible, so once is enough.
        # What takes longest comes first, so that no processor waits at the end.
        units = "pytest tests/browser tests/faults tests/unit -m not(matrix)"
        units += " -n 2 --dist loadfile --no-loadscope-reorder"
        more = []
        if rulebooks_missing(tree):
            left_out = " (tests/eda did not run)"
        else:
            more.append(f"{RULEBOOKS} -m not(matrix)")
        if obstacle := real_ikev2(tree):
            left_out += f" (tests/ikev2 did not run: {obstacle})"
        else:
            more.append("pytest tests/ikev2 -m not(matrix)")
        # Beside the whole runs, one of the others at a time: all of them want a processor, and those first mostly wait.
        tree.run_at_once(whole_runs, *more, units, sanity, lanes=2)
    tree.finish()
    ran[-1] = f"{versions}: passed{left_out}{NO_POWERSHELL and f' ({NO_POWERSHELL})'}"


@nox.session(python=PYTHONS[CORES[NEWEST]], default=False, tags=["all"])
def matrix(session: nox.Session) -> None:
    """Every combination, long story and example of which `make test` runs some."""
    install(session, NEWEST, "lab", "test", *([] if NO_JAVA else ["eda"]))
    pylint = sanity_tests(session, CORES[NEWEST], "--test pylint")
    tree = Tree(session, NEWEST, "matrix")
    matrices = (
        "pytest tests/unit tests/faults tests/browser tests/integration -n 3 --dist worksteal -m (matrix)or(oldest)"
    )
    more = [] if real_ikev2(tree) else ["pytest tests/ikev2 -m matrix"]
    tree.run_at_once(matrices, pylint, *more, *([] if rulebooks_missing(tree) else [f"{RULEBOOKS} -m matrix"]))
    tree.run("pytest tests/unit -n 2 -m (hypothesis)and(not(matrix)) --hypothesis-profile thorough")
    tree.finish()
    ran.append("every combination: passed")


@nox.session(python=PYTHONS[CORES[OLDEST]], default=False, tags=["all"])
def oldest(session: nox.Session) -> None:
    """What `make test` leaves out with the oldest ansible-core."""
    install(session, OLDEST, "lab", "test")
    sanity = sanity_tests(session, CORES[OLDEST])
    tree = Tree(session, OLDEST, "oldest")
    properties = "pytest tests/unit -m (hypothesis)and(not(matrix))"
    tree.run_at_once(sanity, properties, f"{WHOLE_RUNS.format(2)} -m (matrix)and(each_core)")
    tree.finish()
    ran.append("what is left with the oldest ansible-core: passed")


@nox.session(python=PYTHONS[CORES[NEWEST]], default=False)
def mutants(session: nox.Session) -> None:
    """Plant a sample of mistakes in the scripts and in the pure code, and see whether the tests notice."""
    install(session, NEWEST, "lab", "test", "mutants", compiled=True)
    tree = Tree(session, NEWEST, "mutants")
    # Two mistakes of the same length in one second would be one to Python.
    session.env["PYTHONDONTWRITEBYTECODE"] = "1"
    tree.run("python tests/tools/mutants.py", *session.posargs)
    tree.finish()


def rulebooks_missing(tree: Tree) -> str:
    """Return what the tests of the rulebooks lack, empty if nothing."""
    if missing := NO_JAVA or NO_POWERSHELL:
        tree.session.warn(missing)
        tree.failed += ["tests/eda, which has to run in CI"] if os.environ.get("CI") else []
    return missing


def real_ikev2(tree: Tree) -> str:
    """Install the Debian packages of the data plane. Return why its tests cannot run, empty if they can."""
    python = Path(tree.session.bin) / "python"
    environment = {**os.environ, **{name: value for name, value in tree.session.env.items() if value is not None}}
    done = subprocess.run(
        [python, "-m", "lab", "packages"],
        cwd=tree.copy,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if not done.returncode:
        return ""
    obstacle = (done.stderr.strip().splitlines() or ["no reason was given"])[-1].removesuffix(".")
    tree.session.warn(f"tests/ikev2 does NOT run, so nothing is tested with real IKEv2. {done.stderr.strip()}")
    if os.environ.get("CI"):
        tree.failed.append("tests/ikev2, which has to run in CI")
    return obstacle


def add_test(core: str, minor: str) -> None:
    """Add the session of one ansible-core. `make test` runs those of the oldest and the newest, `make test-all` the others."""
    default, tags = core in (OLDEST, NEWEST), ["newest"] if core == NEWEST else [] if core == OLDEST else ["all"]

    @nox.session(name=f"test-{core}", python=PYTHONS[minor], default=default, tags=tags)
    def session_function(session: nox.Session) -> None:
        test(session, core, minor)

    session_function.__doc__ = (
        f"Units and whole runs with ansible-core {core} on Python {minor}{'' if core == OLDEST else ', and sanity'}."
    )


for core_and_minor in CORES.items():
    add_test(*core_and_minor)


@nox.session(python=False, tags=["all"])
def report(session: nox.Session) -> None:
    """Report which versions ran, and fail if none did."""
    if not ran:
        session.error("no test ran with any ansible-core")
    session.log("Tests ran with " + "; ".join(ran))


# -- shared ------------------------------------------------------------------------------------------------------------


def install(session: nox.Session, core: str, *requirements: str, compiled: bool = False) -> None:
    """Install ansible-core and these files of tests/requirements, unless they are installed.

    Unless ``compiled``, Python compiles a module when it is first imported: to compile all of them takes longer than the rest of the installation.
    """
    about = "import sys; print(sys.base_prefix, *sys.version_info[:2])"
    if session.run("python", "-c", about, silent=True, log=False) != session.run(
        str(session.python), "-c", about, silent=True, log=False, external=True
    ):
        session.log("The environment has another Python, so it is made again.")
        shutil.rmtree(session.virtualenv.location)
        session.virtualenv.create()
    files = [CHECKOUT / "tests" / "requirements" / f"{name}.txt" for name in requirements]
    wanted = f"ansible-core~={core}.0"
    digest = hashlib.sha256("\n".join([wanted, *(file.read_text() for file in files)]).encode()).hexdigest()
    done = Path(session.virtualenv.location) / "installed"
    if not done.exists() or done.read_text() != digest:
        how = [] if compiled else ["--no-compile"]
        session.install(*how, wanted, *(f"--requirement={file}" for file in files))
        done.write_text(digest)


def peers(session: nox.Session, core: str) -> Path:
    """Return a collections root with the ansible.windows and f5networks.f5_modules that go with this core."""
    root = WORK / "collections" / core
    session.run("python", str(TOOLS / "pypi_collections.py"), core, str(root), log=False)
    return root


def sanity_tests(session: nox.Session, minor: str, *options: str) -> str:
    """Prepare the HOME that ansible-test needs, out of the user's settings for pip, and return its command. A Tree hides them."""
    session.run("python", str(TOOLS / "ansible_test_home.py"), str(HOME), minor, log=False)
    # pslint would run wherever there is a pwsh, and fail without PSScriptAnalyzer. A workflow of its own runs that.
    return " ".join(["ansible-test sanity --venv --python", minor, "--skip-test pslint", *options])


class Tree:
    """A collections root with a copy of the checkout and the collections that it needs. A session runs its commands there."""

    def __init__(self, session: nox.Session, core: str, name: str) -> None:
        self.session = session
        self.root = WORK / "trees" / name
        self.copy = copy_checkout(CHECKOUT, self.root)
        self.failed: list[str] = []
        link_collections(self.root, peers(session, core))
        session.env["LAB_COLLECTIONS"] = str(peers(session, LAB_CORE))
        HOME.mkdir(exist_ok=True)
        session.env["HOME"] = str(HOME)
        session.env["ANSIBLE_COLLECTIONS_PATH"] = str(self.root)
        session.env["PYTHONPATH"] = f"{self.root}:{self.copy / 'tests'}"
        session.chdir(self.copy)

    def run(self, command: str, *arguments: str | Path, silent: bool = False) -> None:
        """Run a command. A failure is noted, so that one run shows all failures."""
        name = command.split(" -")[0]
        started = time.monotonic()
        try:
            output = self.session.run(*command.split(), *map(str, arguments), silent=silent)
            if silent:  # printed as a whole, so that it does not mix with another command's output
                print(f"\n{name}:\n{output}", flush=True)
        except nox.command.CommandFailed:
            self.failed.append(name)
        self.session.log(f"{name}: {time.monotonic() - started:.0f} s")

    def run_at_once(self, *commands: str, lanes: int = 3) -> None:
        """Run commands in parallel, so many at a time, because each spends time waiting."""
        with ThreadPoolExecutor(max_workers=lanes) as pool:
            for done in [pool.submit(self.run, command, silent=True) for command in commands]:
                done.result()

    def run_mypy(self, *paths: str) -> None:
        """Run mypy from the root, so that it finds the plugins under the names by which they are imported."""
        self.session.env["MYPYPATH"] = str(self.copy / "tests")
        copy = self.copy.relative_to(self.root)
        with self.session.chdir(self.root):
            self.run("mypy --config-file", copy / "pyproject.toml", *(copy / path for path in paths))

    def finish(self) -> None:
        """Fail if any command did."""
        if self.failed:
            self.session.error(f"failed: {', '.join(self.failed)}")
