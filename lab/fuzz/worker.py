"""One fuzzer in a process of its own: `python -m lab.fuzz.worker TARGET CORPUS [libFuzzer's]`.

With `--replay` it runs the corpus again and again instead and prints memory in KiB at two times.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROUNDS = 12
"""Of a replay; the first three are warm-up."""


def _resident() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1])


def _replay(name: str, corpus: Path) -> None:
    from lab.fuzz.targets import TARGETS

    target = TARGETS[name]
    inputs = [path.read_bytes() for path in sorted(corpus.iterdir())][:2000]
    before = 0
    for number in range(ROUNDS):
        if number == 3:
            before = _resident()
        for data in inputs:
            target.run(data)
    sys.stdout.write(f"{before} {_resident()}\n")


def main() -> None:
    """The command line."""
    name, corpus, *options = sys.argv[1:]
    if options == ["--replay"]:
        _replay(name, Path(corpus))
        return
    import atheris  # type: ignore[import-untyped]

    with atheris.instrument_imports(include=["chilly_movies"]):
        from lab.fuzz.targets import TARGETS

    target = TARGETS[name]
    atheris.Setup([sys.argv[0], corpus, f"-max_len={target.most}", *options], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
