#!/usr/bin/env python3
"""Seeds the demo account into moto, serves it, and tells what a scan of it must find.

Run it with an interpreter that can import moto (with its server) and boto3. See README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path
from threading import Event, Thread
from typing import Any

sys.dont_write_bytecode = True

# The emulator prepares the environment, so it comes before everything that imports moto or boto3.
from seeder.emulator import REGIONS, Emulator  # noqa: E402, I001
import account  # noqa: E402
from seeder import selfcheck, truth  # noqa: E402
from seeder.planter import Account  # noqa: E402

TRUTH = Path(__file__).with_name("truth.json")


def main() -> int:
    arguments = _arguments()
    if arguments.mode == "serve":
        return serve(arguments.port, arguments.page_size, arguments.ready_file)
    if arguments.mode == "truth":
        sys.stdout.write(render(seeded_truth()))
        return 0
    return check()


def serve(port: int, page_size: int | None, ready_file: Path | None) -> int:
    """Serves the account until SIGTERM, SIGINT or the end of standard input."""
    done = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    with Emulator(port, page_size) as emulator:
        account.plant(Account(emulator))
        ready = {
            "endpoint": emulator.endpoint,
            "account": truth.ACCOUNT,
            "role_arn": f"arn:aws:iam::{truth.ACCOUNT}:role/{account.ROLE}",
            "regions": list(REGIONS),
            "as_of": f"{truth.AS_OF:%Y-%m-%dT%H:%M:%SZ}",
        }
        line = json.dumps(ready) + "\n"
        if ready_file:
            _write_at_once(ready_file, line)
        sys.stdout.write(line)
        sys.stdout.flush()
        Thread(target=_await_end_of_input, args=(done,), daemon=True).start()
        done.wait()
    return 0


def check() -> int:
    """Seeds the account and compares everything that the truth relies on."""
    with Emulator() as emulator:
        planted = Account(emulator)
        account.plant(planted)
        reader = selfcheck.Reader(emulator.endpoint, account.ROLE)
        print(selfcheck.check_plants(reader, planted.plants))
        print(selfcheck.check_coverage(planted.plants))
        bodies = reader.everything()
    made = _checked_truth(planted)
    assert TRUTH.read_text(encoding="utf-8") == render(made), "truth.json is out of date"
    print(f"truth.json is current: {json.dumps(made['totals'])}")
    print(selfcheck.check_twins(Path(__file__).resolve(), bodies, account.ROLE))
    return 0


def seeded_truth() -> dict[str, Any]:
    """The truth of a freshly seeded account."""
    with Emulator() as emulator:
        planted = Account(emulator)
        account.plant(planted)
    return _checked_truth(planted)


def _checked_truth(planted: Account) -> dict[str, Any]:
    made = truth.render(planted.plants, REGIONS)
    totals = made["totals"]
    found = (totals["findings"], totals["monthly_saving_micros"], totals["unknown_prices"])
    by_hand = (account.FINDINGS, account.MONTHLY_SAVING_MICROS, account.UNKNOWN_PRICES)
    assert found == by_hand, f"the plants come to {found}, by hand it is {by_hand}"
    keys = [finding["key"] for finding in made["findings"]]
    assert len(set(keys)) == len(keys), "a finding is expected twice"
    return made


def render(made: dict[str, Any]) -> str:
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"


def _await_end_of_input(done: Event) -> None:
    # Read below the buffer: a thread that holds its lock at exit would abort the interpreter.
    while os.read(0, 4096):
        pass
    done.set()


def _write_at_once(path: Path, text: str) -> None:
    """A reader that waits for the file never sees half of it."""
    half = path.with_name(f"{path.name}.{os.getpid()}")
    half.write_text(text, encoding="utf-8")
    half.replace(path)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    modes = parser.add_subparsers(dest="mode", required=True)
    server = modes.add_parser("serve", help="seed, then serve until SIGTERM or the end of stdin")
    server.add_argument("--port", type=int, default=0, help="of 127.0.0.1; 0 takes a free one")
    server.add_argument("--page-size", type=int, help="never answer with more than this many items")
    server.add_argument("--ready-file", type=Path, help="written once the account can be scanned")
    modes.add_parser("truth", help="print what a scan must find")
    modes.add_parser("check", help="read the account back and compare")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
