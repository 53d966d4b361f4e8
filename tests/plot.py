#!/usr/bin/env python3
"""Draws what tests/compare.sh has printed: the CPU time of a packet against the number of calls, in times the bare relay.

usage: tests/compare.sh 100 200 400 800 | tee compare.txt; tests/plot.py compare.txt >src/manual/cpu.svg
Several runs of one number of calls become their median."""
import re
import statistics
import sys

LINE = re.compile(r"calls=(\d+) (\S+) +cpu_us= *([0-9.]+) times_bare= *([0-9.]+)")
COLOURS = {"bare": "#767676", "rtpengine-pcap": "#b35806", "mitschnitt-epoll": "#1f5fa8", "mitschnitt-io_uring": "#1b7837"}
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 420, 64, 190, 40, 56


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    found = {}
    for line in open(sys.argv[1], encoding="utf-8"):
        if match := LINE.search(line):
            calls, who, _, times = match.groups()
            found.setdefault(who, {}).setdefault(int(calls), []).append(float(times))
    if not found:
        sys.exit(f"{sys.argv[1]} has no line of tests/compare.sh")
    calls = sorted({calls for points in found.values() for calls in points})
    highest = max(max(map(statistics.median, points.values())) for points in found.values())
    top = max(1.0, -(-highest * 10 // 5) / 2)
    across = lambda at: LEFT + (WIDTH - LEFT - RIGHT) * (calls.index(at) / max(1, len(calls) - 1))
    up = lambda value: HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">')
    print(f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>')
    print(f'<text x="{LEFT}" y="22" font-size="15" fill="#222222">CPU time of a packet, in and out, in times the bare relay</text>')
    for step in range(int(top * 2) + 1):
        value = step / 2
        print(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{up(value):.1f}" y2="{up(value):.1f}" stroke="#dddddd"/>')
        print(f'<text x="{LEFT - 8}" y="{up(value) + 4:.1f}" text-anchor="end" fill="#444444">{value:g}</text>')
    for at in calls:
        print(f'<text x="{across(at):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle" fill="#444444">{at}</text>')
    print(f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.1f}" y="{HEIGHT - 12}" text-anchor="middle" fill="#444444">calls</text>')
    ends = []
    for who, points in found.items():
        colour = COLOURS.get(who, "#222222")
        place = [(across(at), up(statistics.median(points[at]))) for at in sorted(points)]
        print(f'<polyline fill="none" stroke="{colour}" stroke-width="2.5" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in place)}"/>')
        for x, y in place:
            print(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>')
        ends.append((place[-1], who, colour))
    # Names stand beside the ends of their lines, moved apart where they would touch.
    below = 0
    for (x, y), who, colour in sorted(ends, key=lambda end: end[0][1]):
        below = max(y + 4, below + 17)
        print(f'<text x="{x + 12:.1f}" y="{below:.1f}" fill="{colour}">{who}</text>')
    print("</svg>")


main()
