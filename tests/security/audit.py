"""What other people's tools say of our code and of what it needs: `make audit`.

They are installed into an environment of their own. Ends with 1 if one finds something, and with 2
if one could not look, as without a way to the service of known vulnerabilities.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from pathlib import Path

from chilly_movies.drivers.torrent.built import OPENSSL

ROOT = Path(__file__).parents[2]
_TOOLS = ROOT / ".audit" / "bin"
_ACCEPTED_RULES = "B101,B104,B105,B311"
"""Of bandit: asserts for the type checker, `0.0.0.0` in comparisons, names that sound like secrets,
chance that is no secret. ruff has the same rules, and each of these lines says why there."""
_NO_SECRETS = {
    ("README.md", "Basic Auth Credentials"),
    ("src/chilly_movies/runtime/state_folder.py", "Secret Keyword"),
    ("src/chilly_movies/net/proxies.py", "Basic Auth Credentials"),
    ("src/chilly_movies/settings.py", "Basic Auth Credentials"),
}
"""Examples like `user:password@host`, and the name of a file."""
_HOUSE = Path(__file__).parent / "house"
_AT_HOME = {
    ("src/chilly_movies/api/routes/watching.py", "the-host-proves-nothing"),
    ("src/chilly_movies/cli/network_checks.py", "one-way-out"),
    ("src/chilly_movies/client.py", "one-way-out"),
}
"""A playlist names the host it was asked by, which was checked before; the doctor asks the user's
proxy whether it is there; the command line talks to the user's server."""
_PLANTED = re.compile(r"# ([a-z-]+)$")
"""The rule that a planted line breaks."""
_NO_THREATS = {("src/chilly_movies/cli/serve.py", "shady-links")}
"""An address that is put together: our own."""
CLEAN, FOUND, BLIND = range(3)


def _run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(word) for word in words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def _by_exit(*words: str | Path) -> tuple[int, str]:
    run = _run(*words)
    said = (run.stdout + run.stderr).strip()
    return (CLEAN, "nothing") if run.returncode == 0 else (FOUND, said)


def ruff() -> tuple[int, str]:
    """The rules of bandit, and traps of asynchronous code and of time, in our code."""
    return _by_exit(sys.executable, "-m", "ruff", "check", "--select", "S,ASYNC,BLE,DTZ", "src")


def bandit() -> tuple[int, str]:
    """The same from another hand."""
    return _by_exit(_TOOLS / "bandit", "-q", "-r", "src", "--skip", _ACCEPTED_RULES)


def zizmor() -> tuple[int, str]:
    """Workflow files."""
    if not (ROOT / ".github" / "workflows").is_dir():
        return CLEAN, "there are no workflow files; CI runs .ci/run"
    return _by_exit(_TOOLS / "zizmor", "--offline", ".github")


def secrets() -> tuple[int, str]:
    """Keys and passwords in what is kept, tests apart: theirs are made up."""
    files = _run("git", "ls-files", "--", ".", ":!tests", ":!lab", ":!benchmarks").stdout.split()
    found = json.loads(_run(_TOOLS / "detect-secrets", "scan", *files).stdout)["results"]
    new = [f"{hit['filename']}:{hit['line_number']} {hit['type']}"
           for hits in found.values() for hit in hits
           if (hit["filename"], hit["type"]) not in _NO_SECRETS]  # fmt: skip
    return (FOUND, "\n".join(new)) if new else (CLEAN, f"nothing in {len(files)} files")


class _Blind(Exception):
    """A tool could not look."""


def _scan(rules: Iterable[str | Path], what: str | Path) -> tuple[list[tuple[str, str, int]], int]:
    """What semgrep finds: file, rule and line of each; and how many files it read."""
    configs = [word for rule in rules for word in ("--config", rule)]
    run = _run(_TOOLS / "semgrep", "scan", "--metrics=off", "--disable-version-check", "--json",
               "--no-git-ignore", *configs, what)  # fmt: skip
    if run.returncode != 0 or not configs:
        raise _Blind((run.stdout + run.stderr).strip() or "its rules are not there")
    told = json.loads(run.stdout)
    if told["errors"]:
        raise _Blind("\n".join(error["message"] for error in told["errors"]))
    hits = [(hit["path"], hit["check_id"].rpartition(".")[2], hit["start"]["line"])
            for hit in told["results"]]  # fmt: skip
    return hits, len(told["paths"]["scanned"])


def house_rules() -> tuple[int, str]:
    """Our own rules for semgrep; each must find the line that breaks it on purpose."""
    rules, planted = _HOUSE / "rules.yml", (_HOUSE / "planted.txt").read_text()
    try:
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "planted.py"
            target.write_text(planted)
            found = {(line, rule) for _, rule, line in _scan([rules], target)[0]}
        everywhere, files = _scan([rules], "src")
    except _Blind as blind:
        return BLIND, str(blind)
    lines = enumerate(planted.splitlines(), 1)
    wanted = {(number, match[1]) for number, line in lines if (match := _PLANTED.search(line))}
    hits = [hit for hit in everywhere if hit[:2] not in _AT_HOME]
    missed = [f"planted.txt:{line} {rule} is not found" for line, rule in sorted(wanted - found)]
    if missed or hits:
        return FOUND, "\n".join([*missed, *(f"{path}:{line} {rule}" for path, rule, line in hits)])
    return CLEAN, f"nothing in {files} files; all {len(wanted)} planted lines are found"


def semgrep() -> tuple[int, str]:
    """What code that means harm looks like, by the rules GuardDog had for Python.

    Semgrep's own rules are only at its makers' server; these come with a package.
    """
    place = "lib/python3*/site-packages/guarddog/analyzer/sourcecode/*.yml"
    rules = [rule for rule in _TOOLS.parent.glob(place) if not rule.name.startswith("npm-")]
    try:
        hits, files = _scan(rules, "src")
    except _Blind as blind:
        return BLIND, str(blind)
    new = [f"{path}:{line} {rule}" for path, rule, line in hits if (path, rule) not in _NO_THREATS]
    return (
        (FOUND, "\n".join(new)) if new else (CLEAN, f"{len(rules)} rules, nothing in {files} files")
    )


def pip_audit() -> tuple[int, str]:
    """Known vulnerabilities of everything in constraints.txt; what is skipped counts as unseen."""
    run = _run(_TOOLS / "pip-audit", "--strict", "--no-deps", "--disable-pip", "--progress-spinner",
               "off", "-r", "constraints.txt")  # fmt: skip
    said = (run.stdout + run.stderr).strip()
    if run.returncode == 0:
        return CLEAN, said
    unseen = any(words in said for words in ("could not be audited", "Connection",
                                             "Max retries", "timed out"))  # fmt: skip
    if unseen and "GHSA" not in said and "PYSEC" not in said:
        return (
            BLIND,
            f"the service of known vulnerabilities was not reached: {said.splitlines()[-1]}",
        )
    return FOUND, said


def sbom() -> tuple[int, str]:
    """Write down what is installed (CycloneDX), with the OpenSSL that is part of wheels."""
    target = ROOT / ".audit" / "sbom.json"
    run = _run(_TOOLS / "cyclonedx-py", "environment", sys.prefix, "--of", "JSON", "-o", target)
    if run.returncode != 0:
        return BLIND, (run.stdout + run.stderr).strip()
    told = json.loads(target.read_text())
    inside = _vendored(Path(sysconfig.get_path("purelib")))
    told["components"] += [
        {"type": "library", "name": "openssl", "version": version, "bom-ref": f"openssl@{where}",
         "description": f"part of {where}"}
        for where, version in inside
    ]  # fmt: skip
    target.write_text(json.dumps(told, indent=2) + "\n")
    parts = ", ".join(f"OpenSSL {version} in {where}" for where, version in inside)
    return CLEAN, f"{len(told['components'])} parts in {target.relative_to(ROOT)}; {parts}"


def _vendored(installed: Path) -> list[tuple[str, str]]:
    """The package and the version of each OpenSSL that is linked into a wheel's library."""
    found = set()
    for library in installed.rglob("*.so*"):
        if match := OPENSSL.search(library.read_bytes()):
            found.add((library.relative_to(installed).parts[0], match[1].decode()))
    return sorted(found)


def main() -> int:
    """All of them."""
    worst = CLEAN
    for look in (ruff, bandit, house_rules, semgrep, zizmor, secrets, sbom, pip_audit):
        verdict, said = look()
        word = ("clean", "FOUND", "NOT DONE")[verdict]
        sys.stdout.write(f"{look.__name__:11}  {word:8}  {said}\n")
        worst = max(worst, verdict) if FOUND not in (worst, verdict) else FOUND
    return worst


if __name__ == "__main__":
    sys.exit(main())
