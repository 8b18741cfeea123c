"""An echo server on SwiftNIO, with a target of C."""

from packages import *


def main(system):
    package = Package("nio", system, "Echo")
    place = Place("Sources/Echo/LineHandler.swift", '"hello ', "hello", "hello ")
    compiler = Frontend(package.folder, package.build, "Echo", place.file)
    built = package.rebuilt(place)
    package.watch()
    handler, util, header = place.file, "Sources/CEcho/cecho.c", "Sources/CEcho/include/cecho.h"
    package.check("the handler of a connection that is open", handler, '"hello 0"', '"hello 1"', "hello", "^hello 1$")
    package.check("a static function of C", util, "x * 2 + 0", "x * 2 + 7", "scaled", "^scaled 7$")
    package.check("a private method", handler, "    private func answer", "    private func more() -> Int { 8 }\n\n    private func answer",
                  "hello", "^hello 1$", events=("applied", "unchanged"))
    package.check("a call of it", handler, '"hello 1"', '"hello \\(more())"', "hello", "^hello 8$")
    package.check("a number in a header, read by C and Swift", header, "LIMIT 50", "LIMIT 60", "limit", "^limit 60 60$",
                  events=("applied", "restarting"))
    edit(package.folder, handler, '"hello \\(more())"', '"hello 0"')
    wait_until(lambda: package.client.get("hello") == "hello 0", "the handler is not as it was")
    return package.finish(place, compiler, built)


if __name__ == "__main__":
    begin(main)
