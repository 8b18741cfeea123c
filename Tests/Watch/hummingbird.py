"""A Hummingbird server, with the build system that is named: edits of all kinds, and a hundred under load."""

import random, re, sys
from watching import *

ROUTES, SERVICE, STORE, MODELS, UTIL = (
    "Sources/App/Routes.swift", "Sources/AppCore/Service.swift", "Sources/AppCore/Store.swift",
    "Sources/AppCore/Models.swift", "Sources/CUtil/cutil.c")

PLACES = [
    Place(ROUTES, '"hello ', "hello", "hello "),
    Place(ROUTES, '"count ', "count", "count "),
    Place(ROUTES, '"description ', "describe", "description "),
    Place(ROUTES, '"waited ', "waited", "waited "),
    Place(SERVICE, '"service ', "describe", "service "),
    Place(SERVICE, '"items ', "describe", "items "),
    Place(SERVICE, '"badge ', "describe", "badge "),
    Place(MODELS, '"label ', "describe", "label "),
    Place(UTIL, "x * 2 + ", "describe", "scaled "),
    Place("Sources/AppCore/Resources/greeting.txt", "greeting ", "page", "greeting "),
]


class Server:
    def __init__(self, system):
        self.folder = folder_of(f"hummingbird-{system}", os.path.join(HERE, "hummingbird"))
        self.port = free_port()
        options = ["--build-system", "swiftbuild"] if system == "swiftbuild" else []
        self.build = ["swift", "build", *options, "--product", "App"]
        run(self.build, self.folder)
        self.start = ["swift", "run", *options, "--skip-build", "App", str(self.port)]
        self.command = ["swift", "run", *options, "App", str(self.port)]
        self.pristine = {}
        for file in {place.file for place in PLACES} | {STORE}:
            self.pristine[file] = open(os.path.join(self.folder, file)).read()
        self.count = 0

    def watch(self):
        self.watch = Watch(self.folder, self.command)
        self.client = connect(self.port)

    def get(self, path, body=None):
        return self.client.get(path, body)

    def counted(self):
        """The counter goes on where it was, on the same connection."""
        self.count += 1
        answer = self.get("count")
        if not answer.endswith(f" is {self.count}"):
            raise Failure(f"count {self.count} is expected, and the server answers {answer!r}")

    def edit(self, *edits, event="applied", answers=(), says=None, adds=None, seconds=60):
        """Files saved together; then the event, what it must say, and what the routes answer from then on."""
        mark = self.watch.mark
        texts = {}
        for file, old, new in edits:
            text = texts.get(file) or open(os.path.join(self.folder, file)).read()
            if old not in text:
                raise Failure(f"{file} has no {old!r}")
            texts[file] = text.replace(old, new, 1)
        for file, text in texts.items():
            save(os.path.join(self.folder, file), text)
        found = self.watch.expect(event, "applied", "restored", "unchanged", "refused", "compile-failed", "restarting",
                                  "exited", since=mark, seconds=seconds)
        if found["event"] != event:
            raise Failure(f"{event} is expected, and this came: {found}")
        if event == "restarting":
            self.watch.pid = self.watch.expect("restarted", since=mark, seconds=600)["pid"]
            self.client, self.count = connect(self.port), 0
        else:
            time.sleep(0.1)  # Notes follow the event.
        said = str(self.watch.events[mark:])
        if says and not re.search(says, said):
            raise Failure(f"{says!r} is not said, but: {said}")
        for path, answer in answers:
            wait_until(lambda: re.search(answer, self.get(path)), f"/{path} answers {self.get(path)!r}, not {answer!r}", 5)
        if adds:
            before, after = (int(self.get("items", '{"name": "tea", "price": 3}').split(" ")[1]) for _ in range(2))
            if after - before != adds:
                raise Failure(f"{after - before} items are added, not {adds}")
        self.counted()

    def restore(self):
        """All as it was, whatever came of the edits."""
        mark = self.watch.mark
        changed = False
        for file, text in self.pristine.items():
            if open(os.path.join(self.folder, file)).read() != text:
                save(os.path.join(self.folder, file), text)
                changed = True
        if changed:
            found = self.watch.expect("applied", "restored", "unchanged", "restarting", "refused", since=mark, seconds=60)
            if found["event"] == "restarting":
                self.watch.pid = self.watch.expect("restarted", since=mark, seconds=600)["pid"]
                self.client, self.count = connect(self.port), 0
        self.client = connect(self.port)
        answers = [self.get(path) for path in ("hello", "describe", "page", "waited")]
        for answer in answers:
            if re.search(r"[a-z] [1-9]\d*\b", re.sub(r"(tally 7|for r?\d+|page 20|limit 40|waited 0 for 3)", "", answer)):
                raise Failure(f"the sources are as they were, and the server answers {answer!r}")
        self.count = int(self.get("count").rsplit(" ", 1)[1])


def scenarios(server, report):
    """The edits of a day. Each begins and ends with the sources as they were."""
    def scenario(what, *steps):
        def body():
            try:
                for step in steps:
                    server.edit(*step.pop("edits"), **step)
            finally:
                server.restore()
        report.check(what, body)

    hello = '    router.get("hello") { _, _ -> String in\n        "hello 0"\n    }\n'
    counting = '    router.get("count") { _, _ -> String in\n        "count 0 is \\(await store.increment())"\n    }\n'
    def mutating(event):
        return dict(edits=[(SERVICE, "    private let first = 7\n    func next() -> Int { first }",
                            "    private let first = 7\n    mutating func next() -> Int { first + 5 }")],
                    event=event, answers=[("describe", "tally 12")], says="next.* is now mutating", seconds=120)

    scenario("mutating", mutating("applied"))
    scenario("a route's body", dict(edits=[(ROUTES, '"hello 0"', '"hello 1"')], answers=[("hello", "^hello 1$")]))
    scenario(
        "a route inserted above another, then an edit of a third",
        dict(edits=[(ROUTES, hello, hello.replace("hello", "new") + hello)],
             answers=[("hello", "^hello 0$"), ("describe", "^description 0"), ("waited", "^waited 0")]),
        dict(edits=[(ROUTES, '"description 0', '"description 2')],
             answers=[("describe", "^description 2"), ("hello", "^hello 0$")]))
    scenario(
        "two routes swapped, then one edited",
        dict(edits=[(ROUTES, hello + counting, counting + hello)], answers=[("hello", "^hello 0$")]),
        dict(edits=[(ROUTES, '"hello 0"', '"hello 3"')], answers=[("hello", "^hello 3$")]))
    scenario(
        "a capture added: said, and old until it is made again",
        dict(edits=[(ROUTES, '"hello 0"', '"hello 4 \\(service.page())"')], answers=[("hello", "^hello 0$")],
             says="captures"))
    scenario("a log line", dict(
        edits=[(ROUTES, '_, _ -> String in\n        "hello 0"', '_, context -> String in\n        context.logger.info("asked")\n'
                '        return "hello 5"')], answers=[("hello", "^hello 5$")]))
    scenario("a helper, called from a route", dict(
        edits=[(ROUTES, '"hello 0"', "decorated(6)"),
               (ROUTES, "private func wait", 'private func decorated(_ n: Int) -> String { "hello \\(n)!" }\n\nprivate func wait')],
        answers=[("hello", "^hello 6!$")]))
    scenario("a private method", dict(
        edits=[(SERVICE, '"service 0,', '"service \\(number()),'),
               (SERVICE, "    private func named", "    private func number() -> Int { 7 }\n\n    private func named")],
        answers=[("describe", "service 7,")]))
    scenario("a struct with Codable and a conformance", dict(
        edits=[(SERVICE, "import Foundation\n", "import Foundation\n\nprivate struct Note: Codable, CustomStringConvertible {\n"
                "    var text: String\n    var description: String { \"note \\(text)\" }\n}\n\n"
                "private func noted(_ text: String) -> String {\n"
                "    guard let data = try? JSONEncoder().encode(Note(text: text)),\n"
                "        let note = try? JSONDecoder().decode(Note.self, from: data)\n    else { return \"none\" }\n"
                "    return (note as Any as? any CustomStringConvertible)?.description ?? \"no\"\n}\n"),
               (SERVICE, '"items 0 \\(count)"', 'noted("8")')],
        answers=[("describe", "note 8")]))
    scenario("a private signature with its caller", dict(
        edits=[(SERVICE, "named(items.count)", 'named(items.count, "x")'),
               (SERVICE, 'named(_ count: Int) -> String { "items 0 \\(count)" }',
                'named(_ count: Int, _ more: String) -> String { "items 9 \\(count)\\(more)" }')],
        answers=[("describe", "items 9 0x")]))
    scenario("a constant, from every reader", dict(
        edits=[(MODELS, "pageSize = 20", "pageSize = 50")], answers=[("page", "page 50 banner 0 limit 100")]))
    scenario("a constant that is text", dict(
        edits=[(MODELS, '"banner 0"', '"banner 11"')], answers=[("page", "banner 11 ")]))
    scenario("another type behind `some`", dict(
        edits=[(SERVICE, '-> some CustomStringConvertible { "badge 0" }', "-> some CustomStringConvertible { [13] }")],
        answers=[("describe", r"\[13\]")]))
    scenario("a method of an actor", dict(
        edits=[(STORE, "items.append(item)\n", "items.append(item)\n        items.append(item)\n")],
        adds=2))
    scenario("mutating, where its caller was edited before", mutating("applied"))
    scenario("an enum case: named, and restarted", dict(
        edits=[(STORE, "case noName", "case noName, noPrice")], event="restarting", says="StoreError.*noPrice", seconds=120))
    scenario("a Mutex added", dict(
        edits=[(SERVICE, "import Foundation\n", "import Foundation\nimport Synchronization\n\nprivate let asked = Mutex(14)\n"),
               (SERVICE, '"service 0,', '"service \\(asked.withLock { $0 += 1; return $0 }),')],
        answers=[("describe", "service 1[5-9],")]))


def random_edits(server, count=100, places=PLACES):
    """Bodies edited at random while others ask; each is seen on a connection that stays."""
    chance = random.Random(SEED)
    load = Load(server.port, ["hello", "describe", "page", "waited"])
    resources, client = [], server.client
    for number in range(101, 101 + count):
        place = chance.choice(places)
        mark = server.watch.mark
        place.write(server.folder, number)
        server.watch.expect("applied", "restored", "copied", since=mark)
        wait_until(lambda: place.is_live(client, number), f"edit {number - 100} ({place.before}{number}) is not live", 60)
        if place.path == "count":
            server.count = int(re.search(r"is (\d+)", client.get("count")).group(1))
        else:
            server.counted()
    answered, failed, first = load.end()
    if failed:
        raise Failure(f"{failed} of {answered + failed} requests failed, the first: {first}")
    if client is not server.client:
        raise Failure("another connection")
    return f"0 of {answered} requests failed"


def main(system):
    report = Report(f"hummingbird-{system}")
    server = Server(system)
    frontends = {file: Frontend(server.folder, server.build, module, file)
                 for module, file in (("App", ROUTES), ("AppCore", SERVICE))}
    built = rebuild(server.folder, server.build, server.start, PLACES[0], server.port)
    for file, text in server.pristine.items():
        save(os.path.join(server.folder, file), text)
    server.watch()
    time.sleep(2)
    scenarios(server, report)
    random_count = int(os.environ.get("RANDOM_EDITS") or 100)
    report.check(f"{random_count} random edits under load", lambda: random_edits(server, random_count))
    server.restore()

    def figures():
        for place in (PLACES[0], PLACES[4]):
            report.measured(os.path.basename(place.file), *measure(server.watch, server.client, place, frontends[place.file]),
                            built if place is PLACES[0] else None)
        server.restore()
    report.check("measured", figures)
    report.check("idle", lambda: f"{server.watch.idle():.2f} % of a processor")
    if LONG:
        report.check("saves", lambda: many_saves(server.watch, server.client, PLACES[0]))
    report.check("Ctrl-C ends both", server.watch.end)
    return report.write()


if __name__ == "__main__":
    begin(main)
