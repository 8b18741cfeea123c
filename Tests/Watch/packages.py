"""Packages that answer on a port, each with a few edits that are typical of it: liveserver, nio, grdb."""

import shutil, sys
from watching import *


class Package:
    def __init__(self, name, system, product, source=None, http=False, prepare=lambda folder: None):
        self.report = Report(f"{name}-{system}")
        self.folder, self.port, self.http = folder_of(f"{name}-{system}", source or os.path.join(HERE, name)), free_port(), http
        prepare(self.folder)
        options = ["--build-system", "swiftbuild"] if system == "swiftbuild" else []
        self.build = ["swift", "build", *options, "--product", product]
        self.run = ["swift", "run", *options, product, str(self.port)]
        # What the driver leaves here is not there any more when the first file is saved.
        self.temporary = os.path.join(WORK, "temporary")
        os.makedirs(self.temporary, exist_ok=True)
        os.environ["TMPDIR"] = self.temporary
        run(self.build, self.folder)

    def rebuilt(self, place):
        start = self.run[:2] + ["--skip-build"] + self.run[2:]
        times = rebuild(self.folder, self.build, start, place, self.port, self.http)
        place.write(self.folder, 0)
        run(self.build, self.folder)
        return times

    def watch(self):
        shutil.rmtree(self.temporary)
        os.makedirs(self.temporary)
        self.watch = Watch(self.folder, self.run)
        self.client = connect(self.port, self.http)
        time.sleep(2)

    def edited(self, file, old, new, path, answer, events=("applied", "restored", "copied")):
        """An edit, and what is answered from then on, on the same connection."""
        mark = self.watch.mark
        edit(self.folder, file, old, new)
        event = self.watch.expect("applied", "restored", "copied", "unchanged", "refused", "compile-failed", "restarting", since=mark)
        if event["event"] not in events:
            raise Failure(f"{'/'.join(events)} is expected, and this came: {event}")
        if event["event"] == "restarting":
            self.watch.pid = self.watch.expect("restarted", since=mark, seconds=600)["pid"]
            self.client = connect(self.port, self.http)
        wait_until(lambda: re.search(answer, self.client.get(path)), f"{path} answers {self.client.get(path)!r}, not {answer}", 10)
        return "restarted" if event["event"] == "restarting" else ""

    def check(self, what, *arguments, **more):
        self.report.check(what, lambda: self.edited(*arguments, **more))

    def finish(self, place, compiler, built):
        self.report.check("measured", lambda: self.report.measured(
            os.path.basename(place.file), *measure(self.watch, self.client, place, compiler), built))
        self.report.check("idle", lambda: f"{self.watch.idle():.2f} % of a processor")
        if LONG:
            self.report.check("saves", lambda: many_saves(self.watch, self.client, place))
        self.report.check("Ctrl-C ends both", self.watch.end)
        return self.report.write()
