"""How much of the corpus of names is recognised right: `make recognise-corpus`.

Prints what is wrong, then the rates. Ends with 1 if a bound is not kept.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator

from chilly_movies.library.recognition import recognise
from tests.unit.library.names.corpus import Named, Rates, hard, judge
from tests.unit.library.names.customs import made

TITLES, NUMBERS, WRONG_BUT_SURE = 0.97, 0.98, 0.003


def corpus(other: str | None) -> Iterator[Named]:
    """Yields all names: those written by hand, then those made; or those of another file."""
    if other:
        yield from hard(other)
        return
    yield from hard()
    yield from made()


def show(rates: Rates, seconds: float) -> bool:
    """Prints the rates; returns whether all bounds are kept."""
    for what, count, bound in (
        ("title and year", rates.titles, TITLES),
        ("season and episodes", rates.numbers, NUMBERS),
    ):
        print(f"{what:>20}  {count / rates.names:7.2%} right of {rates.names}, bound {bound:.0%}")
    wrong = rates.wrong_but_sure / rates.names
    print(f"{'wrong but sure':>20}  {wrong:7.2%}, bound {WRONG_BUT_SURE:.1%}")
    print(f"{'sure':>20}  {rates.sure / rates.names:7.2%}")
    print(f"{'CPU':>20}  {seconds / rates.names * 1000:.1f} ms a name")
    titles, numbers = rates.titles / rates.names, rates.numbers / rates.names
    return titles >= TITLES and numbers >= NUMBERS and wrong <= WRONG_BUT_SURE


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", help="another file of names in the form of hard.txt")
    names = list(corpus(parser.parse_args().names))
    began = time.process_time()
    rates, failures = judge((one, recognise(one.name)) for one in names)
    print("\n".join(failures))
    return 0 if show(rates, time.process_time() - began) else 1


if __name__ == "__main__":
    sys.exit(main())
