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
    sink: str = ""  # of one that is delivered; without a name the pipeline's own

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
    refuses = False  # some items for good, also when they are replayed
    when = None
    chains = ()  # of a fork: its branches
    onward = None  # what comes of an item behind this stage: a list of outcomes

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

    @classmethod
    def fits(cls, model, is_last, depth):
        """Whether it may stand there; depth: how many forks it stands in."""
        return True

    def link(self, onward):
        self.onward = onward

    def run(self, item):
        """What comes of an item that is here."""
        made = self.apply(item)
        if isinstance(made, Outcome):
            return [made]
        return [leaf for each in made for leaf in self.onward(each)]

    def apply(self, item):
        if self.when is not None and not self.when(item):
            return [item]
        return self.work(item)

    def yaml(self, folder, calm):
        """Its entries in the list of stages."""
        keys = {**self.keys, **self.component(folder)}
        if calm:
            keys.update(CALM)
            keys["queue"] = {**keys.get("queue", {}), "when_full": "wait"}
        return [keys]

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
    refuses = True

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


# --- where ways part ------------------------------------------------------------------------------

class Chain:
    """A branch: some stages, and a sink of its own or none: then it goes on behind its fork."""

    def __init__(self, chance, name, model, depth, sink, kinds=None):
        self.model, self.sink = model, sink
        self.stages = model.make_stages(chance.choice((0, 0, 1, 2)), f"{name}-", depth,
                                        bool(sink), kinds)

    def link(self, onward):
        return link(self.stages, self.model.ends_in(self.sink) if self.sink else onward)

    def yaml(self, folder, calm, first=()):
        stages = [*first, *yaml_of(self.stages, folder, calm)]
        return [*stages, self.model.sink_yaml(self.sink)] if self.sink else stages


def link(stages, onward):
    """The way through all of them."""
    for stage in reversed(stages):
        stage.link(onward)
        onward = stage.run
    return onward


def yaml_of(stages, folder, calm):
    return [entry for stage in stages for entry in stage.yaml(folder, calm)]


class Fork(Stage):
    def __init__(self, chance, name, model):
        self.name, self.model, self.keys = name, model, {"name": name}
        if chance.random() < 0.3:
            self.keys["queue"] = {"size": chance.choice((1, 3, 64))}

    def own_sink(self, chance):
        return self.model.another_sink(chance, f"{self.name}s{len(self.chains)}")


class Route(Fork):
    """With an order no branch may go on, so it is the last stage, and has the pipeline's sink."""
    RISKY = ('if .n % 11 == 5 then error("astray") else .n % 2 == 0 end',
             lambda item: item["n"] % 2 == 0)

    def __init__(self, chance, name, model, depth):
        super().__init__(chance, name, model)
        self.conditions = chance.sample((*CONDITIONS, self.RISKY), chance.choice((1, 2, 3)))
        self.refuses = self.RISKY in self.conditions
        self.chains, self.other = [], None
        for _ in self.conditions:
            goes_on = not model.ordered and chance.random() < 0.5
            sink = None if goes_on else self.own_sink(chance)
            self.chains.append(Chain(chance, f"{name}b{len(self.chains)}", model, depth + 1, sink))
        if model.ordered:
            model.has_sink_behind = False
            self.other = Chain(chance, f"{name}e", model, depth + 1, model.SINK)
        elif all(chain.sink for chain in self.chains) or chance.random() < 0.5:
            self.other = Chain(chance, f"{name}e", model, depth + 1, None)
        if self.other:
            self.chains.append(self.other)

    @classmethod
    def fits(cls, model, is_last, depth):
        return depth == 0 and is_last if model.ordered else depth < 2

    def link(self, onward):
        self.ways = [chain.link(onward) for chain in self.chains]

    def run(self, item):
        for way, (_, holds) in zip(self.ways, self.conditions):
            if holds is self.RISKY[1] and item["n"] % 11 == 5:
                return [Outcome("dead_lettered", item, self.name, "astray")]
            if holds(item):
                return way(item)
        return self.ways[-1](item) if self.other else [Outcome("filtered", item, self.name)]

    def yaml(self, folder, calm):
        keys = {**self.keys, "route": [
            {"when": when, "to": chain.yaml(folder, calm)}
            for (when, _), chain in zip(self.conditions, self.chains)]}
        return [{**keys, "else": self.other.yaml(folder, calm)} if self.other else keys]


class Tee(Fork):
    """Each branch begins with a stage that tells the item which child it is."""

    def __init__(self, chance, name, model, depth):
        super().__init__(chance, name, model)
        self.chains, self.required = [], []
        for n in range(chance.choice((1, 1, 2, 3))):
            required = model.ledger == "off" or chance.random() < 0.7
            self.required.append(required)
            self.chains.append(Chain(chance, f"{name}b{n}", model, depth + 1,
                                     self.own_sink(chance), None if required else ((1, Jq),)))
            if not required:
                for stage in self.chains[-1].stages:  # it may not end the run
                    stage.keys.pop("on_error", None)
                model.may_drop.update(
                    {f"{name}p{n}", self.chains[-1].sink},
                    (stage.name for stage in self.chains[-1].stages))

    @classmethod
    def fits(cls, model, is_last, depth):
        return depth < 2 and not model.holds_keys  # whose children are ahead is not settled

    def link(self, onward):
        self.ways = [*(chain.link(None) for chain in self.chains), onward]

    def run(self, item):
        return [leaf for n, way in enumerate(self.ways) for leaf in way(self.child(item, n))]

    @staticmethod
    def child(item, n):
        return {**item, "parts": item.get("parts", []) + [n]}

    def tells(self, n):
        return {"jq": f".parts += [{n}]", "name": f"{self.name}p{n}"}

    def yaml(self, folder, calm):
        tee = [{"to": chain.yaml(folder, calm, [self.tells(n)]), "required": required}
               for n, (chain, required) in enumerate(zip(self.chains, self.required))]
        return [{**self.keys, "tee": tee}, self.tells(len(tee))]


class Batch(Stage):
    """Before a sink, which has a row for each batch, or its items one by one."""

    def __init__(self, chance, name, model):
        self.name, self.keys = name, {"name": name}
        self.fields = {"count": chance.randint(1, min(model.window, 200))}
        if chance.random() < 0.5:
            self.fields["within"] = chance.choice(("1ms", "20ms", "10s"))
        self.apart = chance.random() < 0.4
        self.model = model

    @classmethod
    def fits(cls, model, is_last, depth):
        return is_last and not model.ordered

    def link(self, onward):
        super().link(onward)
        if self.apart:  # after a kill the whole batch is done again
            self.model.repeats.update(leaf.sink for leaf in onward({"id": "any", "n": 0}))

    def component(self, _):
        return {"batch": self.fields}

    def work(self, item):
        return [item]

    def yaml(self, folder, calm):
        behind = {"split": "."} if self.apart else {"jq": "{all: .}"}
        return [{**self.keys, **self.component(folder)}, {**behind, "name": f"{self.name}all"}]


STAGES = ((3, Jq), (2, Filter), (1, Refusing), (2, Split), (4, Exec), (2, Route), (2, Tee),
          (1, Batch))


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
    SINK = "items"  # the pipeline's own

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
        self.rotation = random.Random(f"rotation {seed}").choice(
            ({}, {}, {"rotate_size": "300B"}, {"rotate_size": "5KB", "rotate_every": "1s"}))
        self.sinks = {self.SINK: self.sink}  # the kind of each
        self.repeats = set()  # sinks that may have a row twice, whatever their kind
        self.may_drop = set()  # stages and sinks
        self.has_sink_behind = True
        self.stages = self.make_stages(chance.choice((0, 1, 1, 2, 2, 3, 4)), "", 0, True)
        self.way = link(self.stages, self.ends_in(self.SINK))
        self.may_drop.update(stage.name for stage in self.every_stage() if stage.may_drop)
        self.items = {}  # by id
        self.sizes = dict.fromkeys(self.partitions, 0)

    def choose(self, weighted):
        weights, what = zip(*weighted)
        return self.chance.choices(what, weights)[0]

    def make_stages(self, count, prefix, depth, before_a_sink, kinds=None):
        stages = []
        for n in range(count):
            is_last = before_a_sink and n == count - 1
            kind = self.choose([each for each in kinds or STAGES
                                if each[1].fits(self, is_last, depth)])
            more = (depth,) if issubclass(kind, (Route, Tee)) else ()
            stages.append(kind(self.chance, f"{prefix}{kind.__name__.lower()}{n}", self, *more))
        return stages

    def every_stage(self, stages=None):
        """Those in branches too."""
        for stage in self.stages if stages is None else stages:
            yield stage
            for chain in stage.chains:
                yield from self.every_stage(chain.stages)

    def another_sink(self, chance, name):
        """In the same database as the pipeline's own, or a file beside it."""
        self.sinks[name] = chance.choice(("sqlite", "file"))
        return name

    @staticmethod
    def ends_in(sink):
        return lambda item: [Outcome("delivered", item, sink=sink)]

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
                          *yaml_of(self.stages, folder, calm)]
        if self.has_sink_behind:
            keys["sink"] = self.sink_yaml(self.SINK)
        if self.threads > 1:
            keys["threads"] = self.threads
        if self.is_watched:
            keys["admin"] = {"listen": "127.0.0.1:0"}
        if self.has_letter_file:
            keys["dead_letters"] = {"file": "out/dead.ndjson"}
        return keys

    def sink_yaml(self, name):
        component = {"sqlite": {"file": "out/out.db", "table": name},
                     "file": {"path": f"out/{name}.ndjson", **self.rotation},
                     "stdout": {}, "null": {}}[self.sinks[name]]
        return {self.sinks[name]: component, "name": name, "batch": self.batch}

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
        return self.way(item)

    def mend(self):
        """From here on the handlers do to each item what they should."""
        for stage in self.every_stage():
            stage.mended = True
        for item in self.obligations():
            item.outcomes = [leaf for old in item.outcomes for leaf in self.outcomes_now(old)]

    def outcomes_now(self, old):
        """Of a dead letter that is replayed: at the stage where it failed, as it was there."""
        at = [stage for stage in self.every_stage() if stage.name == old.stage]
        return at[0].run(old.item) if old.outcome == "dead_lettered" and at else [old]

    def obligations(self):
        return [item for item in self.items.values() if item is not None]
