"""What `swift-hotpatch watch` does, done with a compiler's command and `swift-hotpatch apply NEW.o --base OLD.o`."""

import shutil
from watching import *


class BuildClang(Clang):
    """As the build says that it compiles a file of C."""

    def __init__(self, folder, build, file):
        path = os.path.join(folder, file)
        os.utime(path)
        for line in run(build + ["-v"], folder)[1].splitlines():
            words = shlex.split(line) if " -c " in line and os.path.basename(file) in line else []
            if "-c" in words and os.path.realpath(words[words.index("-c") + 1]) == os.path.realpath(path):
                super().__init__(Frontend._aside(words))
                self.output = words[words.index("-o") + 1]
                return
        raise Failure(f"the build names no command for {file}")


class ByHand:
    """A program that is started, and what comes of the files that are saved. To be used where a `Watch` is."""

    def __init__(self, folder, build, start, port, http, sources):
        self.folder, self.build, self.start, self.port, self.http = folder, build, start, port, http
        self.events, self.objects, self.held = [], 0, []
        self.log = open(os.path.join(WORK, os.path.basename(folder) + ".log"), "a")
        self.compilers = {
            file: Frontend(folder, build, module, file) if module else BuildClang(folder, build, file)
            for file, module in sources.items()}
        run(build, folder)
        atexit.register(lambda: self.process.kill())
        self._begin()

    def _begin(self):
        """Objects and texts are those that the program was built from."""
        self.process = subprocess.Popen(self.start, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.pid = self.process.pid
        connect(self.port, self.http).close()
        self.texts = {file: open(os.path.join(self.folder, file)).read() for file in self.compilers}
        self.base = {file: self._kept(compiler.output) for file, compiler in self.compilers.items()}

    def _kept(self, object):
        """A copy, for the compiler writes the next one in the same place."""
        self.objects += 1
        path = os.path.join(WORK, "objects", f"{self.objects}", os.path.basename(object))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return shutil.copy(object if os.path.isabs(object) else os.path.join(self.folder, object), path)

    @property
    def mark(self):
        return len(self.events)

    def expect(self, *names, since=0, seconds=60):
        """What comes of what was saved: it is compiled and applied now, unless it has been."""
        for event in self.events[since:]:
            if event["event"] in names:
                return event
        if "restarted" in names:
            self.process.terminate()
            self.process.wait(20)
            run(self.build, self.folder)
            self._begin()
            self.events.append({"event": "restarted", "pid": self.pid})
        else:
            self.events.append(self._apply())
        if self.events[-1]["event"] not in names:
            raise Failure(f"no {'/'.join(names)}, but: {self.events[-1]}")
        return self.events[-1]

    def _apply(self):
        """Compiles what differs from what was compiled last, and links it into the program, all of it at once."""
        changed = {}
        for file, before in self.texts.items():
            text = open(os.path.join(self.folder, file)).read()
            if text != before:
                changed[file] = text
        new, words = {}, [COMMAND, "apply", "--json", "--pid", str(self.pid)]
        for file in changed:
            compiled = subprocess.run(self.compilers[file].words, cwd=self.folder, capture_output=True, text=True, timeout=300)
            if compiled.returncode != 0:
                return {"event": "compile-failed", "said": compiled.stderr[-1000:]}
            new[file] = self._kept(os.path.join(WORK, "frontend", os.path.basename(self.compilers[file].output)))
            words += [new[file], "--base", self.base[file]]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120)
        self.log.write(shlex.join(words) + "\n" + done.stdout + done.stderr)
        self.log.flush()
        try:
            said = json.loads(done.stdout)
        except ValueError:
            raise Failure(f"apply ended with {done.returncode}, and printed {done.stdout!r} {done.stderr!r}")
        if done.returncode == 2 and "restart needed" in said["error"]:
            return {**said, "event": "restarting"}
        if done.returncode != 0:
            return {**said, "event": "refused"}
        if "held_ns" in said:
            self.held.append(said["held_ns"] / 1e9)
        for file, text in changed.items():
            self.texts[file], self.base[file] = text, new[file]
        return {**said, "event": "applied" if said["functions"] or "patch" in said else "unchanged"}

    def revert(self):
        """All that was applied comes off, newest first."""
        run([COMMAND, "revert", "--pid", str(self.pid), "--all"], self.folder, 60)

    def end(self):
        connect(self.port, self.http).close()
        self.process.terminate()
        self.process.wait(20)
        return f"held {1000 * statistics.median(self.held):.1f} ms ({1000 * max(self.held):.1f}), {len(self.held)} times"
