"""Records an edit of Sources/LiveServer under `swift-hotpatch watch` in a terminal, and draws what was seen, at the speed at which it
was seen, as an animated picture: the one that the README shows.

SWIFT_HOTPATCH=.build-release/release/swift-hotpatch WORK=folder python3 Tests/Watch/animated.py >Sources/Hotpatch/Hotpatch.docc/Resources/watch.svg
"""

import html, pty, select
from watching import *

# Pixels of a monospaced font of 13: how wide a character is, how far lines lie apart, and what is left around them.
CHARACTER, LINE, MARGIN, COLUMNS = 7.83, 19, 14, 96
# Seconds: for each character that is typed, after a command before the next, and at the end before all begins anew.
TYPING, THINKING, LOOKING = 0.025, 1.2, 5
# What nobody would look at for as long as it takes: to build, to start.
LONGEST = 1.5
COLOURS = {"31": "#ff7b72", "32": "#7ee787", "33": "#e3b341", "2": "#8b949e", "1": "#ffffff"}


class Screen:
    """Lines, each with the moment at which it appears. Time is that of the recording, where that is not long."""

    def __init__(self):
        self.lines, self.now, self.last = [], 0.5, time.monotonic()

    def command(self, text):
        self.now += THINKING
        self.lines.append((self.now, "$ " + text, True))
        self.now += TYPING * len(text) + 0.2
        self.last = time.monotonic()

    def output(self, text):
        moment = time.monotonic()
        self.now += min(moment - self.last, LONGEST)
        self.last = moment
        self.lines.append((self.now, text, False))

    def picture(self):
        width, height = COLUMNS * CHARACTER + 2 * MARGIN, len(self.lines) * LINE + 2 * MARGIN
        total = self.now + LOOKING
        style = ["text{font:13px ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;fill:#c9d1d9;white-space:pre}"]
        body = []
        for number, (moment, text, typed) in enumerate(self.lines):
            begin, baseline = 100 * moment / total, MARGIN + (number + 1) * LINE - 5
            style.append(f"@keyframes l{number}{{0%,{begin:.2f}%{{opacity:0}}{begin + 0.01:.2f}%,100%{{opacity:1}}}}"
                         f".l{number}{{animation:l{number} {total:.2f}s infinite step-end}}")
            clip = ""
            if typed:
                end = 100 * (moment + TYPING * len(text)) / total
                wide = len(text) * CHARACTER + MARGIN
                style.append(f"@keyframes t{number}{{0%,{begin:.2f}%{{width:{2 * CHARACTER + MARGIN:.0f}px;animation-timing-function:steps({len(text)})}}"
                             f"{end:.2f}%,100%{{width:{wide:.0f}px}}}}.t{number}{{animation:t{number} {total:.2f}s infinite}}")
                body.append(f'<clipPath id="c{number}"><rect class="t{number}" x="0" y="{baseline - LINE + 3}" width="{wide:.0f}" height="{LINE + 3}"/></clipPath>')
                clip = f' clip-path="url(#c{number})"'
            body.append(f'<text class="l{number}" x="{MARGIN}" y="{baseline}"{clip}>{spans(text)}</text>')
        return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" viewBox="0 0 {width:.0f} {height}" role="img">\n'
                "<title>An edit of a server that runs, live after a save</title>\n"
                f"<style>{chr(10).join(style)}</style>\n"
                f'<rect width="100%" height="100%" rx="8" fill="#0d1117"/>\n' + "\n".join(body) + "\n</svg>\n")


def spans(text):
    """Text with colours of a terminal, as SVG's."""
    plain, *coloured = re.split(r"\x1b\[([0-9;]*)m", text)
    drawn = html.escape(plain, quote=False)
    for code, part in zip(coloured[::2], coloured[1::2]):
        part, colour = html.escape(part, quote=False), COLOURS.get(code)
        drawn += f'<tspan fill="{colour}">{part}</tspan>' if colour and part else part
    return drawn


class Terminal:
    """What a program prints to a terminal, line by line."""

    def __init__(self, words, folder):
        self.master, terminal = pty.openpty()
        self.process = subprocess.Popen(words, cwd=folder, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True)
        os.close(terminal)
        atexit.register(self.process.kill)
        self.rest = b""

    def line(self, seconds):
        """The next line, or nothing in that time."""
        while b"\n" not in self.rest:
            if not select.select([self.master], [], [], seconds)[0]:
                return None
            self.rest += os.read(self.master, 65536)
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode().rstrip("\r")

    def until(self, pattern, seen):
        while (line := self.line(600)) is not None:
            # Not what the build says, which overwrites its lines, and not what the server says of each request.
            if not re.match(r"(\x1b\[\d*m)*(\x1b\[2K|\[FlyingFox\]|swift run|$)", line):
                seen(line)
            if re.search(pattern, line):
                return
        raise Failure(f"nothing like {pattern} was printed")


def main():
    folder, port = folder_of("animated", os.path.join(HERE, "../../Sources/LiveServer")), free_port()
    run(["swift", "build", "--product", "LiveServer"], folder)
    screen = Screen()
    screen.command("swift-hotpatch watch -- swift run LiveServer")
    watch = Terminal([COMMAND, "watch", "--", "swift", "run", "LiveServer", str(port)], folder)
    watch.until("watching", screen.output)
    client = connect(port)

    def increment(expected):
        screen.command(f"curl http://127.0.0.1:{port}/increment")
        answer = client.get("increment")
        screen.output(answer)
        if answer != expected:
            raise Failure(f"/increment answered {answer!r}, not {expected!r}")

    increment("1")
    increment("2")
    # Nobody edits as fast. The command reads what it needs meanwhile.
    time.sleep(3)
    substitute = """sed -i '/increment()/s/text("/text("counted to /' Routes.swift"""
    screen.command(substitute)
    subprocess.run(substitute, shell=True, cwd=folder, check=True)
    watch.until("Routes.swift.*function", screen.output)
    increment("counted to 3")
    client.close()
    watch.process.send_signal(signal.SIGINT)
    watch.process.wait(30)
    print(screen.picture(), end="")


if __name__ == "__main__":
    main()
