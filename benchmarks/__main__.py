"""Runs benchmarks in their short forms, one after the other, keeps each result, and writes docs/benchmarks.md from all that were kept.

    python -m benchmarks NAME [NAME ...] [-- ARGUMENTS] | --all | --list | --page

What was kept of others stays; one that fails is told and the next one runs. ARGUMENTS go to the script instead of those of its short form.
--page only writes the page anew.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks import report
from benchmarks.keeping import kept, run
from benchmarks.listing import Row, listed


def main() -> int:
    rows = {row.name: row for row in listed()}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*rows, []], metavar="NAME", help=", ".join(rows))
    parser.add_argument("--all", action="store_true", help="every one with a short form")
    parser.add_argument("--list", action="store_true", help="say what there is and what was run")
    parser.add_argument("--page", action="store_true", help="only write the page anew")
    own, dashes, given = " ".join(sys.argv[1:]).partition(" -- ")
    args = parser.parse_args(own.split())
    if args.list:
        for row in rows.values():
            found = kept(row.name)
            print(
                f"{row.name:18} {found.date if found else 'not run':22} {row.title}{f' ({row.short.by_hand})' if row.short.by_hand else ''}"
            )
        return 0
    chosen = [rows[name] for name in args.names] or [row for row in rows.values() if args.all and not row.short.by_hand]
    if not chosen and not args.page:
        parser.error("name some, or say --all, --list or --page")
    failed = [row.name for row in chosen if not _ran(row, tuple(given.split()) if dashes else None)]
    report.write()
    print(f"{report.PAGE} is written" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


def _ran(row: Row, arguments: tuple[str, ...] | None) -> bool:
    print(f"{row.command if arguments is None else row.name} ...", flush=True)
    try:
        found = run(row, arguments)
    except SystemExit as ended:
        sys.stderr.write(f"{ended}\n")
        return False
    print(f"  {found.took_s:.0f} s", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
