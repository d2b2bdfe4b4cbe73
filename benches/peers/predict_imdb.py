#!/usr/bin/env python3
"""Time `seqzoo predict --file` on movie reviews alternately with the same network in PyTorch, on the same threads.

Usage: predict_imdb.py RUN TEXTS [--model lstm] [--seqzoo target/release/seqzoo] [--pairs 5] [--threads 2]
RUN is a run of the recipe `imdb`, of an LSTM, RNN or GRU of one layer; TEXTS has one text per line, or is aclImdb_train.tar.gz, whose
25,000 reviews are read. Needs: pip install torch numpy.

The peer has the weights of the run's best checkpoint, reads, tokenizes and encodes the texts by the same rule, and writes a label and its
probability per line. It tokenizes in as many processes as threads, predicts in batches of similar length, and takes the fastest, on a
sample, of padded and packed batches of several sizes, computed one after another on all threads or side by side on one thread each.
PyTorch has no GRU with the reset gate before the product: its own one has the same sizes, but other predictions.

Time is that of the whole process of seqzoo, from its start, and of the peer without imports, starting processes and loading weights.
The last line is one JSON object: the times in seconds, their medians, ratio (of PyTorch's median to seqzoo's: above 1, seqzoo is faster),
the share of equal labels, the largest difference of a probability, and the processor.
"""
import argparse, array, concurrent.futures, json, multiprocessing, os, pathlib, re, statistics, struct, subprocess, sys, tarfile
import tempfile, time, unicodedata
import numpy, torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

here = pathlib.Path(__file__).resolve().parent
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("run", type=pathlib.Path)
parser.add_argument("texts", type=pathlib.Path)
parser.add_argument("--model", help="a model of the run [default: the first]")
parser.add_argument("--seqzoo", default=str(here.parent.parent / "target/release/seqzoo"))
parser.add_argument("--pairs", type=int, default=5)
parser.add_argument("--threads", type=int, default=2)
args = parser.parse_args()

ROWS = [32, 64, 128, 256, 512]
MAX_TOKENS = 1 << 16  # of a batch, padding included
SAMPLE = 1_500
PIECES = 16  # of the file, to tokenize side by side
TOKEN = re.compile(r"[\w']+|[.,!?]")


def best_checkpoint(folder):
    """The checkpoint with the best validation metric, else the latest."""
    steps = {int(path.name.split("-")[1]): path for path in sorted(folder.glob("checkpoints/step-*"))}
    if not steps:
        sys.exit(f"{folder} has no checkpoint")
    latest = steps[max(steps)]
    metric = json.loads((latest / "about.json").read_text())["settings"]["recipe"]["stopping"].get("metric", "accuracy")
    sign = -1 if metric == "loss" else 1
    epochs = [epoch for epoch in json.loads((latest / "progress.json").read_text())["history"] if epoch["step"] in steps]
    return steps[max(epochs, key=lambda epoch: sign * epoch["validation"][metric])["step"]] if epochs else latest


def read_tensors(path):
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)
    tensor = lambda at: numpy.frombuffer(data[8 + size + at["data_offsets"][0] : 8 + size + at["data_offsets"][1]], "<f4").reshape(at["shape"])
    return {name: torch.from_numpy(tensor(at).copy()) for name, at in header.items()}


def tokens(text):
    """The words (letters, digits, apostrophes) in lower case and the marks . , ! ? of a text."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text.replace("\ufeff", ""))
    return TOKEN.findall(text.replace("<br />", " ").lower().replace("_", " "))


def encode(span):
    """Token ids of the lines between two positions of the file, and their numbers."""
    start, end = span
    with open(texts, "rb") as file:
        file.seek(start)
        lines = file.read(end - start).decode().split("\n")[:-1]
    ids, lengths, get = array.array("i"), [], index.get
    for line in lines:
        words = tokens(line)
        words = words[-limit:] if keeps_last else words[:limit]
        ids.extend([get(word, 1) for word in words])
        lengths.append(len(words))
    return numpy.frombuffer(ids, numpy.int32), lengths


def spans():
    """Pieces of the file that end with a line."""
    size, ends = os.path.getsize(texts), []
    with open(texts, "rb") as file:
        for piece in range(1, PIECES):
            file.seek(piece * size // PIECES)
            file.readline()
            ends.append(file.tell())
    ends = sorted(set(ends) | {0, size})
    return list(zip(ends, ends[1:]))


class Direction(nn.Module):
    """A recurrent layer in one direction: the final state of each sequence."""

    def __init__(self, kind, weights):
        super().__init__()
        inputs, hidden = weights["weights.weight_ih"].shape[0], weights["weights.weight_hh"].shape[0]
        self.layer = {"Rnn": nn.RNN, "Lstm": nn.LSTM, "Gru": nn.GRU}[kind](inputs, hidden, batch_first=True)
        recurrent = [weights[name] for name in ("weights.weight_hh", "weight_hn") if name in weights]
        with torch.no_grad():
            self.layer.weight_ih_l0.copy_(weights["weights.weight_ih"].T)
            self.layer.weight_hh_l0.copy_(torch.cat(recurrent, 1).T)
            self.layer.bias_ih_l0.copy_(weights["weights.bias"])
            self.layer.bias_hh_l0.zero_()

    def forward(self, inputs, lengths, is_packed):
        if is_packed:
            state = self.layer(pack_padded_sequence(inputs, lengths, batch_first=True))[1]
            return (state[0] if isinstance(state, tuple) else state)[-1]
        return self.layer(inputs)[0][torch.arange(len(lengths)), lengths - 1]


class Classifier(nn.Module):
    def __init__(self, weights):
        super().__init__()
        layers = {name.split(".")[2] for name in weights if name.startswith("stack.layers.")}
        kinds = {name.split(".")[3] for name in weights if name.startswith("stack.layers.")}
        kind = kinds.pop() if layers == {"0"} and len(kinds) == 1 else ""
        self.cell = kind.removeprefix("Bi")
        if self.cell not in ("Rnn", "Lstm", "Gru"):
            sys.exit(f"model {model}: expected one layer of an RNN, an LSTM or a GRU")
        self.embedding = nn.Embedding.from_pretrained(weights["embedding.weight"])
        self.directions = nn.ModuleList()
        for direction in ["forward", "backward"] if kind.startswith("Bi") else ["forward"]:
            prefix = f"stack.layers.0.{kind}.{direction}."
            own = {name[len(prefix) :]: tensor for name, tensor in weights.items() if name.startswith(prefix)}
            self.directions.append(Direction(self.cell, own))
        self.weight, self.bias = weights["output.weight"], weights["output.bias"]

    def forward(self, rows, lengths, is_packed):
        """`rows` are the tokens of each direction, in its order."""
        states = [layer(self.embedding(row), lengths, is_packed) for layer, row in zip(self.directions, rows)]
        return torch.softmax(torch.cat(states, 1) @ self.weight + self.bias, 1)


class Encoded:
    """Token ids of all texts, one after another."""

    def __init__(self, parts):
        self.ids = torch.from_numpy(numpy.concatenate([ids for ids, _ in parts])).long()
        self.lengths = torch.tensor([length for _, lengths in parts for length in lengths])
        self.starts = torch.cumsum(self.lengths, 0) - self.lengths

    def batches(self, chosen, rows):
        """The chosen texts, unless they are empty, from the longest to the shortest, in batches."""
        order = chosen[torch.argsort(self.lengths[chosen], descending=True, stable=True)]
        order = order[self.lengths[order] > 0]
        at = 0
        while at < len(order):
            size = max(1, min(rows, MAX_TOKENS // int(self.lengths[order[at]])))
            yield order[at : at + size]
            at += size

    def rows(self, batch):
        """Tokens of a batch, forward and backward, and their numbers."""
        lengths, starts = self.lengths[batch], self.starts[batch].unsqueeze(1)
        steps = torch.arange(int(lengths[0])).unsqueeze(0)
        is_valid = steps < lengths.unsqueeze(1)
        last = starts + lengths.unsqueeze(1) - 1
        pick = lambda at: torch.where(is_valid, self.ids[at.clamp(0, len(self.ids) - 1)], 0)
        return [pick(starts + steps), pick(last - steps)][: len(network.directions)], lengths


def predict(encoded, chosen, is_packed, rows, side_by_side):
    """Probabilities of the labels of the chosen texts; zeros for the others."""
    found = torch.zeros(len(encoded.lengths), len(labels))

    def compute(batch):
        with torch.inference_mode():
            tokens, lengths = encoded.rows(batch)
            found[batch] = network(tokens, lengths, is_packed)

    batches = encoded.batches(chosen, rows)
    if side_by_side:
        torch.set_num_threads(1)
        with concurrent.futures.ThreadPoolExecutor(args.threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            list(pool.map(compute, batches))
    else:
        torch.set_num_threads(args.threads)
        for batch in batches:
            compute(batch)
    return found


def seconds(work):
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def tune(encoded):
    """The fastest way to predict a sample."""
    sample = torch.randperm(len(encoded.lengths), generator=torch.Generator().manual_seed(0))[:SAMPLE]
    ways = [(packed, rows, side) for packed in (False, True) for rows in ROWS for side in (False, True)]
    once = lambda way: seconds(lambda: predict(encoded, sample, *way))[0]
    first = {way: once(way) for way in ways}
    taken = {way: min(once(way) for _ in range(3)) for way in sorted(ways, key=first.get)[:5]}
    for (packed, rows, side), time in sorted(taken.items(), key=lambda item: item[1])[:3]:
        print(f"  {'packed' if packed else 'padded'} batches of {rows}, {'side by side' if side else 'one after another'}: {time:.2f} s", file=sys.stderr)
    return min(taken, key=taken.get)


def peer(pool, way, out):
    """Reads, tokenizes and encodes the texts, predicts, and writes a line per text."""
    encoded = Encoded(pool.map(encode, spans(), chunksize=1))
    found = predict(encoded, torch.arange(len(encoded.lengths)), *way)
    best, label = found.max(1)
    lines = [f"{labels[label]:<10} {best:.4f}\n" if best > 0 else "\n" for best, label in zip(best.tolist(), label.tolist())]
    with open(out, "w") as file:
        file.writelines(lines)


def program(out):
    command = [args.seqzoo, "predict", str(args.run), "--model", model, "--file", texts]
    with open(out, "w") as file:
        subprocess.run(command, stdout=file, stderr=subprocess.DEVNULL, check=True)


def agreement(one, other):
    """Share of equal labels, and the largest difference of the probabilities of equal ones."""
    read = lambda path: [line.split(None, 2)[:2] for line in open(path, encoding="utf-8")]
    pairs = [(a, b) for a, b in zip(read(one), read(other)) if len(a) == len(b) == 2]
    equal = [abs(float(a[1]) - float(b[1])) for a, b in pairs if a[0] == b[0]]
    return len(equal) / max(len(pairs), 1), max(equal, default=0.0)


def processor():
    try:
        return re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())[1].strip()
    except (OSError, TypeError):
        return "unknown"


folder = tempfile.TemporaryDirectory()
texts = str(args.texts)
if texts.endswith((".tar.gz", ".tgz")):
    texts = os.path.join(folder.name, "reviews.txt")
    with tarfile.open(args.texts) as tar, open(texts, "w", encoding="utf-8") as out:
        for member in tar:
            if re.search(r"/(pos|neg)/[^/]*\.txt$", member.name):
                out.write(" ".join(tar.extractfile(member).read().decode().split()) + "\n")
elif open(texts, "rb").read()[-1:] != b"\n":
    sys.exit(f"{texts}: the last line has no line end")
if hasattr(os, "sched_setaffinity"):  # Neither side uses more cores than threads.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])

model = args.model or json.loads((args.run / "env.json").read_text())["settings"]["recipe"]["models"][0]
checkpoint = best_checkpoint(args.run / model)
recipe = json.loads((checkpoint / "about.json").read_text())["settings"]["recipe"]
codec = json.loads((checkpoint / "encoder.json").read_text())
labels, limit = codec["labels"], codec["encoder"]["max_tokens"]
keeps_last = codec["encoder"]["keep"] == "last"
index = {word: number for number, word in enumerate(codec["encoder"]["vocabulary"], 2)}
if codec["encoder"]["level"] != "words" or recipe["task"]["pooling"] != "last":
    sys.exit(f"{args.run}: expected task.level = words and task.pooling = last, as in the recipe imdb")

# Before PyTorch starts threads of its own.
pool = multiprocessing.get_context("fork").Pool(args.threads)
network = Classifier(read_tensors(checkpoint / "weights.safetensors")).eval()
print("tuning the batches of PyTorch …", file=sys.stderr, flush=True)
encoded = Encoded(pool.map(encode, spans(), chunksize=1))
way = tune(encoded)
ours, theirs = os.path.join(folder.name, "seqzoo"), os.path.join(folder.name, "pytorch")
sides = {"seqzoo": lambda: program(ours), "pytorch": lambda: peer(pool, way, theirs)}
times = {name: [] for name in sides}
for pair in range(args.pairs):
    for name in list(sides)[:: 1 if pair % 2 == 0 else -1]:
        times[name].append(round(seconds(sides[name])[0], 3))
    print(f"pair {pair + 1} of {args.pairs}: seqzoo {times['seqzoo'][-1]:.2f} s, PyTorch {times['pytorch'][-1]:.2f} s", file=sys.stderr, flush=True)
pool.terminate()
medians = {name: statistics.median(found) for name, found in times.items()}
is_same = network.cell != "Gru"
equal, difference = agreement(ours, theirs)
print(json.dumps({
    "texts": len(encoded.lengths), "tokens": int(encoded.lengths.sum()), "model": model, "threads": args.threads,
    "seconds": times, "median_seconds": medians, "ratio": round(medians["pytorch"] / medians["seqzoo"], 3),
    "same_network": is_same, "equal_labels": round(equal, 5) if is_same else None,
    "largest_difference": round(difference, 4) if is_same else None,
    "peer": {"torch": torch.__version__, "packed": way[0], "rows": way[1], "side_by_side": way[2]},
    "processor": processor(),
}))
