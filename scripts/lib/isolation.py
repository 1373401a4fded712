"""The programs that prove isolation, and the report of a run: for scripts/test isolation.

  isolation.py names                    the test programs, as arguments of cargo test
  isolation.py programs BUILD           from cargo's messages: one program a line, tab-separated
  isolation.py render REPORT DOCUMENT   from the lines that the run reported to the document
"""

import datetime
import json
import pathlib
import sys
from collections import Counter, namedtuple

# A missing one is an error. With a filter, only tests whose names contain it.
Program = namedtuple("Program", "package name filter shows")
PROGRAMS = [
    Program("trueno-store-postgres", "catalog", "", "every table, view, function, sequence, grant and key keeps the rules; canaries that break them are reported"),
    Program("trueno-store-postgres", "attack", "", "every statement on every tenant table under every wrong context gives no row, no value and no bit of existence, straight and behind PgBouncer"),
    Program("trueno-store-postgres", "context", "", "a tenant context is worth nothing outside its transaction, its session and its organization"),
    Program("trueno-store-postgres", "noninterference", "", "what one organization sees is the same, byte by byte, with and without another, straight and behind PgBouncer"),
    Program("trueno-store-memory", "noninterference", "", "the same in memory, where ids and the clock are injected and nothing is renamed before it is compared"),
    Program("trueno-store-postgres", "cancellation", "", "futures that are dropped half-way leave no transaction, lock or context on a connection, and no half of a change"),
    Program("trueno-store-postgres", "bouncer", "", "the suites of the ports, the tenant context and cancellation behind PgBouncer in transaction mode"),
    Program("trueno-store-postgres", "failure", "kills::", "Postgres killed while resources are written: nothing acknowledged is lost, nothing half-written shows, the pool recovers"),
    Program("trueno-store-postgres", "conformance", "isolation_", "the isolation case of every port method, on Postgres"),
    Program("trueno-store-memory", "conformance", "isolation_", "the isolation case of every port method, in memory"),
    Program("trueno-testkit", "isolation_coverage", "", "every port method has its isolation case"),
    Program("trueno-http", "isolation", "", "every HTTP route has its isolation case"),
]


def fail(problem):
    sys.exit(f"error: {problem}")


def names():
    for name in dict.fromkeys(program.name for program in PROGRAMS):
        print(f"--test\n{name}")


def programs(build):
    built = {}
    for line in pathlib.Path(build).read_text().splitlines():
        message = json.loads(line)
        if message.get("reason") != "compiler-artifact" or not message.get("executable"):
            continue
        directory = pathlib.Path(message["manifest_path"]).parent
        built[directory.name, message["target"]["name"]] = (message["executable"], directory)
    for program in PROGRAMS:
        if (program.package, program.name) not in built:
            fail(f"{program.package} has no test program {program.name}")
        executable, directory = built[program.package, program.name]
        # The filter last: it may be empty.
        print(program.package, program.name, executable, directory, program.filter, sep="\t")


def cell(value):
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.replace("|", "\\|").replace("\n", " ")


def rows(figures, prefix=""):
    """Figures as pairs, those of nested objects under the objects' names."""
    for name, value in figures.items():
        name = f"{prefix}{name}".replace("_", " ")
        if isinstance(value, dict):
            yield from rows(value, f"{name} · ")
        elif isinstance(value, list) and not any(isinstance(item, (dict, list)) for item in value):
            yield name, ", ".join(map(cell, value))
        else:
            yield name, cell(value)


def table(header, body):
    lines = [header, ["---"] * len(header), *body]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def subject(name):
    """What is named one by one elsewhere: the store's own statements, by their places in the source."""
    if name.startswith("src/"):
        return "the store's own statements"
    if name.startswith(("information_schema.", "pg_")):
        return "the server's catalogs"
    return name


def counted(lines):
    """Cases that were reported group by group: in all, and by each thing that tells groups apart."""
    text = "\n" + table(["figure", "value"], [["cases", str(sum(line["cases"] for line in lines))]])
    for by in sorted({name for line in lines for name in line} - {"cases"}):
        sums = Counter()
        for line in lines:
            sums[subject(line[by])] += line["cases"]
        text += "\n" + table([by, "cases"], [[cell(name), str(sums[name])] for name in sorted(sums)])
    return text


def render(report, document):
    lines = [json.loads(line) for line in pathlib.Path(report).read_text().splitlines()]
    passed = {}
    servers = {}
    proofs = {}
    for line in lines:
        proof = line.pop("proof")
        if proof == "program":
            passed[line["package"], line["program"]] = line["passed"]
        elif proof == "servers":
            servers = line
        else:
            proofs.setdefault(proof, []).append(line)
    if not servers:
        fail("the run did not report its servers")
    missing = [p.name for p in PROGRAMS if (p.package, p.name) not in passed]
    if missing:
        fail(f"the run lacks {', '.join(missing)}")

    text = "# Proof of isolation\n\n"
    text += "The report of `scripts/test isolation`, which writes this page; CI runs less of it, as CONTRIBUTING.md says.\n\n"
    text += f"Run on {datetime.date.today()}: PostgreSQL {servers['postgres']}, PgBouncer {servers['pgbouncer']} in transaction mode.\n\n"
    text += "## Programs\n\n"
    body = [
        [
            f"`{p.package}` `{p.name}`" + (f" (`{p.filter}…`)" if p.filter else ""),
            p.shows,
            str(passed[p.package, p.name]),
        ]
        for p in PROGRAMS
    ]
    body.append(["all", "", str(sum(passed.values()))])
    text += table(["program", "what it shows", "tests passed"], body)
    for proof in sorted(proofs):
        text += f"\n## {proof[:1].upper()}{proof[1:]}\n"
        if all("cases" in figures for figures in proofs[proof]):
            text += counted(proofs[proof])
            continue
        for figures in proofs[proof]:
            text += "\n" + table(["figure", "value"], [list(row) for row in rows(figures)])
    path = pathlib.Path(document)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


COMMANDS = {"names": names, "programs": programs, "render": render}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    COMMANDS[sys.argv[1]](*sys.argv[2:])
