"""Objects that are applied by hand: the edits that `watch` is tried with, on the same programs. Its argument names one of them."""

import grdb, hummingbird, nio
from byhand import *
from packages import Package


def with_hummingbird(report):
    server = hummingbird.Server("native")
    core = (hummingbird.SERVICE, hummingbird.STORE, hummingbird.MODELS)
    server.watch = ByHand(server.folder, server.build, server.start, server.port, True,
                          {hummingbird.ROUTES: "App", **{file: "AppCore" for file in core}, hummingbird.UTIL: None})
    server.client = connect(server.port)
    before = {path: server.get(path) for path in ("hello", "describe", "page", "waited")}
    hummingbird.scenarios(server, report)
    places = [place for place in hummingbird.PLACES if place.file in server.watch.compilers]
    count = int(os.environ.get("RANDOM_EDITS") or 100)
    report.check(f"{count} random edits under load", lambda: hummingbird.random_edits(server, count, places))
    report.check("all of it reverted", lambda: reverted(server, before))


def package(report, package, sources, edits):
    """Edits, one after another: file, old, new, path, answer."""
    start = package.run[:2] + ["--skip-build"] + package.run[2:]
    package.report = report
    package.watch = ByHand(package.folder, package.build, start, package.port, package.http, sources)
    package.client = connect(package.port, package.http)
    before = {path: package.client.get(path) for _, _, _, _, path, _ in edits}
    for what, *edit in edits:
        package.check(what, *edit, events=("applied", "unchanged"))
    report.check("all of it reverted", lambda: reverted(package, before))


def reverted(package, before):
    """The program answers as it did at first, on the same connection."""
    package.watch.revert()
    for path, answer in before.items():
        wait_until(lambda: package.client.get(path) == answer, f"{path} answers {package.client.get(path)!r}, not {answer!r}", 10)
    return package.watch.end()


def with_nio(report):
    handler, util = "Sources/Echo/LineHandler.swift", "Sources/CEcho/cecho.c"
    package(report, Package("nio", "native", "Echo"), {handler: "Echo", util: None}, [
        ("the handler of a connection that is open", handler, '"hello 0"', '"hello 1"', "hello", "^hello 1$"),
        ("a static function of C", util, "x * 2 + 0", "x * 2 + 7", "scaled", "^scaled 7$"),
        ("a private method, and a call of it", handler, "    private func answer",
         "    private func more() -> Int { 8 }\n\n    private func answer", "hello", "^hello 1$"),
        ("a call of it", handler, '"hello 1"', '"hello \\(more())"', "hello", "^hello 8$")])


def with_grdb(report):
    notes = "Sources/Notes/Notes.swift"
    package(report, Package("grdb", "native", "Notes", prepare=grdb.prepare), {grdb.POOL: "GRDB", notes: "Notes"}, [
        ("the pool", grdb.POOL, '"0", 1', '"1", 1', "pool", "^pool 1$"),
        ("the pool again", grdb.POOL, '"1", 1', '"2", 1', "pool", "^pool 2$"),
        ("the database is kept", notes, '"hello 0"', '"hello 1"', "hello", "^hello 1$")])


def main(program):
    report = Report(f"{program}")
    {"hummingbird": with_hummingbird, "nio": with_nio, "grdb": with_grdb}[program](report)
    return report.write()


if __name__ == "__main__":
    begin(main)
