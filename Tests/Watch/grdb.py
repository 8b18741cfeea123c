"""A program on GRDB, of which a checkout is edited: 168 files in a module, and the driver's temporary files are gone."""

from packages import *

POOL = "dependency/GRDB.swift/GRDB/Utils/Pool.swift"


def prepare(folder):
    checkout = os.path.join(folder, "dependency/GRDB.swift")
    if not os.path.exists(checkout):
        run(["git", "clone", "-q", "https://github.com/groue/GRDB.swift", checkout], folder)
    run(["git", "checkout", "-q", "--force", "7.10.0"], checkout)
    # Seen from outside: what the program has been asked through the pool.
    edit(checkout, "GRDB/Utils/Pool.swift", "import Dispatch\n", "import Dispatch\nimport Foundation\n")
    edit(checkout, "GRDB/Utils/Pool.swift", "    func get() throws -> ElementAndRelease {\n        try barrier",
         '    func get() throws -> ElementAndRelease {\n        setenv("GRDB_POOL", "0", 1)\n        return try barrier')


def main(system):
    package = Package("grdb", system, "Notes", prepare=prepare)
    place = Place(POOL, 'setenv("GRDB_POOL", "', "pool", "pool ")
    compiler = Frontend(package.folder, package.build, "GRDB", POOL)
    built = package.rebuilt(place)
    package.watch()
    package.check("the pool, the first edit", POOL, '"0", 1', '"1", 1', "pool", "^pool 1$")
    package.check("the database is kept", "Sources/Notes/Notes.swift", '"hello 0"', '"hello 1"', "hello", "^hello 1$")
    return package.finish(place, compiler, built)


if __name__ == "__main__":
    begin(main)
