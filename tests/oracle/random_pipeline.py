"""From a seed a pipeline, the items for it, and what must come of each: the model.

A shape (a kind of stage, source or sink) is a class that writes its part of the pipeline file and
says what it makes of an item. To add one: the class, and its line in STAGES, SOURCES or SINKS.
"""
import hashlib
import json
import random
import sys
from dataclasses import dataclass, field
from pathlib import Path

from fates import DEADLY, fate_of

HERE = Path(__file__).resolve().parent
RUBBISH = b"{rubbish "  # how a line begins that no source and no parser understands
CALM = {"on_error": "isolate"}
CONDITIONS = (  # the same in jq and in Python; some are evaluated natively, some by libjq
    (".n % 3 != 0", lambda item: item["n"] % 3 != 0),
    (".n >= 25", lambda item: item["n"] >= 25),
    (".k != \"k1\"", lambda item: item["k"] != "k1"),
    ("(.text | length) % 2 == 0", lambda item: len(item["text"]) % 2 == 0),
    (".nosuch == null", lambda item: True),
    (".n | . % 10 > 0", lambda item: item["n"] % 10 > 0),
)
ALPHABET = "abcdefghij klmno\"\\/{}[]:,'<>&\u00e4\u00df\u4e2d\U0001f600\t"


@dataclass(frozen=True)
class Outcome:
    """What must come of an item, or of one of the items it was split into."""
    outcome: str
    item: dict  # as it arrives in the sink, or as it was where it failed
    stage: str = ""
    error: str = ""  # a part of it

    @property
    def parts(self):
        return tuple(self.item.get("parts", []))


@dataclass
class Item:
    """An obligation: it was accepted, so it must come out."""
    id: str
    partition: str
    offset: int
    key: str  # None: it is in no order with others
    n: int
    line: bytes
    outcomes: list = field(default_factory=list)


def payload(seed, identity, key, n):
    """The item of this id, always the same, with a sum over all of it."""
    chance = random.Random(f"{seed} {identity}")
    length = chance.choice((0, 3, 20, 20, 20, 200, 3000))
    text = "".join(chance.choice(ALPHABET) for _ in range(length))
    return signed({"id": identity, "k": key, "n": n, "text": text})


def sum_of(item):
    whole = [item.get(name) for name in ("id", "k", "n", "text")]
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()[:16]


def signed(item):
    return {**item, "sum": sum_of(item)}


# --- stages: what each makes of an item: a list of items, or the Outcome it comes to there --------

class Stage:
    may_drop = False
    mended = False
    when = None

    def __init__(self, chance, name, model):
        self.name, self.chance = name, chance
        self.keys = {"name": name, **self.any_stage(model)}

    def any_stage(self, model):
        """What may stand on every stage."""
        chance, keys = self.chance, {}
        if chance.random() < 0.6:
            most = chance.randint(1, 8)
            keys["workers"] = chance.choice((most, most, f"{chance.randint(1, most)}..{most}"))
        if chance.random() < 0.25:
            condition, self.when = chance.choice(CONDITIONS)
            keys["when"] = condition
        if chance.random() < 0.5:
            queue = {"size": chance.choice((1, 2, 5, 64, 500))}
            if not model.ordered and model.ledger != "off":  # it would not say what it dropped
                queue["kind"] = chance.choice(("fifo", "lifo", {"priority": ".n"}))
                self.may_drop = chance.random() < 0.15
                if self.may_drop:
                    queue["when_full"] = chance.choice(("drop_oldest", "drop_newest"))
            keys["queue"] = queue
        if chance.random() < 0.1:
            keys["rate"] = f"{chance.choice((300, 2000))}/s"
        if chance.random() < 0.3:
            keys["on_error"] = chance.choice(("isolate", "fail_fast", {"tolerate": 3},
                                              {"tolerate": 100_000, "then": "pause"}))
        keys["retry"] = {"attempts": chance.choice((3, 4, 6)), "backoff": "2ms..20ms"}
        return keys

    def apply(self, item):
        if self.when is not None and not self.when(item):
            return [item]
        return self.work(item)

    def yaml(self, folder, calm):
        keys = {**self.keys, **self.component(folder)}
        if calm:
            keys.update(CALM)
            keys["queue"] = {**keys.get("queue", {}), "when_full": "wait"}
        return keys

    def trailed(self, item):
        return {**item, "trail": item.get("trail", []) + [self.name]}


class Jq(Stage):
    def component(self, _):
        return {"jq": f'.trail += ["{self.name}"]'}

    def work(self, item):
        return [self.trailed(item)]


class Filter(Stage):
    def __init__(self, chance, name, model):
        super().__init__(chance, name, model)
        self.condition, self.holds = chance.choice(CONDITIONS)

    def component(self, _):
        return {"filter": self.condition}

    def work(self, item):
        return [item] if self.holds(item) else Outcome("filtered", item, self.name)


class Refusing(Stage):
    """A jq program that ends in an error for every seventh item."""

    def component(self, _):
        return {"jq": 'if .n % 7 == 3 then error("refused") else . end'}

    def work(self, item):
        if item["n"] % 7 == 3:
            return Outcome("dead_lettered", item, self.name, "refused")
        return [item]


class Split(Stage):
    """Into none, itself, two or three. The items of one that is split know which they are."""

    def component(self, _):
        return {"jq": f'.trail += ["{self.name}"] | (.n % 4) as $of | if $of == 1 then .'
                      ' else range($of) as $part | .parts += [$part] end'}

    def work(self, item):
        of, item = item["n"] % 4, self.trailed(item)
        if of == 0:
            return Outcome("filtered", item, self.name)
        if of == 1:
            return [item]
        return [{**item, "parts": item.get("parts", []) + [part]} for part in range(of)]


class Exec(Stage):
    """A handler in Python that has a fate for each item."""

    def __init__(self, chance, name, model):
        super().__init__(chance, name, model)
        self.seed = chance.randrange(2**32)
        self.in_flight = chance.choice((1, 1, 4, 16))
        self.shares = {"late": 300}
        for fate, share in (("fails_twice", 50), ("declines", 30), ("fails_always", 10),
                            ("crashes_once", 8), ("poison", 4), ("rubbish_once", 8),
                            ("answers_twice", 8), ("hangs_once", 2), ("hangs_always", 1)):
            if chance.random() < 0.35:
                self.shares[fate] = share
        self.keys["timeout"] = f"{int(2000 * model.patience)}ms"
        self.keys.setdefault("workers", chance.randint(1, 4))
        if self.in_flight > 1 and "answers_twice" in self.shares:
            self.shares["answers_twice"] = 40  # with others in hand it may be taken for theirs

    def component(self, folder):
        told = {"name": self.name, "seed": self.seed, "shares": self.shares,
                "folder": str(folder / "marks")}
        return {"exec": {"command": [sys.executable, str(HERE / "fated.py"), json.dumps(told)],
                         "in_flight": self.in_flight}}

    def work(self, item):
        fate = fate_of(self.shares, self.seed, item)
        if fate in DEADLY and not self.mended:
            return Outcome("dead_lettered", item, self.name, DEADLY[fate])
        return [self.trailed(item)]


STAGES = ((3, Jq), (2, Filter), (1, Refusing), (2, Split), (4, Exec))


# --- sources: how the items come in ---------------------------------------------------------------

class Ndjson:
    form = "ndjson"
    first_stages = ()
    paths = {".id": ".id", ".k": ".k"}  # as the source gives them

    @staticmethod
    def encode(item):
        return json.dumps(item, ensure_ascii=item["n"] % 2 == 0).encode()


class JsonLines(Ndjson):
    """Lines of a log that are JSON, and a stage that knows it."""
    form = "lines"
    first_stages = ({"parse": {"format": "json"}, "name": "parse"},)
    paths = {path: f".line | fromjson? | {path}" for path in Ndjson.paths}


class RegexLines(JsonLines):
    paths = {".id": '.line | split(" ") | .[0]', ".k": '.line | split(" ") | .[1]'}
    first_stages = ({"parse": {"regex": r"^(?<id>\S+) (?<k>\S+) (?<n>\d+) (?<sum>\S+) (?<text>.*)$",
                               "types": {"n": "int"}}, "name": "parse"},)

    @staticmethod
    def encode(item):
        return " ".join((item["id"], item["k"], str(item["n"]), item["sum"],
                         item["text"])).encode()


SOURCES = ((4, Ndjson), (1, JsonLines), (1, RegexLines))
SINKS = ((4, "sqlite"), (3, "file"), (1, "stdout"), (1, "null"))


class Model:
    """A pipeline, its items, and what must come of them."""

    def __init__(self, seed, patience=1.0):
        self.seed, self.patience = seed, patience
        self.chance = chance = random.Random(f"pipeline {seed}")
        self.name = chance.choice(("orders", "a-b_c", "x1"))
        self.order = chance.choice((None, None, "key", "key", "source"))
        self.ordered = self.order is not None
        self.holds_keys = self.order == "key" and chance.random() < 0.4
        self.source = self.choose(SOURCES)
        self.sink = self.choose(SINKS)
        self.partitions = [f"in-{n}.log" for n in range(chance.choice((1, 1, 1, 2, 3)))]
        self.keys = [f"k{n}" for n in range(chance.choice((1, 4, 30)))]
        self.ledger = chance.choice(("full", "full", "full", "failures", "off"))
        self.window = chance.choice((3, 20, 200, 10_000))
        self.has_id = chance.random() < 0.8
        self.stop_timeout = chance.choice(("1s", "3s", "25s"))
        self.batch = {"count": chance.choice((1, 7, 100, 1000)),
                      "within": chance.choice(("1ms", "20ms", "50ms"))}
        self.threads = chance.choice((1, 1, 1, 2, 4))
        self.has_letter_file = chance.random() < 0.3
        self.is_watched = chance.random() < 0.2
        self.stages = []
        for n in range(chance.choice((0, 1, 1, 2, 2, 3, 4))):
            kind = self.choose(STAGES)
            self.stages.append(kind(chance, f"{kind.__name__.lower()}{n}", self))
        self.items = {}  # by id
        self.sizes = dict.fromkeys(self.partitions, 0)

    def choose(self, weighted):
        weights, what = zip(*weighted)
        return self.chance.choices(what, weights)[0]

    # --- the pipeline file ---

    def pipeline(self, folder, calm=False):
        keys = {"name": self.name, "state": "state", "ledger": {"mode": self.ledger},
                "window": {"items": self.window}, "stop_timeout": self.stop_timeout}
        if self.has_id:
            keys["id"] = self.source.paths[".id"]
        if self.order == "key":
            keys["order_by"] = self.source.paths[".k"]
            keys["after_dead_letter"] = "hold_key" if self.holds_keys else "continue"
        elif self.order == "source":
            keys["order"] = "source"
        keys["source"] = {"file": {"path": self.partitions, "format": self.source.form}}
        keys["stages"] = [*self.source.first_stages,
                          *(stage.yaml(folder, calm) for stage in self.stages)]
        keys["sink"] = {**self.sink_component(), "batch": self.batch}
        if self.threads > 1:
            keys["threads"] = self.threads
        if self.is_watched:
            keys["admin"] = {"listen": "127.0.0.1:0"}
        if self.has_letter_file:
            keys["dead_letters"] = {"file": "out/dead.ndjson"}
        return keys

    def sink_component(self):
        return {"sqlite": {"sqlite": {"file": "out/out.db", "table": "items"}},
                "file": {"file": {"path": "out/out.ndjson"}},
                "stdout": {"stdout": {}}, "null": {"null": {}}}[self.sink]

    # --- the items ---

    def make(self, count):
        """So many new items, each with what must come of it, and the bytes to append."""
        added = {}
        for _ in range(count):
            partition = self.chance.choice(self.partitions)
            item, line = self.next_item()
            offset = self.sizes[partition]
            self.sizes[partition] += len(line) + 1
            key = item["k"] if not line.startswith(RUBBISH) else None
            made = Item(item["id"], partition, offset, key, item["n"], line)
            made.outcomes = self.outcomes_of(made, item)
            self.items[made.id] = made
            added.setdefault(partition, []).append(line + b"\n")
        return {partition: b"".join(lines) for partition, lines in added.items()}

    def next_item(self, key=None):
        n = len(self.items)
        identity = f"i{self.seed}-{n}"
        item = payload(self.seed, identity, key or self.chance.choice(self.keys), n)
        line = self.source.encode(item)
        if self.chance.random() < 0.01:
            line = RUBBISH + identity.encode()
        return item, line

    def make_probe(self):
        """An item that comes at the end, of a key of its own, and gets through."""
        for _ in range(100_000):
            item, line = self.next_item(key="probe")
            partition = self.partitions[0]
            made = Item(item["id"], partition, self.sizes[partition], "probe", item["n"], line)
            made.outcomes = self.outcomes_of(made, item)
            self.items[made.id] = made
            if all(one.outcome == "delivered" for one in made.outcomes):
                self.sizes[partition] += len(line) + 1
                return made, {partition: line + b"\n"}
            self.items[made.id] = None  # the number is taken, and nobody was told of it
        return None, {}

    def outcomes_of(self, made, item):
        if made.line.startswith(RUBBISH):
            where = "parse" if self.source.first_stages else "source"
            return [Outcome("dead_lettered", {"id": made.id}, where)]
        return self.through(0, item)

    def mend(self):
        """From here on the handlers do to each item what they should."""
        for stage in self.stages:
            stage.mended = True
        for item in self.obligations():
            item.outcomes = [leaf for old in item.outcomes for leaf in self.outcomes_now(old)]

    def outcomes_now(self, old):
        """Of a dead letter that is replayed: at the stage where it failed, as it was there."""
        at = [n for n, stage in enumerate(self.stages) if stage.name == old.stage]
        return self.through(at[0], old.item) if old.outcome == "dead_lettered" and at else [old]

    def through(self, at, item):
        if at == len(self.stages):
            return [Outcome("delivered", item)]
        made = self.stages[at].apply(item)
        if isinstance(made, Outcome):
            return [made]
        return [leaf for each in made for leaf in self.through(at + 1, each)]

    def obligations(self):
        return [item for item in self.items.values() if item is not None]
