"""A program of C, or of C++, that make builds, or CMake: a static function and a header edited."""

import json, sys
from watching import *


def main(variant):
    """`c`, `cpp`, or `cmake`, which builds the program of C++."""
    is_cmake = variant == "cmake"
    language = "cpp" if is_cmake else variant
    program = "cmake-cpp" if is_cmake else f"makefile-{language}"
    report = Report(program)
    folder, port = folder_of(program, os.path.join(HERE, f"makefile-{language}")), free_port()
    file, header = ("words.c", "words.h") if language == "c" else ("shop.cpp", "shop.h")
    build, start = ["make", "server"], ["./server", str(port)]
    if is_cmake:
        if not shutil.which("cmake"):
            raise Failure("there is no cmake on the PATH: apt-get install cmake")
        shutil.copy(os.path.join(HERE, program, "CMakeLists.txt"), folder)
        build, start = ["cmake", "--build", "build"], ["build/server", str(port)]
        run(["cmake", "-S", ".", "-B", "build", "-DCMAKE_BUILD_TYPE=Debug"], folder)
    run(build, folder)
    commands = json.load(open(os.path.join(folder, "build" if is_cmake else ".", "compile_commands.json")))
    words = shlex.split(next(entry["command"] for entry in commands if os.path.basename(entry["file"]) == file))
    words[words.index("-o") + 1] = os.path.join(WORK, "aside.o")
    compiler = Clang(words)
    before = "helper(void) { return " if language == "c" else "int helper() { return "
    place = Place(file, before, "hello", "hello ")
    built = rebuild(folder, build, start, place, port, http=False)
    place.write(folder, 0)
    run(build, folder)
    watch = Watch(folder, start)
    client = connect(port, http=False)
    time.sleep(2)
    counted = 0
    edits = 100 if language == "c" else 25

    def kept():
        nonlocal counted
        counted += 1
        if client.get("count") != f"count {counted}":
            raise Failure(f"count {counted} is expected")

    def bodies():
        load = Load(port, ["hello", "other"], http=False)
        for number in range(1, edits + 1):
            place.write(folder, number)
            wait_until(lambda: place.is_live(client, number), f"edit {number} is not live")
            kept()
        answered, failed, first = load.end()
        if failed:
            raise Failure(f"{failed} of {answered + failed} requests failed, the first: {first}")
        return f"0 of {answered} requests failed"

    def headers():
        edit(folder, header, "NUMBER 0" if language == "c" else "number = 0", "NUMBER 7" if language == "c" else "number = 7")
        wait_until(lambda: client.get("hello").endswith("number 7"), "the header is not live")
        kept()

    def exceptions():
        edit(folder, file, '"unknown 0: "', '"unknown 1: "')
        wait_until(lambda: client.get("why") == "unknown 1: what is why", "the handler is not live")
        kept()

    def refused():
        mark = watch.mark
        edit(folder, file, "hello", "hello\" oops")
        watch.expect("compile-failed", since=mark)
        kept()
        edit(folder, file, "hello\" oops", "hello")
        watch.expect("unchanged", "applied", "restored", since=mark)
        kept()

    def rebuilt():
        nonlocal client, counted
        mark = watch.mark
        save(os.path.join(folder, "more.cpp"), "int more() { return 1; }\n")
        edit(folder, "CMakeLists.txt", "shop.cpp", "shop.cpp more.cpp")
        watch.expect("restarting", since=mark)
        watch.pid = watch.expect("restarted", since=mark, seconds=120)["pid"]
        client, counted = connect(port, http=False), 0
        kept()
        time.sleep(2)

    if is_cmake:
        report.check("another file in CMakeLists.txt: built, and restarted", rebuilt)
    report.check(f"{edits} edits of a static function under load", bodies)
    report.check("a header", headers)
    if language == "cpp":
        report.check("a handler of exceptions", exceptions)
    report.check("an edit that does not compile", refused)
    report.check("measured", lambda: report.measured(file, *measure(watch, client, place, compiler), built))
    report.check("idle", lambda: f"{watch.idle():.2f} % of a processor")
    if LONG:
        report.check("saves", lambda: many_saves(watch, client, place))
    report.check("Ctrl-C ends both", watch.end)
    return report.write()


if __name__ == "__main__":
    begin(main)
