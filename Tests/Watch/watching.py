"""What the programs below Tests/Watch have in common: a folder, `swift-hotpatch watch` in it, edits, answers, times."""

import atexit, json, os, re, shlex, shutil, signal, socket, statistics, subprocess, sys, threading, time

HERE = os.path.dirname(os.path.abspath(__file__))
COMMAND = os.environ["SWIFT_HOTPATCH"]
WORK = os.environ["WORK"]
LONG = os.environ.get("LONG") == "yes"
SEED = int(os.environ.get("SEED") or 1)
# Between two questions: to ask all the time would slow down what is waited for.
PAUSE = 0.003
EDITS = int(os.environ.get("EDITS") or 9)
REBUILDS = int(os.environ.get("REBUILDS") or 5)


signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


class Failure(Exception):
    """The program or the command did not do what is expected."""


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def free_port():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


def folder_of(name, source=None):
    """A folder with the sources as they are here. What was built in it before is kept: it is only older."""
    folder = os.path.join(WORK, name)
    os.makedirs(folder, exist_ok=True)
    for entry in os.listdir(folder):
        if entry in (".build", "dependency"):
            continue
        path = os.path.join(folder, entry)
        shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
    shutil.copytree(source or os.path.join(HERE, name.split("-")[0]), folder, dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns(".build*", "Package.resolved"))
    return folder


def run(words, folder, seconds=1800):
    """Its time in seconds, and what it printed."""
    begun = time.monotonic()
    done = subprocess.run(words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds)
    if done.returncode != 0:
        raise Failure(f"{shlex.join(words)} ended with {done.returncode}: {done.stdout[-2000:]}")
    return time.monotonic() - begun, done.stdout


class Client:
    """One connection, kept. Lines of text, or HTTP/1.1."""

    def __init__(self, port, http=True):
        self.port, self.http, self.rest = port, http, b""
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self):
        self.socket.close()

    def _receive(self):
        # A server that writes head and body apart, and leaves Nagle's algorithm on, waits for the acknowledgement of the first: 40 ms, if
        # the kernel delays it (tcp(7): not permanent).
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        got = self.socket.recv(65536)
        if not got:
            raise Failure("the connection was closed")
        self.rest += got

    def _until(self, end):
        while end not in self.rest:
            self._receive()
        head, self.rest = self.rest.split(end, 1)
        return head

    def get(self, path, body=None):
        if not self.http:
            self.socket.sendall(path.encode() + b"\n")
            return self._until(b"\n").decode()
        method = "GET" if body is None else "POST"
        data = (body or "").encode()
        self.socket.sendall(
            f"{method} /{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n"
            f"Content-Type: application/json\r\n\r\n".encode() + data)
        head = self._until(b"\r\n\r\n").decode()
        length = int(re.search(r"(?i)content-length: *(\d+)", head).group(1))
        while len(self.rest) < length:
            self._receive()
        answer, self.rest = self.rest[:length].decode(), self.rest[length:]
        if " 200 " not in head.split("\r\n")[0]:
            raise Failure(f"/{path} answered {head.splitlines()[0]}: {answer[:200]}")
        return answer.rstrip("\n")


def connect(port, http=True, seconds=60):
    deadline = time.monotonic() + seconds
    while True:
        try:
            return Client(port, http)
        except OSError:
            if time.monotonic() > deadline:
                raise Failure(f"nothing listens on port {port}")
            time.sleep(0.05)


class Load:
    """Requests all the time, from another process, on connections that are kept."""

    def __init__(self, port, paths, http=True, connections=4):
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "load.py"), str(port), "http" if http else "lines", str(connections), *paths],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def end(self):
        """(requests answered, requests failed, what the first failure was)"""
        printed, _ = self.process.communicate("\n", timeout=60)
        answered, failed, first = printed.split(" ", 2)
        return int(answered), int(failed), first.strip()


class Watch:
    """`swift-hotpatch watch` of a command, and what it has said."""

    def __init__(self, folder, command, options=(), environment=None):
        self.folder, self.events, self.arrived = folder, [], threading.Condition()
        self.log = open(os.path.join(WORK, os.path.basename(folder) + ".log"), "a")
        self.process = subprocess.Popen(
            [COMMAND, "watch", "--json", *options, "--", *command], cwd=folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=self.log, text=True, start_new_session=True,
            env={**os.environ, **(environment or {})})
        atexit.register(self.process.terminate)
        threading.Thread(target=self._read, daemon=True).start()
        self.pid = self.expect("ready", seconds=900)["pid"]

    def _read(self):
        for line in self.process.stdout:
            self.log.write(line)
            self.log.flush()
            # The program prints there too, and may have ended in the middle of a line.
            start = line.find('{"schema":')
            try:
                event = json.loads(line[start:]) if start >= 0 else None
            except ValueError:
                continue
            if event is None:
                continue
            with self.arrived:
                self.events.append(event)
                self.arrived.notify_all()
        with self.arrived:
            self.events.append({"event": "end"})
            self.arrived.notify_all()

    @property
    def mark(self):
        return len(self.events)

    def expect(self, *names, since=0, seconds=60):
        """The next event of one of these names."""
        deadline = time.monotonic() + seconds
        with self.arrived:
            while True:
                for event in self.events[since:]:
                    if event["event"] in names:
                        return event
                    if event["event"] == "end":
                        raise Failure(f"the command ended; it said last: {self.events[-3:-1]}")
                if not self.arrived.wait(max(0, deadline - time.monotonic())):
                    raise Failure(f"no {'/'.join(names)} within {seconds} s, but: {self.events[since:]}")

    def end(self):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Failure("Ctrl-C does not end it within 20 s")
        if os.path.exists(f"/proc/{self.pid}"):
            raise Failure("it has ended, and the program has not")

    def idle(self, seconds=10):
        """How much of a processor it needs while nothing happens, in percent."""
        before = processor_time(self.process.pid)
        time.sleep(seconds)
        return 100 * (processor_time(self.process.pid) - before) / seconds


def processor_time(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid):
    """In MB."""
    return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read()).group(1)) / 1024


class Place:
    """A number in a source that an answer of the program contains."""

    def __init__(self, file, before, path, answer):
        self.file, self.before, self.path, self.answer = file, before, path, answer

    def write(self, folder, number):
        edit(folder, self.file, re.compile(re.escape(self.before) + r"\d+"), f"{self.before}{number}")

    def is_live(self, client, number):
        return re.search(re.escape(self.answer) + str(number) + r"(?!\d)", client.get(self.path)) is not None


def edit(folder, file, old, new):
    """As an editor does it: another file is written, and renamed."""
    path = os.path.join(folder, file)
    text = open(path).read()
    changed = old.sub(new, text, count=1) if isinstance(old, re.Pattern) else text.replace(old, new, 1)
    if changed == text:
        raise Failure(f"{file} is not changed by {new!r}")
    save(path, changed)


def save(path, text):
    aside = os.path.join(os.path.dirname(path), ".4913-" + os.path.basename(path))
    with open(aside, "w") as file:
        file.write(text)
    os.rename(aside, path)


def wait_until(is_so, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise Failure(f"{what} within {seconds} s")
        time.sleep(PAUSE)


class Compiler:
    """A compiler's own command for one file."""

    def time(self, folder, client, path):
        """Its time in seconds, while the program is asked as it is while an edit is waited for."""
        begun = time.monotonic()
        process = subprocess.Popen(self.words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            client.get(path)
            time.sleep(PAUSE)
        if process.returncode != 0:
            raise Failure(f"{shlex.join(self.words)} ended with {process.returncode}")
        return time.monotonic() - begun


class Frontend(Compiler):
    """As the driver of the build names it."""

    def __init__(self, folder, build, module, file):
        self.file = os.path.join(folder, file)
        for _ in range(5):
            os.utime(self.file)
            printed = run(build + ["-v"], folder)[1]
            drivers = [line for line in printed.splitlines() if f"-module-name {module} " in line and "swiftc" in line]
            for line in drivers:
                words = shlex.split(line)
                words = words[next(i for i, word in enumerate(words) if word.endswith("swiftc")):]
                try:
                    jobs = run(self._driver(words) + ["-driver-print-jobs"], folder)[1]
                except Failure:
                    continue
                for job in map(shlex.split, jobs.splitlines()):
                    primary = job[job.index("-primary-file") + 1] if "-primary-file" in job else ""
                    if not primary or os.path.realpath(primary) != os.path.realpath(self.file):
                        continue
                    self.words, self.output = self._aside(job), job[job.index("-o") + 1]
                    # The newer build system mixes the lines of what it runs at once: part of one may have been cut off.
                    if subprocess.run(self.words, cwd=folder, capture_output=True).returncode == 0:
                        return
        raise Failure(f"the driver names no command for {file}")

    @staticmethod
    def _driver(words):
        """Without what the build wants besides code: an index, temporary files, values of constants. To have them costs more time."""
        unwanted = ("-incremental", "-parseable-output", "-use-frontend-parseable-output", "-v", "-enable-batch-mode", "-save-temps",
                    "-emit-const-values", "-index-store-path", "-index-ignore-system-modules")
        result = [word for before, word in zip([""] + words, words) if word not in unwanted and before != "-index-store-path"]
        return result + ["-disable-batch-mode", "-driver-filelist-threshold=100000"]

    @staticmethod
    def _aside(job):
        """It writes the same, but elsewhere."""
        folder = os.path.join(WORK, "frontend")
        os.makedirs(folder, exist_ok=True)
        words = []
        for word in job:
            writes = words and (words[-1] == "-o" or words[-1].startswith("-emit-") and words[-1].endswith("-path")
                                or words[-1] == "-serialize-diagnostics-path")
            words.append(os.path.join(folder, os.path.basename(word)) if writes else word)
        return words


class Clang(Compiler):
    """For C and C++."""

    def __init__(self, words):
        self.words = words


def spread(seconds):
    """`412 (390–451)`, in milliseconds."""
    ms = [1000 * value for value in seconds]
    return f"{statistics.median(ms):.0f} ({min(ms):.0f}–{max(ms):.0f})"


def measure(watch, client, place, compiler):
    """Edits in a row, each beside the compiler's own time for the same file: ([save → answer], [compiler], [held])."""
    live, alone, held = [], [], []
    for number in range(1001, 1001 + EDITS):
        mark, begun = watch.mark, time.monotonic()
        place.write(watch.folder, number)
        wait_until(lambda: place.is_live(client, number), f"{place.file}: {number} is not live")
        live.append(time.monotonic() - begun)
        event = watch.expect("applied", "restored", since=mark)
        held.append(event["microseconds"].get("held", 0) / 1e6)
        alone.append(compiler.time(watch.folder, client, place.path))
    return live, alone, held


def rebuild(folder, build, start, place, port, http=True):
    """The way without: build, end the program, start it, until it answers. In seconds."""
    times = []
    server = subprocess.Popen(start, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        connect(port, http).close()
        for number in range(2001, 2001 + REBUILDS):
            begun = time.monotonic()
            place.write(folder, number)
            run(build, folder)
            server.terminate()
            server.wait(20)
            server = subprocess.Popen(
                start, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            client = connect(port, http)
            if not place.is_live(client, number):
                raise Failure(f"the program that was built anew does not answer {number}")
            client.close()
            times.append(time.monotonic() - begun)
    finally:
        server.kill()
        server.wait(20)
    return times


def many_saves(watch, client, place, count=1000):
    """Resident memory of watcher and program before and after saves of one file, and the time of the first and of the last ones."""
    def one(number):
        begun = time.monotonic()
        place.write(watch.folder, number)
        wait_until(lambda: place.is_live(client, number), f"save {number} is not live")
        return time.monotonic() - begun
    warm = [one(number) for number in range(10001, 10011)]
    before = (resident(watch.process.pid), resident(watch.pid))
    times = [one(number) for number in range(10011, 10011 + count)]
    after = (resident(watch.process.pid), resident(watch.pid))
    return (f"{count} saves: watcher {before[0]:.0f} → {after[0]:.0f} MB, program {before[1]:.0f} → {after[1]:.0f} MB; "
            f"first ten {spread(warm)} ms, last ten {spread(times[-10:])} ms")


class Report:
    """What stands in the table, and what was found."""

    def __init__(self, program):
        self.program, self.checks, self.figures, self.notes = program, [], [], []

    def check(self, what, body):
        """Runs a check; one that fails is told, and the next one goes on."""
        begun = time.monotonic()
        try:
            said = body() or ""
            passed = True
        except (Failure, OSError, subprocess.TimeoutExpired) as error:
            said, passed = str(error).replace("\n", " ")[:600], False
        say(f"{'ok    ' if passed else 'FAILED'} {self.program}: {what} ({time.monotonic() - begun:.1f} s) {said}")
        self.checks.append((what, passed, said))
        return passed

    def measured(self, what, live, alone, held, built):
        median = statistics.median
        self.figures.append((
            what, spread(live), spread(alone), f"{median(live) / median(alone):.2f}",
            f"{1000 * median(held):.1f} ({1000 * max(held):.1f})", spread(built) if built else "–",
            f"{median(built) / median(live):.1f}" if built else "–", len(live)))

    def write(self):
        os.makedirs(os.path.join(WORK, "results"), exist_ok=True)
        with open(os.path.join(WORK, "results", self.program + ".json"), "w") as file:
            json.dump({"program": self.program, "checks": self.checks, "figures": self.figures, "notes": self.notes}, file)
        return all(passed for _, passed, _ in self.checks)


def begin(main):
    """Runs a program's checks; one that could not even be built is in the table too."""
    variant = sys.argv[1]
    try:
        passed = main(variant)
    except (Failure, OSError, subprocess.TimeoutExpired) as error:
        report = Report(f"{os.path.basename(sys.argv[0])[:-3]}-{variant}")

        def failed():
            raise error
        report.check("all", failed)
        passed = report.write()
    sys.exit(0 if passed else 1)
