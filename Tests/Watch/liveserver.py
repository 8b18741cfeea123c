"""Sources/LiveServer, on FlyingFox."""

from packages import *


def prepare(folder):
    edit(folder, "Routes.swift", 'text("hello")', 'text("hello 0")')


def main(system):
    package = Package("liveserver", system, "LiveServer", os.path.join(HERE, "../../Sources/LiveServer"), True, prepare)
    place = Place("Routes.swift", '"hello ', "hello", "hello ")
    compiler = Frontend(package.folder, package.build, "LiveServer", place.file)
    built = package.rebuilt(place)
    package.watch()
    package.check("a route's body", "Routes.swift", '"hello 0"', '"hello 1"', "hello", "^hello 1$")
    package.check("a route inserted above it", "Routes.swift", '    await server.appendRoute("GET /hello")',
                  '    await server.appendRoute("GET /new") { _ in\n        text("new")\n    }\n'
                  '    await server.appendRoute("GET /hello")', "hello", "^hello 1$")
    package.check("then another one edited", "Routes.swift", "a page, ", "for a page, ", "page", "20 for a page, ")
    package.check("the counter, of two", "LiveServer.swift", "value + 1", "value + 10", "increment", "0$")
    package.check("a constant of another module", "Shop/Models.swift", "pageSize = 20", "pageSize = 50", "page", "^50 ")
    package.check("a method of an actor", "Shop/Till.swift", " sold, ", " are sold, ", "sell/tea", " are sold, ")
    package.check("a static function of C", "CShop/cshop.c", "amount / 10", "amount * 1000", "sell/tea", r"\d{4} in all")
    package.check("a resource", "Shop/Resources/motto.txt", re.compile(r"^"), "Open. ", "page", "Open. ")
    return package.finish(place, compiler, built)


if __name__ == "__main__":
    begin(main)
