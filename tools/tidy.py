#!/usr/bin/env python3
"""Checks what a compiler does not: sizes, words, and the arrows between the layers.

    tools/tidy.py [FOLDER]      the tree to check [the one this file is in]

Prints one line a problem, `file:line: what is wrong`, and exits 1 when there is one. Each rule is a
function of the whole tree below, and has a test in tidy_test.py that shows it failing.
"""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

COLUMNS_MAX = 100
FILE_LINES_MAX = 500
TEST_LINES_MAX = 800
FUNCTION_LINES_MAX = 70

# What each layer may include. A layer that is not named here does not exist.
MAY_INCLUDE = {
    "async": {"async"},
    "pipeline": {"async", "pipeline"},
    "testing": {"async", "pipeline", "testing"},
    "connect": {"async", "pipeline", "connect"},
    "cli": {"async", "pipeline", "connect", "cli"},
}
# 7 s to compile, so not for every user: one bridge, and what no user includes.
ASIO_ALLOWED = ("src/async/", "include/brigade/async/asio.hpp", "src/connect/admin_http.cpp",
                "src/connect/tls_context.cpp", "src/connect/http_connection.cpp",
                "src/connect/http_server.cpp")
CONNECTORS = ("file", "exec", "jq", "parse", "sqlite", "postgres", "socket", "admin", "http")

# One noun, many places: include/brigade/<layer>/<noun>.hpp has tests/<layer>/<noun>_test.cpp.
# These are tested elsewhere, and this says where.
TESTED_ELSEWHERE = {
    "async/assert": "one line of behaviour; the tests of misuse are tests of it",
    "pipeline/journal": "an interface; its two implementations are tested as ledger and test kit",
    "pipeline/outcome": "plain names; the identity in report_test is their behaviour",
    "pipeline/source": "an interface; engine_test, engine_outcomes_test run it",
    "pipeline/sink": "an interface; engine_test runs the engine against it",
    "pipeline/stage": "an interface; engine_test runs the engine against it",
}

# Where promises name their tests, and what a name without a path is a test of.
GUARANTEES = "docs/guarantees.md"
ORACLE = "tests/oracle/"

CPP = {".cpp", ".hpp"}
TEXT = CPP | {".py", ".sh", ".md", ".cmake", ".yaml", ".yml", ".json", ".txt", ""}
LONG_LINES_ALLOWED = {".md", ".json"}

# Spelt in pieces, so that this file passes its own check.
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK)\b")
MACHINE_PATH = re.compile(r"(?:(?<![\w.~])|(?<=-[IL]))/(?:wo" r"rk|ho" r"me|ro" r"ot)/")
OUTSIDE_DATA = re.compile(r"\.\./sha" r"red")
OUTSIDE_DATA_ALLOWED = {".ci/run"}
REGISTRY = re.compile(r"https?://(?:deb|registry|repo1?|proxy|index|static|pypi)\.")


class File:
    """One file of the tree: its path within it, its text and its lines."""

    def __init__(self, path, text):
        self.path = path
        self.text = text
        self.lines = text.splitlines()
        self.suffix = Path(path).suffix
        self.parts = Path(path).parts

    @property
    def is_cpp(self):
        return self.suffix in CPP

    @property
    def is_public_header(self):
        return self.path.startswith("include/brigade/")

    @property
    def layer(self):
        """The layer this file belongs to, or None for tests, examples and the rest."""
        if self.is_public_header:
            return self.parts[2] if len(self.parts) > 3 else None
        if self.parts[0] == "src" and len(self.parts) > 2:
            return self.parts[1]
        return None

    def includes(self):
        """(line number, '<' or '"', path) of each #include."""
        for number, line in enumerate(self.lines, 1):
            found = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
            if found:
                yield number, found[1], found[2]


def read_tree(root):
    """Every text file that is in the repository or would be: what .gitignore names is not."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=root,
                            capture_output=True, text=True)
    if listed.returncode == 0:
        names = listed.stdout.splitlines()
    else:  # an unpacked archive
        names = [str(path.relative_to(root)) for path in sorted(root.rglob("*"))
                 if not {".git", "build", "state"} & set(path.relative_to(root).parts)]
    files = []
    for name in sorted(set(names)):
        path = root / name
        if path.suffix not in TEXT or not path.is_file() or name == "LICENSE":
            continue
        files.append(File(name, path.read_text(encoding="utf-8", errors="replace")))
    return files


# --- rules: each yields (path, line, message) -----------------------------------------------------

def check_lines(files):
    for file in files:
        for number, line in enumerate(file.lines, 1):
            if len(line) > COLUMNS_MAX and file.suffix not in LONG_LINES_ALLOWED:
                yield file.path, number, f"{len(line)} columns; at most {COLUMNS_MAX}"
            if "\t" in line:
                yield file.path, number, "a tab; use spaces"
            if re.match(r"(<{7}|>{7}) ", line):
                yield file.path, number, "a merge conflict that was committed"
            if line != line.rstrip():
                yield file.path, number, "space at the end of the line"
        if file.text and not file.text.endswith("\n"):
            yield file.path, len(file.lines), "no newline at the end of the file"


def check_file_length(files):
    for file in files:
        if file.suffix in LONG_LINES_ALLOWED:
            continue
        limit = TEST_LINES_MAX if file.parts[0] == "tests" else FILE_LINES_MAX
        if len(file.lines) > limit:
            yield file.path, limit, f"{len(file.lines)} lines; at most {limit}"


def check_words(files):
    rules = ((UNFINISHED, "finish it or leave it out"), (MACHINE_PATH, "a path of one machine"),
             (REGISTRY, "the address of a package registry"))
    for file in files:
        for number, line in enumerate(file.lines, 1):
            for pattern, message in rules:
                found = pattern.search(line)
                if found:
                    yield file.path, number, f"'{found[0]}': {message}"
            if OUTSIDE_DATA.search(line) and file.path not in OUTSIDE_DATA_ALLOWED:
                yield file.path, number, "outside data is found by BRIGADE_TEST_DATA alone"


def check_function_length(files):
    for file in files:
        if file.is_cpp:
            functions = cpp_functions(file.text)
        elif file.suffix == ".py":
            try:
                functions = list(python_functions(file.text))
            except SyntaxError as error:
                yield file.path, error.lineno or 1, f"not Python: {error.msg}"
                continue
        else:
            continue
        for begin, end in functions:
            if end - begin + 1 > FUNCTION_LINES_MAX:
                yield (file.path, begin,
                       f"a function of {end - begin + 1} lines; at most {FUNCTION_LINES_MAX}")


def check_layers(files):
    for file in files:
        if file.layer is None:
            continue
        if file.layer not in MAY_INCLUDE:
            yield file.path, 1, f"'{file.layer}' is no layer; there are {', '.join(MAY_INCLUDE)}"
            continue
        for number, quote, target in file.includes():
            layer = layer_of_include(file, quote, target)
            if layer in MAY_INCLUDE and layer not in MAY_INCLUDE[file.layer]:
                yield (file.path, number,
                       f"'{file.layer}' must not know '{layer}': {target}")
            if target.startswith("boost/asio") and not file.path.startswith(ASIO_ALLOWED):
                yield file.path, number, "Boost.Asio stays under src/async and in admin_http.cpp"


def check_connectors(files):
    """A connector knows nothing of another one; what two share belongs to neither."""
    for file in files:
        own = connector_of(Path(file.path).stem) if file.layer == "connect" else None
        if own is None:
            continue
        for number, _, target in file.includes():
            other = connector_of(Path(target).stem) if "connect/" in target else None
            if other not in (None, own):
                yield file.path, number, f"connector '{own}' must not know connector '{other}'"


def check_public_headers(files):
    for file in files:
        if file.suffix != ".hpp":
            continue
        if "#pragma once" not in file.lines:
            yield file.path, 1, "no '#pragma once'"
        if file.is_public_header:
            if not file.lines or not file.lines[0].startswith("///"):
                yield file.path, 1, "a public header opens with its contract, in /// lines"
            for number, quote, target in file.includes():
                if quote == '"':
                    yield file.path, number, f'"{target}": public headers include <brigade/...>'


def check_headers_used(files):
    included = {path for file in files if file.is_cpp
                for _, quote, target in file.includes()
                for path in resolve(file, quote, target) if path != file.path}
    for file in files:
        if file.suffix == ".hpp" and file.path not in included:
            yield file.path, 1, "nobody includes this header"


def check_tests_exist(files):
    paths = {file.path for file in files}
    for file in files:
        found = re.fullmatch(r"include/brigade/(async|pipeline)/(\w+)\.hpp", file.path)
        if not found:
            continue
        noun = f"{found[1]}/{found[2]}"
        test = f"tests/{noun}_test.cpp"
        if test in paths and noun in TESTED_ELSEWHERE:
            yield test, 1, f"exists now: take '{noun}' out of TESTED_ELSEWHERE in tools/tidy.py"
        if test not in paths and noun not in TESTED_ELSEWHERE:
            yield file.path, 1, f"has no test: {test}"
    for noun in TESTED_ELSEWHERE:
        if f"include/brigade/{noun}.hpp" not in paths:
            yield "tools/tidy.py", 1, f"TESTED_ELSEWHERE names '{noun}', which does not exist"


def check_named_tests(files):
    """What the guarantees say is proved by a test that is there; and each pair has its row."""
    texts = {file.path: file.text for file in files}
    guarantees = next((file for file in files if file.path == GUARANTEES), None)
    if guarantees is None:
        return
    for number, line in enumerate(guarantees.lines, 1):
        for path, name in re.findall(r"`(tests/[\w/]+\.(?:py|cpp))(?:::([\w.]+))?`", line):
            if path not in texts:
                yield GUARANTEES, number, f"there is no {path}"
            elif name and not has_test(texts[path], name):
                yield GUARANTEES, number, f"{path} has no test {name}"
        for name in re.findall(r"`(test_\w+)`", line):
            if not any(has_test(text, name) for path, text in texts.items()
                       if path.startswith("tests/") and path.endswith(".py")):
                yield GUARANTEES, number, f"there is no test {name}"
    ends = [names_in(texts.get(ORACLE + name.lower() + ".py", ""), name)
            for name in ("SOURCES", "SINKS")]
    for pair in (f"{source}To{sink}" for source in ends[0] for sink in ends[1]):
        if f"| `{pair}` |" not in guarantees.text:
            yield GUARANTEES, 1, f"has no row for the pair {pair}: {ORACLE}pairs_test.py --table"


RULES = (check_lines, check_file_length, check_words, check_function_length, check_layers,
         check_connectors, check_public_headers, check_headers_used, check_tests_exist,
         check_named_tests)


# --- what the rules stand on ----------------------------------------------------------------------

def layer_of_include(file, quote, target):
    parts = Path(target).parts
    if target.startswith("brigade/"):
        return parts[1] if len(parts) > 2 else Path(parts[1]).stem
    if quote == '"' and len(parts) > 1 and parts[0] in MAY_INCLUDE:
        return parts[0]  # "async/loop_core.hpp": a private header, from src
    return file.layer if quote == '"' else None


def has_test(text, name):
    """Whether a test of that name is there: `name`, or `Class.name` whose class is there, too."""
    group, _, test = name.rpartition(".")
    if group and not re.search(rf"^class {group}\b", text, re.MULTILINE):
        return False
    return bool(re.search(rf"\bdef {test}\(|\bTEST(?:_F|_P)?\(\s*\w+,\s*{test}\)", text))


def names_in(text, name):
    """What stands in the tuple of that name."""
    found = re.search(rf"^{name} = \(([^)]*)\)", text, re.MULTILINE)
    return re.findall(r"\w+", found[1]) if found else []


def connector_of(stem):
    return next((name for name in CONNECTORS if stem == name or stem.startswith(name + "_")), None)


def resolve(file, quote, target):
    """The paths that an #include may mean: beside the file, under src, under tests."""
    if quote == "<":
        return ["include/" + target]
    return [str(Path(file.path).parent / target), "src/" + target, "tests/" + target]


def without_comments_and_strings(text):
    """The same text with comments, strings and characters blanked; line breaks stay."""
    pattern = re.compile(
        r'//[^\n]*|/\*.*?\*/|R"(?P<mark>[^(\s]{0,16})\(.*?\)(?P=mark)"'
        r'|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'', re.DOTALL)
    return pattern.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


def cpp_functions(text):
    """(first line, last line) of each outermost function body, by matching braces.

    A brace opens a function when what stands before it, back to the last ; { or }, has a parameter
    list and is no namespace, type or initialiser.
    """
    code = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda found: re.sub(r"[^\n]", " ", found[0]),
                  without_comments_and_strings(text), flags=re.MULTILINE)
    functions, stack, inside = [], [], 0
    head_begin = 0
    for at, char in enumerate(code):
        if char == "{":
            head = re.sub(r"^\s*(?:public|private|protected)\s*:", "", code[head_begin:at])
            opens = inside == 0 and is_function_head(head)
            begin = at - len(head.lstrip())
            stack.append((opens, begin))
            inside += opens or inside > 0
            head_begin = at + 1
        elif char == "}":
            if stack:
                opens, begin = stack.pop()
                inside -= inside > 0
                if opens:
                    functions.append((code.count("\n", 0, begin) + 1, code.count("\n", 0, at) + 1))
            head_begin = at + 1
        elif char == ";":
            head_begin = at + 1
    return functions


def is_function_head(head):
    head = re.sub(r"\b(?:template|requires)\s*<[^;{}]*?>\s*(?=\w)", " ", head).strip()
    type_word = r"(?:namespace|class|struct|union|enum)\b"
    if "(" not in head or re.match(type_word, head) or re.search(type_word + r"[^()]*$", head):
        return False
    return not re.search(r"(?:=|,|\(|\breturn)\s*$", head)


def python_functions(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.lineno, node.end_lineno


def format_problems(root, files, clang_format):
    """The files that clang-format would change, with the first place."""
    names = [file.path for file in files if file.is_cpp]
    if not names:
        return
    done = subprocess.run([clang_format, "--dry-run", "-Werror", *names], cwd=root,
                          capture_output=True, text=True)
    seen = set()
    for line in done.stderr.splitlines():
        found = re.match(r"(.+?):(\d+):\d+: error:", line)
        if found and found[1] not in seen:
            seen.add(found[1])
            yield found[1], int(found[2]), "not formatted: clang-format-19 -i"
    if done.returncode != 0 and not seen:
        yield ".clang-format", 1, done.stderr.strip()


def main(arguments):
    root = Path(arguments[0] if arguments else Path(__file__).parent.parent).resolve()
    files = read_tree(root)
    problems = [problem for rule in RULES for problem in rule(files)]
    clang_format = shutil.which("clang-format-19")
    if clang_format:
        problems += format_problems(root, files, clang_format)
    else:
        print("tidy: no clang-format-19 here; the format was not checked")
    for path, line, message in sorted(problems):
        print(f"{path}:{line}: {message}")
    print(f"tidy: {len(files)} files, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
