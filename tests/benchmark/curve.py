# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Draws what a transaction costs against the number of partitions, as SVG.

Arguments: the benchmark program "database", the file to write.
"""
import math
import subprocess
import sys

WIDTH, HEIGHT, MARGIN = 640, 400, 60
SERIES = (("10 hot partitions", "#06c"), ("any partition", "#c30"))


def measure(program):
    output = subprocess.run([program, "curve"], check=True, text=True,
                            stdout=subprocess.PIPE).stdout
    return [[float(word) for word in line.split()]
            for line in output.splitlines() if not line.startswith("#")]


def draw(rows):
    top = max(max(row[1:]) for row in rows) * 1.1
    span = math.log10(rows[-1][0] / rows[0][0])

    def x_of(size):
        return MARGIN + (WIDTH - 2 * MARGIN) * math.log10(
            size / rows[0][0]) / span

    def y_of(cost):
        return HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * cost / top

    yield (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" '
           f'height="{HEIGHT}" font-family="sans-serif" font-size="12">')
    yield f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
    for part in range(5):
        cost = top * part / 4
        yield (f'<path d="M{MARGIN} {y_of(cost):.1f}H{WIDTH - MARGIN}" '
               f'stroke="#ccc"/><text x="{MARGIN - 6}" text-anchor="end" '
               f'y="{y_of(cost) + 4:.1f}">{cost:.0f}</text>')
    for row in rows:
        yield (f'<text x="{x_of(row[0]):.1f}" y="{HEIGHT - MARGIN + 18}" '
               f'text-anchor="middle">{row[0]:.0f}</text>')
    for column, (name, colour) in enumerate(SERIES, 1):
        points = " ".join(f"{x_of(row[0]):.1f},{y_of(row[column]):.1f}"
                          for row in rows)
        yield (f'<polyline points="{points}" fill="none" stroke="{colour}" '
               'stroke-width="2"/>')
        yield (f'<text x="{MARGIN + 10}" y="{MARGIN + 16 * column - 20}" '
               f'fill="{colour}">{name}</text>')
    yield (f'<text x="{WIDTH / 2:.0f}" y="{HEIGHT - 18}" text-anchor="middle">'
           'partitions, each with 100 extents and 10 channels</text>')
    yield f'<text x="{MARGIN - 50}" y="24">ns of a transaction</text>'
    yield "</svg>"


def main():
    program, path = sys.argv[1:]
    rows = measure(program)
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(draw(rows)) + "\n")
    for row in rows:
        print("%.0f partitions: %.0f ns hot, %.0f ns any" % tuple(row))


if __name__ == "__main__":
    main()
