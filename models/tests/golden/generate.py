#!/usr/bin/env python3
"""Writes one JSON file per cell: PyTorch's results in f64 for three layers of it (unidirectional, bidirectional, two layers) on a
ragged batch.

Cells that torch.nn has run there, with packed sequences; the others run their equations step by step under autograd.
Weights, inputs and initial states are sines, so that no random generator is involved. Names and layout are seqzoo's.
Needs: pip install torch.  Usage: python models/tests/golden/generate.py
"""
import json, math, pathlib
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

BATCH, TIME, INPUT, HIDDEN, LENGTHS = 3, 5, 3, 4, [5, 2, 4]
torch.set_default_dtype(torch.float64)
salt = 0


def sines(*shape, scale=0.6):
    """Values exactly representable in f32, different at each call."""
    global salt
    salt += 1
    values = [math.sin(0.7 * k + 1.3 * salt) * scale for k in range(math.prod(shape))]
    return torch.tensor(values, dtype=torch.float32).double().view(*shape).requires_grad_()


def loss_weights(tensor, index):
    """cos(0.3 k + index), as in golden.rs."""
    return torch.tensor([math.cos(0.3 * k + index) for k in range(tensor.numel())]).view(tensor.shape)



def gru(p, x, h, c):
    xr, xu, xn = (x @ p["weights.weight_ih"] + p["weights.bias"]).split(HIDDEN, 1)
    hr, hu = (h @ p["weights.weight_hh"]).split(HIDDEN, 1)
    r, u = torch.sigmoid(xr + hr), torch.sigmoid(xu + hu)
    n = torch.tanh(xn + (r * h) @ p["weight_hn"])
    return (1 - u) * h + u * n, None


def peephole_lstm(p, x, h, c):
    i, f, g, o = (x @ p["weights.weight_ih"] + h @ p["weights.weight_hh"] + p["weights.bias"]).split(HIDDEN, 1)
    i, f = torch.sigmoid(i + p["peephole_i"] * c), torch.sigmoid(f + p["peephole_f"] * c)
    c = f * c + i * torch.tanh(g)
    return torch.sigmoid(o + p["peephole_o"] * c) * torch.tanh(c), c


def layer_norm_lstm(p, x, h, c):
    norm = lambda a, gain: nn.functional.layer_norm(a, a.shape[1:], gain)
    total = norm(x @ p["weights.weight_ih"], p["gain_ih"]) + norm(h @ p["weights.weight_hh"], p["gain_hh"])
    i, f, g, o = (total + p["weights.bias"]).split(HIDDEN, 1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(norm(c, p["gain_cell"]) + p["bias_cell"]), c


# name: (gates of W_ih, gates of W_hh, other vectors, other matrices, has a cell state, step or None if torch.nn has it)
CELLS = {
    "rnn": (1, 1, {}, {}, False, None),
    "relu-rnn": (1, 1, {}, {}, False, None),
    "lstm": (4, 4, {}, {}, True, None),
    "peephole-lstm": (4, 4, {"peephole_i": 1, "peephole_f": 1, "peephole_o": 1}, {}, True, peephole_lstm),
    "layer-norm-lstm": (4, 4, {"gain_ih": 4, "gain_hh": 4, "gain_cell": 1, "bias_cell": 1}, {}, True, layer_norm_lstm),
    "gru": (3, 2, {}, {"weight_hn": 1}, False, gru),
    "gru-reset-after": (3, 3, {"bias_hn": 1}, {}, False, None),
}


def parameters(cell, input_size):
    gates_ih, gates_hh, vectors, matrices, _, _ = CELLS[cell]
    named = {
        "weights.weight_ih": sines(input_size, gates_ih * HIDDEN),
        "weights.weight_hh": sines(HIDDEN, gates_hh * HIDDEN),
        "weights.bias": sines(gates_ih * HIDDEN),
    }
    named |= {name: sines(blocks * HIDDEN) for name, blocks in vectors.items()}
    return named | {name: sines(HIDDEN, HIDDEN) for name in matrices}


def by_steps(step, p, x, state, backward):
    """Applies the equations over time; a row keeps its state beyond its length."""
    (h, c), outputs = state, [None] * TIME
    for t in reversed(range(TIME)) if backward else range(TIME):
        new_h, new_c = step(p, x[:, t], h, c)
        valid = torch.tensor([[t < length] for length in LENGTHS])
        h = torch.where(valid, new_h, h)
        c = None if new_c is None else torch.where(valid, new_c, c)
        outputs[t] = torch.where(valid, h, torch.zeros_like(h))
    return torch.stack(outputs, 1), (h, c)


def by_torch(cell, layers, x, states):
    """Applies the torch.nn module to a packed batch; `layers` and `states` are indexed by layer, then by direction."""
    kinds = {"rnn": nn.RNN, "relu-rnn": nn.RNN, "lstm": nn.LSTM, "gru-reset-after": nn.GRU}
    options = {"nonlinearity": "relu"} if cell == "relu-rnn" else {}
    directions = len(layers[0])
    module = kinds[cell](INPUT, HIDDEN, len(layers), batch_first=True, bidirectional=directions == 2, **options)
    named = {}
    for l, cells in enumerate(layers):
        for d, p in enumerate(cells):
            suffix = f"_l{l}" + ("_reverse" if d else "")
            second = torch.zeros_like(p["weights.bias"])
            if cell == "gru-reset-after":
                second = torch.cat([second[: 2 * HIDDEN], p["bias_hn"]])
            named |= {"weight_ih" + suffix: p["weights.weight_ih"].T, "weight_hh" + suffix: p["weights.weight_hh"].T,
                      "bias_ih" + suffix: p["weights.bias"], "bias_hh" + suffix: second}
    flat = [state for cells in states for state in cells]
    initial = torch.stack([h for h, _ in flat])
    if cell == "lstm":
        initial = (initial, torch.stack([c for _, c in flat]))
    packed = pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)
    packed, last = torch.func.functional_call(module, named, (packed, initial))
    outputs, _ = pad_packed_sequence(packed, batch_first=True, total_length=TIME)
    h, c = last if cell == "lstm" else (last, [None] * len(flat))
    last = [(h[k], c[k]) for k in range(len(flat))]
    return outputs, [last[k : k + directions] for k in range(0, len(last), directions)]


def case(cell, directions, depth):
    step, has_cell = CELLS[cell][5], CELLS[cell][4]
    x = sines(BATCH, TIME, INPUT)
    widths = [INPUT] + [HIDDEN * directions] * (depth - 1)
    layers = [[parameters(cell, width) for _ in range(directions)] for width in widths]
    states = [[(sines(BATCH, HIDDEN), sines(BATCH, HIDDEN) if has_cell else None) for _ in range(directions)]
              for _ in range(depth)]
    if step is None:
        outputs, last = by_torch(cell, layers, x, states)
    else:
        outputs, last = x, []
        for cells, starts in zip(layers, states):
            results = [by_steps(step, p, outputs, s, d == 1) for d, (p, s) in enumerate(zip(cells, starts))]
            outputs = torch.cat([o for o, _ in results], 2)
            last.append([s for _, s in results])
    inputs = {"input": x}
    finals = {}
    for l in range(depth):
        for d, direction in enumerate(["forward", "backward"][:directions]):
            for k, name in enumerate(["hidden", "cell"][: 1 + has_cell]):
                inputs[f"initial.{l}.{direction}.{name}"] = states[l][d][k]
                finals[f"{l}.{direction}.{name}"] = last[l][d][k]
            inputs |= {f"layers.{l}.{direction}.{name}": p for name, p in layers[l][d].items()}
    loss = (outputs * loss_weights(outputs, 0)).sum()
    for index, final in enumerate(finals.values(), 1):
        loss = loss + (final * loss_weights(final, index)).sum()
    gradients = torch.autograd.grad(loss, list(inputs.values()))
    array = lambda t: {"shape": list(t.shape), "values": [float(f"{v:.9g}") for v in t.detach().flatten().tolist()]}
    arrays = lambda named: {name: array(t) for name, t in named.items()}
    return {"architecture": ("bi" if directions == 2 else "") + cell, "hidden_sizes": [HIDDEN] * depth, "lengths": LENGTHS,
            "inputs": arrays(inputs), "outputs": array(outputs), "finals": arrays(finals),
            "gradients": arrays(dict(zip(inputs, gradients)))}


if __name__ == "__main__":
    for number, cell in enumerate(CELLS):
        salt = 1000 * number
        cases = [case(cell, 1, 1), case(cell, 2, 1), case(cell, 1, 2)]
        path = pathlib.Path(__file__).parent / f"{cell}.json"
        path.write_text("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
