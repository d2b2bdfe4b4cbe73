"""Checks that a MIDI file has the notes of a sample, with a reader that is not ours (pip install mido).

    seqzoo generate RUN --midi out.mid --json | python benches/peers/check_midi.py out.mid

Compares the notes of each track with the frames that `seqzoo generate --json` prints, and ends with one line of JSON.
"""

import json
import sys

import mido


def notes_of_file(path):
    """Notes of each track but the first, the one of the tempo: (number, first sixteenth, sixteenth after the last)."""
    midi = mido.MidiFile(path)
    sixteenth = midi.ticks_per_beat / 4
    parts = []
    for track in midi.tracks[1:]:
        time, sounding, notes = 0, {}, []
        for message in track:
            time += message.time
            if message.type == "note_on" and message.velocity > 0:
                sounding[message.note] = time
            elif message.type in ("note_off", "note_on"):
                notes.append((message.note, sounding.pop(message.note) / sixteenth, time / sixteenth))
        assert not sounding, "a note has no end"
        parts.append(sorted(notes))
    return parts


def notes_of_frames(frames, parts, length):
    """Notes that frames of `length` sixteenths stand for, by voice, or all together if there is one part."""
    found = []
    for part in range(parts):
        pick = (lambda frame: [frame[part]]) if parts > 1 else (lambda frame: frame)
        sets = [{number for number in pick(frame) if number is not None} for frame in frames]
        notes = []
        for number in sorted(set().union(*sets)):
            start = None
            for index, sounding in enumerate(sets + [set()]):
                if number in sounding and start is None:
                    start = index
                elif number not in sounding and start is not None:
                    notes.append((number, start * length, index * length))
                    start = None
        found.append(sorted(notes))
    return found


def main():
    # At the end of standard input, the file is complete.
    frames = json.loads(sys.stdin.read())["frames"]
    parts = notes_of_file(sys.argv[1])
    total = mido.MidiFile(sys.argv[1])
    ticks = max(sum(message.time for message in track) for track in total.tracks)
    length = round(ticks / (total.ticks_per_beat / 4) / len(frames))
    equal = parts == notes_of_frames(frames, len(parts), length)
    notes = sum(len(notes) for notes in parts)
    print(json.dumps({"file": sys.argv[1], "tracks": len(parts), "notes": notes, "frames": len(frames), "equal": equal}))
    sys.exit(0 if equal else 1)


if __name__ == "__main__":
    main()
