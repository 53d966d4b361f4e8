#!/usr/bin/env python3
"""A web hook for mitschnitt, to begin from: it says of each call what a table says of the other party's number.

    hook.py --secret hook.secret --table customers.csv --listen 127.0.0.1:8080

The table is CSV with a first line `number,answer,reference,version,policy`, where answer is allow, ask or deny; a number that is not in it is
asked. What is asked and answered is described by hook.schema.json beside this file.
"""

import argparse
import csv
import hashlib
import hmac
import json
import ssl
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# A question that is older than this was sent before, by somebody who has overheard it.
LATEST_S = 300
# The longest real question is below 2 kB.
QUESTION_BYTES = 16384


def parted(header):
    """The seconds and the HEX of a header `t=…,v1=…`."""
    parts = dict(part.partition("=")[::2] for part in header.split(","))
    return parts.get("t", ""), parts.get("v1", "")


def is_signed(secret, header, body, now):
    """Whether the header is of this body, by this secret, and of this time."""
    at, signature = parted(header)
    if not at.isascii() or not at.isdigit() or abs(now - int(at)) > LATEST_S:
        return False
    expected = hmac.new(secret, at.encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.encode("ascii", "replace"))


def signed(secret, question, body, now):
    """The header of an answer: it is to the question whose header that is."""
    at, (_, asked) = str(int(now)), parted(question)
    mac = hmac.new(secret, at.encode() + b"." + asked.encode() + b"." + body, hashlib.sha256)
    return f"t={at},v1={mac.hexdigest()}"


def compared(number):
    """A number in the one way in which it is compared."""
    number = "".join(sign for sign in number if sign not in " -./()")
    return "+" + number[2:] if number.startswith("00") else number


def read(path):
    with open(path, newline="", encoding="utf-8-sig") as table:
        return {compared(row["number"]): row for row in csv.DictReader(table)}


def answer(question, table):
    """What is said of a call: by the number of the party that is not the company's."""
    other = question["calling"] if question["direction"] == "inbound" else question["called"]
    row = table.get(compared(other), {"answer": "ask"})
    return {name: row[name] for name in ("answer", "reference", "version", "policy") if row.get(name)}


class Hook(BaseHTTPRequestHandler):
    secret, table = b"", ""

    def do_POST(self):
        length = int(self.headers.get("Content-Length", "0"))
        body = self.rfile.read(min(length, QUESTION_BYTES))
        if not is_signed(self.secret, self.headers.get("Mitschnitt-Signature", ""), body, time.time()):
            return self.reply(403, {"error": "the question is not signed with the secret, or is old"})
        try:
            # Read again for each call: whoever changes the table need restart nothing.
            self.reply(200, answer(json.loads(body), read(self.table)))
        except (ValueError, KeyError, OSError) as error:
            print(f"hook: {type(error).__name__}", file=sys.stderr)
            self.reply(500, {"error": "the question or the table cannot be read"})

    def reply(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        if status == 200:
            question = self.headers.get("Mitschnitt-Signature", "")
            self.send_header("Mitschnitt-Signature", signed(self.secret, question, text, time.time()))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        """Nothing: numbers are none of a log's business."""


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--secret", required=True, help="the file of `secret` in [hook]")
    words.add_argument("--table", required=True, help="who has agreed, in CSV")
    words.add_argument("--listen", default="127.0.0.1:8080", help="HOST:PORT")
    words.add_argument("--certificate", help="ours, for https, with its private key in the same file")
    words.add_argument("--clients", help="the authority whose certificate mitschnitt must show")
    words = words.parse_args()
    with open(words.secret, "rb") as secret:
        Hook.secret = secret.read().rstrip()
    Hook.table = words.table
    host, _, port = words.listen.rpartition(":")
    server = ThreadingHTTPServer((host, int(port)), Hook)
    if words.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(words.certificate)
        if words.clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(words.clients)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    print(f"hook ready on {words.listen}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
