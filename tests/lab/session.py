#!/usr/bin/env python3
"""Draws a terminal session that script(1) recorded: session.py OUT TIMING >session.svg.

Lines appear when they appeared, but nobody waits longer than a second for the next one.
"""
import codecs
import html
import re
import sys

COLUMNS, ROWS = 100, 30
WIDTH, HEIGHT = 8.0, 17.0
LONGEST_PAUSE = 1.0
# How long the last picture stays before the session begins again.
END = 8.0
# From the first firmware to the second one. What the emulator, the kernel and the test itself print between is left out.
BEGIN, LAST = "LAB-FIRMWARE A", "LAB-FIRMWARE B"
NOISE = re.compile(r"^\[ *\d+\.\d+\]|^vpb_sic|^lab:|at most .* allowed$|^starting pid|^BusyBox v|^init started|^#?$")
# By which the test learns how a command ended.
ASKED = re.compile(r"; echo lab:\$\?\.$")


def chunks(out, timing):
    """What arrived, with the seconds since what came before it."""
    with open(out, "rb") as file:
        data = file.read()
    # script writes a line above the session.
    at = data.find(b"\n") + 1 if data.startswith(b"Script started") else 0
    with open(timing, encoding="ascii") as file:
        for line in file:
            seconds, length = line.split()[-2:]
            yield float(seconds), data[at : at + int(length)]
            at += int(length)


def lines(out, timing):
    """Each line with the second at which it was whole."""
    clock, text, decoder = 0.0, "", codecs.getincrementaldecoder("utf-8")("replace")
    for seconds, piece in chunks(out, timing):
        clock += seconds
        text += decoder.decode(piece)
        while "\n" in text:
            line, text = text.split("\n", 1)
            # A line that was written over: the last state of it.
            line = [part for part in line.split("\r") if part][-1:] or [""]
            yield clock, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line[0]).rstrip()


def session(out, timing):
    """The lines worth seeing, with pauses that are bearable."""
    shown, begun, last, now = [], False, 0.0, 0.0
    for clock, line in lines(out, timing):
        begun = begun or BEGIN in line
        if not begun or NOISE.search(line):
            continue
        now += min(clock - last, LONGEST_PAUSE) if shown else 0.0
        last = clock
        line = ASKED.sub("", line)
        for start in range(0, max(len(line), 1), COLUMNS):
            shown.append((now, line[start : start + COLUMNS]))
        if LAST in line:
            break
    if not shown:
        sys.exit("session: nothing was recorded")
    return shown


def draw(shown):
    """The picture: text that scrolls as it did."""
    whole = shown[-1][0] + END
    width, height = COLUMNS * WIDTH + 24, ROWS * HEIGHT + 24
    style = ["text{font:13px ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;fill:#e6edf3;white-space:pre}"]
    body = []
    for number, (second, line) in enumerate(shown):
        style.append(
            f"@keyframes l{number}{{0%,{100 * second / whole:.2f}%{{visibility:hidden}}"
            f"{100 * second / whole + 0.01:.2f}%,100%{{visibility:visible}}}}"
            f"#l{number}{{animation:l{number} {whole:.1f}s step-end infinite}}"
        )
        body.append(f'<text id="l{number}" x="12" y="{13 + number * HEIGHT:.0f}">{html.escape(line)}</text>')
    # It scrolls when the terminal is full.
    scroll = ["0%{transform:translateY(0)}"]
    for number, (second, _) in enumerate(shown):
        if number >= ROWS:
            scroll.append(f"{100 * second / whole:.2f}%{{transform:translateY(-{(number - ROWS + 1) * HEIGHT:.0f}px)}}")
    end = max(0, len(shown) - ROWS) * HEIGHT
    scroll.append(f"100%{{transform:translateY(-{end:.0f}px)}}")
    style.append(f"@keyframes scroll{{{''.join(scroll)}}}#scroll{{animation:scroll {whole:.1f}s step-end infinite}}")
    # Who wants no movement sees the end.
    style.append(
        "@media (prefers-reduced-motion:reduce){text,#scroll{animation:none!important}"
        f"#scroll{{transform:translateY(-{end:.0f}px)}}}}"
    )
    newline = "\n"
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img">
<title>flasher apply on an emulated box, from the plan to the new firmware</title>
<style>
{newline.join(style)}
</style>
<rect width="100%" height="100%" rx="8" fill="#0d1117"/>
<svg x="0" y="12" width="{width:.0f}" height="{ROWS * HEIGHT:.0f}"><g id="scroll">
{newline.join(body)}
</g></svg>
</svg>
"""


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: session.py OUT TIMING")
    sys.stdout.write(draw(session(sys.argv[1], sys.argv[2])))
