"""Prints what stands in Tests/Watch/RESULTS.md or HOTLINK.md, from what the programs have found. Its argument says what has run."""

import datetime, glob, json, os, subprocess, sys

results = [json.load(open(path)) for path in sorted(glob.glob(os.path.join(os.environ["WORK"], "results", "*.json")))]
commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
load = os.getloadavg()[2]
print(f"""# What `{sys.argv[1]}` found

Commit {commit}, {datetime.date.today()}, seed {os.environ.get("SEED") or 1}, {os.uname().machine}, {os.cpu_count()} shared cores at a load of
{load:.1f} (the mean of the last 15 minutes), release build of the command.""")
if any(result["figures"] for result in results):
    print("""
**live**: from the save to the first answer of the new code, on a connection that stays. **compiler**: the same file, compiled by the
command that the build's driver names, and nothing else, after each of these edits, without an index and the like. **rebuilt**: such edits
with the build, the program ended and started again, until it answers. Milliseconds: the median, and the range. **held**: for how long the
program's threads stood still; the median, and the longest.

| program | file | live | compiler | live / compiler | held | rebuilt | rebuilt / live | edits |
|---|---|---|---|---|---|---|---|---|""")
for result in results:
    for what, *figures in result["figures"]:
        print(f"| {result['program']} | {what} | " + " | ".join(str(figure) for figure in figures) + " |")
print("\n| program | what | |\n|---|---|---|")
for result in results:
    for what, passed, said in result["checks"]:
        said = said.replace("|", "\\|").replace(os.environ["WORK"] + "/", "")
        print(f"| {result['program']} | {what} | {'' if passed else '**failed** '}{said} |")
