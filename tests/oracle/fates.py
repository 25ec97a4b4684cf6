"""What a handler does with an item: drawn from the item's id, so that the judge knows it too."""
import hashlib

# Answers that come sooner or later: the item gets through.
HARMLESS = ("ok", "late", "fails_twice", "crashes_once", "rubbish_once", "answers_twice")
# The item is a dead letter in the end; with the words that its error must have.
DEADLY = {"declines": "declined", "fails_always": "not now", "poison": "poison",
          "hangs_always": "timed out"}
HANGS_ONCE = "hangs_once"  # harmless, and slow


def draw(*what):
    """A number that depends on nothing else."""
    text = "\0".join(map(str, what)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big")


def fate_of(shares, seed, item):
    """`shares`: of 1000 items how many have each fate; all others are answered at once."""
    at = draw("fate", seed, item["id"], item.get("parts", [])) % 1000
    for name, share in shares.items():
        if at < share:
            return name
        at -= share
    return "ok"
