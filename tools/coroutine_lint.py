#!/usr/bin/env python3
"""Finds the co_await expressions that g++ 12 miscompiles (docs/gcc12.md), with clang-query-19, and
the tasks that outlive what they refer to (docs/lifetimes.md), with clang++-19.

    coroutine_lint.py [-p BUILD] [-j JOBS] [--root FOLDER] [FILE...]

For any project that uses brigade: FOLDER [the current one] holds its sources, BUILD [build/dev] its
compile_commands.json. Without files: every source of the two that is not generated; in brigade's
own tree also every header, and only what says co_await. Prints `file:line: what is wrong` a hit and
exits 1 when there is one; 77 without the tools. A hit that was looked at and is right carries
`// coroutine_lint: <why>` on its line.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CLANG_QUERY = "clang-query-19"
CLANG = "clang++-19"
ROOT = Path(__file__).resolve().parent.parent
NOT_AVAILABLE = 77

IN_CONDITION = "hasCondition(expr(hasDescendant(coawaitExpr())))"
NO_LOCAL_VARIABLE = ("hasAncestor(functionDecl(unless(hasDescendant("
                     "varDecl(unless(isImplicit()), unless(parmVarDecl()))))))")
# Of a whole expression ("it"), but not of a lambda within it, which is another function.
ITS_OWN = 'unless(hasAncestor(lambdaExpr(hasAncestor(exprWithCleanups(equalsBoundNode("it"))))))'
AWAITS = f"hasDescendant(coawaitExpr({ITS_OWN}))"


def beside_an_await(node, *conditions):
    """A node in an expression that has a co_await of its own."""
    inner = ", ".join([ITS_OWN, *conditions])
    return f'exprWithCleanups(stmt().bind("it"), {AWAITS}, hasDescendant({node}({inner})))'


# What to say of a hit, and its matcher.
SHAPES = (
    ("co_await in a condition, in a coroutine without a local variable",
     f"stmt(anyOf(ifStmt({IN_CONDITION}), whileStmt({IN_CONDITION}), doStmt({IN_CONDITION}),"
     f" switchStmt({IN_CONDITION})), {NO_LOCAL_VARIABLE})"),
    ("an owning lambda or braced aggregate in an expression with co_await: name it first",
     beside_an_await("cxxBindTemporaryExpr", "has(expr(anyOf(lambdaExpr(), initListExpr())))")),
    ("?: of class type with co_await: use if and else",
     beside_an_await("conditionalOperator", "hasType(hasUnqualifiedDesugaredType(recordType()))",
                     "anyOf(hasDescendant(coawaitExpr()), hasAncestor(coawaitExpr()))")),
    ("co_await in a throw: await into a local first",
     "cxxThrowExpr(hasDescendant(coawaitExpr()))"),
    ("an initializer list with co_await: await into locals, or name the list",
     beside_an_await("cxxStdInitializerListExpr",
                     "anyOf(hasDescendant(coawaitExpr()), hasAncestor(coawaitExpr()))")),
    ("co_await inside the braces of an aggregate: await into a local first",
     beside_an_await("initListExpr", AWAITS)),
    ("co_await in a capture: await into a local first",
     "lambdaExpr(hasAnyCapture(lambdaCapture(capturesVar(varDecl(isInitCapture(),"
     " hasInitializer(expr(anyOf(coawaitExpr(), hasDescendant(coawaitExpr())))))))))"),
    ("a temporary before && or || and co_await behind it: split the line",
     "binaryOperator(hasAnyOperatorName(\"&&\",\"||\"),"
     " hasLHS(hasDescendant(cxxBindTemporaryExpr(unless(hasAncestor(coawaitExpr()))))),"
     " hasRHS(hasDescendant(coawaitExpr())))"),
)
# Of BRIGADE_LIFETIME_CHECKS: what it is for, and what it complains of where nothing is wrong.
DANGLES = re.compile(
    r"(.+?):(\d+):\d+: warning: (.*) \[-W(?:dangling|return-stack-address)[\w-]*\]")
NO_COROUTINE = "neither a coroutine nor a coroutine wrapper"
SAYS_CO_AWAIT = re.compile(r"\bco_await\b")
EXCUSED = re.compile(r"//.*\bcoroutine_lint: \S")


def query():
    """All shapes in one walk over the tree: a walk for each took longer than to read the source."""
    shapes = (f'{matcher}.bind("shape{n}")' for n, (_, matcher) in enumerate(SHAPES))
    return f"m stmt(unless(isExpansionInSystemHeader()), eachOf({', '.join(shapes)}))"


def plain_flags(command):
    """Of a compile command, what decides the meaning of the source; g++'s own options go."""
    words = iter(shlex.split(command)[1:])
    flags = []
    for word in words:
        if word in ("-I", "-isystem", "-D", "-iquote"):
            flags += [word, next(words)]
        elif re.match(r"-(I|D|std=|isystem|iquote)", word):
            flags.append(word)
    return flags


def hits_in(source, flags, root=ROOT):
    """{(file, line, shape)}: what the matchers find in one translation unit."""
    done = subprocess.run([CLANG_QUERY, "-c", query(), str(source), "--", *flags, "-w"],
                          capture_output=True, text=True)
    answered = re.search(r"^\d+ match(?:es)?\.$", done.stdout, re.MULTILINE)
    if done.returncode != 0 or not answered or ": error: " in done.stderr:
        raise RuntimeError(f"{source}: {CLANG_QUERY} failed:\n{done.stdout}{done.stderr}")
    places = re.findall(r'^(.+?):(\d+):\d+: note: "shape(\d+)" binds here', done.stdout,
                        re.MULTILINE)
    found = {(file, int(line), SHAPES[int(n)][0]) for file, line, n in places
             if Path(file).is_relative_to(root)}
    return {hit for hit in found if not is_excused(*hit[:2])}


def dangling_in(source, flags, root=ROOT):
    """{(file, line, message)}: tasks kept longer than a temporary they were given."""
    done = subprocess.run(
        [CLANG, *flags, "-DBRIGADE_LIFETIME_CHECKS", "-fsyntax-only", "-ferror-limit=0",
         "-Wno-everything", "-Wdangling", "-Wreturn-stack-address", str(source)],
        capture_output=True, text=True)
    found = set()
    for line in done.stderr.splitlines():
        hit = DANGLES.match(line)
        if hit and Path(hit[1]).resolve().is_relative_to(root):
            found.add((str(Path(hit[1]).resolve()), int(hit[2]), "a task that dangles: " + hit[3]))
        elif " error: " in line and NO_COROUTINE not in line:
            raise RuntimeError(f"{source}: {CLANG} failed:\n{done.stderr}")
    return {hit for hit in found if not is_excused(*hit[:2])}


def is_excused(file, line):
    return EXCUSED.search(Path(file).read_text(encoding="utf-8").splitlines()[line - 1]) is not None


def says_co_await(path):
    return SAYS_CO_AWAIT.search(path.read_text(encoding="utf-8")) is not None


def sources_of(build, root):
    """{source: flags} of every source of `root` that the build compiles and did not write."""
    commands = json.loads((build / "compile_commands.json").read_text(encoding="utf-8"))
    units = {}
    for entry in commands:
        source = Path(entry["directory"], entry["file"]).resolve()
        if source.is_relative_to(root) and not source.is_relative_to(build):
            units.setdefault(source, plain_flags(entry["command"]))
    return units


def whole_tree(build, root):
    """What is to be read: sources with their flags; of brigade itself the headers, too."""
    units = sources_of(build, root)
    if root != ROOT:
        return sorted(units.items())
    alone = ["-x", "c++", "-std=c++20", f"-I{ROOT}/include", f"-I{ROOT}/src", f"-I{ROOT}/tests"]
    for folder in ("include", "src", "tests/async", "tests/pipeline", "tests/connect"):
        units |= {header: alone for header in sorted((ROOT / folder).rglob("*.hpp"))}
    return sorted(unit for unit in units.items() if says_co_await(unit[0]))


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-p", dest="build", type=Path, default=Path("build/dev"))
    parser.add_argument("-j", dest="jobs", type=int, default=os.cpu_count())
    parser.add_argument("--root", type=Path, default=Path.cwd())
    parser.add_argument("files", nargs="*", type=Path)
    chosen = parser.parse_args(arguments)
    for tool, package in ((CLANG_QUERY, "clang-tools-19"), (CLANG, "clang-19")):
        if shutil.which(tool) is None:
            print(f"coroutine_lint: no {tool} here (Debian: {package})")
            return NOT_AVAILABLE
    root = chosen.root.resolve()
    units = whole_tree(chosen.build.resolve(), root)
    if chosen.files:
        wanted = {file.resolve() for file in chosen.files}
        units = [unit for unit in units if unit[0] in wanted]
    with ThreadPoolExecutor(chosen.jobs) as pool:
        found = set().union(*pool.map(
            lambda unit: hits_in(*unit, root) | dangling_in(*unit, root), units))
    for file, line, what in sorted(found):
        print(f"{os.path.relpath(file, root)}:{line}: {what}")
    print(f"coroutine_lint: {len(units)} files, {len(found)} hits")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
