#!/usr/bin/env python3
"""The second reader of mitschnitt's recordings, written from src/manual/format.md alone.

    read.py verify FILE.rec --node node.pub.pem [--keys FILE.key --key secret.pem]
    read.py open FILE.rec --keys FILE.key --key secret.pem --json
    read.py verify|open FILE.span --proof proof.json …              the same of a span that was handed over apart
    read.py vectors FOLDER

Needs Python 3.9 and the package `cryptography`. Exit codes: 0 complete (or a span proven), 1 cut, 2 broken,
3 no verdict (wrong key, other node), 4 salvaged.
`open` prints one record a line and, when all is printed, its verdict to stderr; it does not check the signature.
"""

import argparse
import base64
import hashlib
import hmac
import json
import os
import struct
import sys

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

MAGIC = bytes.fromhex("8d6d7363686e520a")
KEY_MAGIC = bytes.fromhex("8d6d7363686e4b0a")
SUITE = 1
HEADER, FRAME, TAG, CHECK, CLOSING, SALVAGED = 144, 10, 16, 8, 70, 86
REDACTION, HOLE, CHUNK_KEY = 117, 37, 44
MAX_PLAIN, MAX_REDACTION = 1_048_576, 64 * 1_048_576
REDACTED = 7
CODES = {"complete": 0, "proven": 0, "cut": 1, "broken": 2, "wrong-key": 3, "other-node": 3, "salvaged": 4}


class Stop(Exception):
    """A verdict that ends the reading."""

    def __init__(self, verdict, why):
        super().__init__(f"{verdict}: {why}")
        self.verdict = verdict


def sha256(*parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()


def hkdf_extract(salt, ikm):
    return hmac.new(salt or bytes(32), ikm, hashlib.sha256).digest()


def hkdf_expand(prk, info, length):
    return HKDFExpand(algorithm=hashes.SHA256(), length=length, info=info).derive(prk)


def fingerprint(public):
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return sha256(der)


def label(version, of):
    """What parts one use of a key or a hash from all others, and one version from the next."""
    return f"mitschnitt/{version} {of}".encode()


def tree(leaves):
    """The root of RFC 9162, section 2.1.1, over hashes of leaves."""
    if len(leaves) <= 1:
        return leaves[0] if leaves else sha256()
    left = 1
    while left * 2 < len(leaves):
        left *= 2
    return sha256(b"\x01", tree(leaves[:left]), tree(leaves[left:]))


def proven(count, spans, leaves, hashes):
    """The root over `count` leaves of which only those of the spans are there, and of the rest the hashes of the largest subtrees."""
    leaves, hashes = iter(leaves), iter(hashes)

    def root(begin, end):
        if not any(first < end and begin < last for first, last in spans):
            return next(hashes)
        if end - begin == 1:
            return next(leaves)
        middle = 1
        while middle * 2 < end - begin:
            middle *= 2
        return sha256(b"\x01", root(begin, begin + middle), root(begin + middle, end))

    try:
        whole = root(0, count)
    except StopIteration:
        raise Stop("broken", "the proof has not the hashes that it takes") from None
    if next(leaves, None) is not None or next(hashes, None) is not None:
        raise Stop("broken", "the proof has more hashes than it takes")
    return whole


# ── ML-KEM-768, FIPS 203: what it takes to open. The numbers are those of the algorithms there; nothing here runs in constant time ──

Q, K, N = 3329, 3, 256
BIT_REVERSED = [int(f"{i:07b}"[::-1], 2) for i in range(128)]
ZETAS = [pow(17, i, Q) for i in BIT_REVERSED]
GAMMAS = [pow(17, 2 * i + 1, Q) for i in BIT_REVERSED]


def bits_of(data):  # 4
    return [byte >> place & 1 for byte in data for place in range(8)]


def byte_encode(d, numbers):  # 5
    whole = sum(number << (d * place) for place, number in enumerate(numbers))
    return whole.to_bytes(32 * d, "little")


def byte_decode(d, data):  # 6
    bits = bits_of(data)
    modulus = Q if d == 12 else 1 << d
    return [sum(bits[i * d + j] << j for j in range(d)) % modulus for i in range(N)]


def compress(d, numbers):  # (4.7)
    return [((number << d) + Q // 2) // Q % (1 << d) for number in numbers]


def decompress(d, numbers):  # (4.8)
    return [(number * Q + (1 << (d - 1))) >> d for number in numbers]


def sample_ntt(seed):  # 7
    stream, found = hashlib.shake_128(seed).digest(3 * 1024), []
    for at in range(0, len(stream), 3):
        first = stream[at] + 256 * (stream[at + 1] % 16)
        second = stream[at + 1] // 16 + 16 * stream[at + 2]
        found += [number for number in (first, second) if number < Q]
    return found[:N]  # of 2,048 numbers some 1,660 are below Q


def sample_cbd(data):  # 8, with eta = 2
    bits = bits_of(data)
    return [(sum(bits[4 * i : 4 * i + 2]) - sum(bits[4 * i + 2 : 4 * i + 4])) % Q for i in range(N)]


def ntt(f):  # 9
    f, i, length = list(f), 1, 128
    while length >= 2:
        for start in range(0, N, 2 * length):
            for j in range(start, start + length):
                t = ZETAS[i] * f[j + length]
                f[j], f[j + length] = (f[j] + t) % Q, (f[j] - t) % Q
            i += 1
        length //= 2
    return f


def inverse_ntt(f):  # 10
    f, i, length = list(f), 127, 2
    while length <= 128:
        for start in range(0, N, 2 * length):
            for j in range(start, start + length):
                f[j], f[j + length] = (f[j] + f[j + length]) % Q, ZETAS[i] * (f[j + length] - f[j]) % Q
            i -= 1
        length *= 2
    return [number * 3303 % Q for number in f]


def add(f, g):
    return [(a + b) % Q for a, b in zip(f, g)]


def multiply(f, g):  # 11 and 12
    product = []
    for i in range(128):
        a, b, c, d = f[2 * i], f[2 * i + 1], g[2 * i], g[2 * i + 1]
        product += [(a * c + b * d * GAMMAS[i]) % Q, (a * d + b * c) % Q]
    return product


def dot(f, g):
    total = [0] * N
    for a, b in zip(f, g):
        total = add(total, multiply(a, b))
    return total


def prf(seed, nonce):
    return sample_cbd(hashlib.shake_256(seed + bytes([nonce])).digest(128))


def matrix(rho):
    """Row i, column j."""
    return [[sample_ntt(rho + bytes([j, i])) for j in range(K)] for i in range(K)]


def polynomials(d, data):
    return [byte_decode(d, data[32 * d * i : 32 * d * (i + 1)]) for i in range(K)]


def k_pke_key_gen(d):  # 13
    seeds = hashlib.sha3_512(d + bytes([K])).digest()
    rho, sigma = seeds[:32], seeds[32:]
    s = [ntt(prf(sigma, i)) for i in range(K)]
    e = [ntt(prf(sigma, K + i)) for i in range(K)]
    t = [add(dot(row, s), e[i]) for i, row in enumerate(matrix(rho))]
    return b"".join(byte_encode(12, one) for one in t) + rho, s


def k_pke_encrypt(public, message, seed):  # 14
    t, rows = polynomials(12, public), matrix(public[384 * K :])
    y = [ntt(prf(seed, i)) for i in range(K)]
    u = [add(inverse_ntt(dot([row[i] for row in rows], y)), prf(seed, K + i)) for i in range(K)]
    v = add(add(inverse_ntt(dot(t, y)), prf(seed, 2 * K)), decompress(1, byte_decode(1, message)))
    return b"".join(byte_encode(10, compress(10, one)) for one in u) + byte_encode(4, compress(4, v))


def k_pke_decrypt(s, sealed):  # 15
    u = [decompress(10, one) for one in polynomials(10, sealed)]
    v = decompress(4, byte_decode(4, sealed[320 * K :]))
    noise = inverse_ntt(dot(s, [ntt(one) for one in u]))
    return byte_encode(1, compress(1, [(a - b) % Q for a, b in zip(v, noise)]))


def ml_kem_decaps(s, public, z, sealed):  # 18
    message = k_pke_decrypt(s, sealed)
    derived = hashlib.sha3_512(message + hashlib.sha3_256(public).digest()).digest()
    if hmac.compare_digest(k_pke_encrypt(public, message, derived[32:]), sealed):
        return derived[:32]
    return hashlib.shake_256(z + sealed).digest(32)


# ── X-Wing, draft-connolly-cfrg-xwing-kem ───────────────────────────────────────────────────────────────────────────


class XWing:
    """A private key: a seed of 32 bytes."""

    KEM, ENC = 0x647A, 1088 + 32
    OID = bytes.fromhex("300d060b2b0601040183e62d81c87a")
    PRIVATE = bytes.fromhex("3034020100") + OID + bytes.fromhex("0420")
    PUBLIC = bytes.fromhex("308204d4") + OID + bytes.fromhex("038204c100")

    def __init__(self, seed):
        expanded = hashlib.shake_256(seed).digest(96)
        self.z = expanded[32:64]
        self.public_m, self.secret_m = k_pke_key_gen(expanded[:32])
        self.secret_x = X25519PrivateKey.from_private_bytes(expanded[64:])
        self.public_x = raw(self.secret_x.public_key())

    def fingerprint(self):
        return sha256(self.PUBLIC, self.public_m, self.public_x)

    def decapsulate(self, enc):
        if len(enc) != self.ENC:
            raise ValueError("length of the encapsulated key")
        shared_m = ml_kem_decaps(self.secret_m, self.public_m, self.z, enc[:1088])
        shared_x = self.secret_x.exchange(X25519PublicKey.from_public_bytes(enc[1088:]))
        return hashlib.sha3_256(shared_m + shared_x + enc[1088:] + self.public_x + bytes.fromhex("5c2e2f2f5e5c")).digest()


# ── HPKE, RFC 9180: base mode, HKDF-SHA256, AES-256-GCM, with DHKEM(X25519 or P-256, HKDF-SHA256) or X-Wing ───────────


class X25519:
    """A private key."""

    KEM = 0x0020

    def __init__(self, secret):
        self.secret = secret

    def fingerprint(self):
        return fingerprint(self.secret.public_key())

    def decapsulate(self, enc):
        dh = self.secret.exchange(X25519PublicKey.from_public_bytes(enc))
        return extract_and_expand(self.KEM, dh, enc + raw(self.secret.public_key()))


class P256:
    """A private key."""

    KEM = 0x0010

    def __init__(self, secret):
        self.secret = secret

    def fingerprint(self):
        return fingerprint(self.secret.public_key())

    def decapsulate(self, enc):
        if len(enc) != 65 or enc[0] != 4:
            raise ValueError("form of the encapsulated key")
        dh = self.secret.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), enc))
        point = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        return extract_and_expand(self.KEM, dh, enc + self.secret.public_key().public_bytes(*point))


def raw(public):
    return public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def labeled_extract(suite, salt, label, ikm):
    return hkdf_extract(salt, b"HPKE-v1" + suite + label + ikm)


def labeled_expand(suite, prk, label, info, length):
    return hkdf_expand(prk, struct.pack(">H", length) + b"HPKE-v1" + suite + label + info, length)


def extract_and_expand(kem, dh, context):
    suite = b"KEM" + struct.pack(">H", kem)
    return labeled_expand(suite, labeled_extract(suite, b"", b"eae_prk", dh), b"shared_secret", context, 32)


def hpke_open(secret, enc, info, aad, sealed):
    suite = b"HPKE" + struct.pack(">HHH", secret.KEM, 0x0001, 0x0002)
    shared = secret.decapsulate(enc)
    psk_id_hash = labeled_extract(suite, b"", b"psk_id_hash", b"")
    info_hash = labeled_extract(suite, b"", b"info_hash", info)
    context = b"\x00" + psk_id_hash + info_hash
    prk = labeled_extract(suite, shared, b"secret", b"")
    key = labeled_expand(suite, prk, b"key", context, 32)
    nonce = labeled_expand(suite, prk, b"base_nonce", context, 12)
    return AESGCM(key).decrypt(nonce, sealed, aad)


# ── the key file ────────────────────────────────────────────────────────────────────────────────────────────────────


class Fields:
    """Bytes taken from the front."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if self.at + count > len(self.data):
            raise ValueError("too short")
        self.at += count
        return self.data[self.at - count : self.at]

    def u8(self):
        return self.take(1)[0]

    def u16(self):
        return struct.unpack(">H", self.take(2))[0]

    def u32(self):
        return struct.unpack(">I", self.take(4))[0]

    def rest(self):
        return self.take(len(self.data) - self.at)

    def number(self):
        value = 0
        for place in range(10):
            byte = self.u8()
            value |= (byte & 0x7F) << (7 * place)
            if not byte & 0x80:
                if byte == 0 and place > 0:
                    raise ValueError("a number is not in its shortest form")
                if value >= 1 << 64:
                    raise ValueError("a number has more than 64 bits")
                return value
        raise ValueError("a number has more than 64 bits")

    def signed(self):
        value = self.number()
        return value // 2 if value % 2 == 0 else -(value + 1) // 2

    def is_empty(self):
        return self.at == len(self.data)


def read_key_file(data):
    """Returns version, segment number, recording id and commitment; and the entries."""
    if data[:8] != KEY_MAGIC:
        raise Stop("wrong-key", "not a key file")
    if data[8:10] not in (bytes([0, SUITE]), bytes([1, SUITE])):
        raise Stop("wrong-key", "version or suite of the key file is unknown")
    if len(data) < 72 or sha256(data[:-8])[:8] != data[-8:]:
        raise Stop("wrong-key", "the key file is damaged")
    fields = Fields(data[10:-8])
    try:
        count = fields.u16()
        if not 1 <= count <= 256:
            raise ValueError("number of entries")
        segment, recording, commitment = fields.u32(), fields.take(16), fields.take(32)
        entries = []
        for _ in range(count):
            kem, name = fields.u16(), fields.take(32)
            enc = fields.take(fields.u16())
            wrap = fields.take(fields.u16())
            entries.append((kem, name, enc, wrap))
        if not fields.is_empty():
            raise ValueError("too long")
    except ValueError as error:
        raise Stop("wrong-key", f"the key file is damaged: {error}") from error
    return (data[8], segment, recording, commitment), entries


def unwrap(of_recording, key_file, secret):
    """Returns the keys of the chunks."""
    header, redaction = of_recording.header, of_recording.redaction
    of, entries = read_key_file(key_file)
    version, segment, recording, commitment = of
    commitments = [redaction[5:37], redaction[37:69]] if redaction else [header["commitment"]]
    if of[:3] != (header["version"], header["segment"], header["recording"]) or commitment not in commitments:
        raise Stop("wrong-key", "the key file belongs to another recording")
    name = secret.fingerprint()
    entry = next((entry for entry in entries if entry[1] == name), None)
    if entry is None or entry[0] != secret.KEM:
        raise Stop("wrong-key", "this key does not open it")
    aad = recording + struct.pack(">I", segment) + commitment + name
    try:
        shared = hpke_open(secret, entry[2], label(version, "wrap"), aad, entry[3])
    except (InvalidTag, ValueError) as error:
        raise Stop("wrong-key", "this key does not open it") from error
    if len(shared) != 32:
        raise Stop("wrong-key", "the wrap holds no secret")
    salt = label(version, "segment") + recording + struct.pack(">I", segment)
    okm = hkdf_expand(hkdf_extract(salt, shared), label(version, "segment"), 64)
    redacted = hkdf_expand(hkdf_extract(salt, shared), label(version, "redaction"), 76)
    if not hmac.compare_digest(okm[:32], commitment) and not hmac.compare_digest(redacted[:32], commitment):
        raise Stop("wrong-key", "the secret is not the one the recording commits to")
    if not redaction:
        return Ratchet(version, okm[32:], 0)
    return open_redaction(header, redaction, commitment, salt, shared)


class Ratchet:
    """The keys from a chunk on."""

    def __init__(self, version, state, index):
        self.version, self.state, self.index = version, state, index

    def key(self, index):
        """Returns key and nonce of a chunk; the chunks are asked for in order, some may be passed over."""
        while True:
            okm = hkdf_expand(self.state, label(self.version, "chunk") + struct.pack(">I", self.index), 76)
            self.state, self.index = okm[44:], self.index + 1
            if self.index > index:
                return okm[:44]

    def hole(self, index):
        raise Stop("broken", f"chunk {index} is missing, and was not taken out")

    def end(self):
        return 0


class Left:
    """The keys of what was left of a recording of which something was taken out."""

    def __init__(self, version, plain):
        fields, end, gone = Fields(plain), 0, 0
        self.holes = []
        for _ in range(fields.u32()):
            first, last, length = fields.u32(), fields.u32(), fields.u32()
            records = fields.take(length)
            if not end < first < last:
                raise ValueError("holes out of order")
            self.check(records)
            self.holes.append((first, last, records))
            end, gone = last, gone + last - first
        if not self.holes:
            raise ValueError("no hole")
        self.keys = fields.take(CHUNK_KEY * (end - gone))
        self.rest = None if fields.is_empty() else Ratchet(version, fields.take(32), end)
        if not fields.is_empty():
            raise ValueError("more keys than there are chunks")

    @staticmethod
    def check(records):
        told = list(read_records(records))
        kinds = [record["record"] for record in told]
        if not set(kinds) <= {"gap", "format", "quality", "end"} or "end" in kinds[:-1]:
            raise ValueError("no such record is said of what was taken out")
        if not any(record["record"] == "gap" and record["reason"] == REDACTED for record in told):
            raise ValueError("nothing says that something was taken out")

    def key(self, index):
        if any(first <= index < last for first, last, _ in self.holes):
            raise Stop("broken", f"chunk {index} is there, and was taken out")
        if index >= self.end():
            if self.rest is None:
                raise Stop("broken", f"there is no key of chunk {index}")
            return self.rest.key(index)
        place = index - sum(last - first for first, last, _ in self.holes if last <= index)
        return self.keys[CHUNK_KEY * place : CHUNK_KEY * (place + 1)]

    def hole(self, index):
        """Returns what is said in the place of a chunk: all with the last of its hole. And whether it ends the recording."""
        for first, last, records in self.holes:
            if first <= index < last:
                said = records if index == last - 1 else b""
                return said, any(record["record"] == "end" for record in read_records(said))
        raise Stop("broken", f"chunk {index} is missing, and was not taken out")

    def end(self):
        return self.holes[-1][1]


def open_redaction(header, redaction, commitment, salt, secret):
    version, now = header["version"], redaction[5:37]
    try:
        if commitment != now:
            key = hkdf_expand(hkdf_extract(salt, secret), label(version, "redaction bridge") + now, CHUNK_KEY)
            secret = AESGCM(key[:32]).decrypt(key[32:], redaction[69:REDACTION], header["hash"] + now)
        okm = hkdf_expand(hkdf_extract(salt, secret), label(version, "redaction"), 76)
        if not hmac.compare_digest(okm[:32], now):
            raise Stop("broken", "the redaction's secret is another than it commits to")
        aad = header["hash"] + redaction[:REDACTION]
        plain = AESGCM(okm[32:64]).decrypt(okm[64:], redaction[REDACTION:-CHECK], aad)
    except InvalidTag as error:
        raise Stop("broken", "the redaction does not open") from error
    try:
        return Left(version, plain)
    except ValueError as error:
        raise Stop("broken", f"what is said of what was taken out: {error}") from error


# ── the recording ───────────────────────────────────────────────────────────────────────────────────────────────────


def read_header(data):
    if len(data) < HEADER:
        if data[:8] == MAGIC[: len(data)]:
            raise Stop("cut", "within the header, 0 chunks")
        raise Stop("broken", "not a recording")
    if data[:8] != MAGIC:
        raise Stop("broken", "not a recording")
    if data[8:10] not in (bytes([0, SUITE]), bytes([1, SUITE])):
        raise Stop("broken", "version or suite is unknown")
    length, segment = struct.unpack(">HI", data[10:16])
    if length != HEADER or sha256(data[:136])[:8] != data[136:144] or segment != 0:
        raise Stop("broken", "the header is damaged")
    return {
        "version": data[8],
        "segment": segment,
        "recording": data[16:32],
        "node": data[32:64],
        "commitment": data[64:96],
        "began_us": struct.unpack(">q", data[128:136])[0],
        "hash": sha256(data[:HEADER]),
    }


class Recording:
    """Goes through the frames; `chunks` yields, `closing` is there when it is through."""

    def __init__(self, stream):
        self.stream = stream
        self.header = read_header(stream.read(HEADER))
        self.version = self.header["version"]
        self.chain, self.leaves = self.header["hash"], []
        self.count = 0
        self.closing = self.root = None
        self.redaction, self.holes = self.read_redaction(), 0

    def read_redaction(self):
        """Reads what follows the header where something was taken out."""
        if self.version == 0 or self.stream.peek(1)[:1] != b"\xc7":
            return None
        head = self.read(REDACTION)
        length = struct.unpack(">I", head[1:5])[0]
        if not 1 <= length <= MAX_REDACTION:
            raise Stop("broken", "the length of the redaction")
        whole = head + self.read(length + TAG + CHECK)
        if sha256(whole[:-CHECK])[:CHECK] != whole[-CHECK:]:
            raise Stop("broken", "the redaction is damaged")
        return whole

    def hole(self):
        """Reads what stands in the place of a chunk; its kind was read."""
        index, leaf = struct.unpack(">I32s", self.read(HOLE - 1))
        if index != self.count:
            raise Stop("broken", f"the hole of chunk {index} stands where {self.count} belongs")
        if index == 0 or self.redaction is None:
            raise Stop("broken", f"chunk {index} is missing, and nothing was taken out")
        self.leaves.append(leaf)
        self.count, self.holes = self.count + 1, self.holes + 1
        return index

    def open(self, keys, frame, sealed):
        if keys is None:
            return None
        index = struct.unpack(">I", frame[2:6])[0]
        key = keys.key(index)
        try:
            return AESGCM(key[:32]).decrypt(key[32:], sealed, self.header["hash"] + frame)
        except InvalidTag as error:
            raise Stop("broken", f"chunk {index} does not open") from error

    def chunks(self, keys=None):
        """Yields index, flags and plaintext (nothing without keys) of each chunk."""
        last_seen = is_hole = False
        while True:
            kind = self.stream.read(1)
            if kind == b"":
                raise Stop("cut", f"after {self.count} chunks" + (", only the closing is missing" if last_seen else ""))
            if kind == b"\x00" and self.is_zeros():
                raise Stop("cut", f"zeros after {self.count} chunks")
            if kind == b"\xc5" and not last_seen:
                frame, sealed = self.chunk(kind)
                last_seen = frame[1] == 1
                is_hole = False
                yield self.count - 1, last_seen, self.open(keys, frame, sealed)
            elif kind == b"\xc8" and self.version == 1 and not last_seen:
                index, is_hole = self.hole(), True
                said, is_last = keys.hole(index) if keys else (b"", False)
                yield index, is_last, said
            elif kind == b"\xc6" and (last_seen or self.version == 1):
                self.close(kind, last_seen or is_hole)
                if keys and keys.end() > self.count:
                    raise Stop("broken", "more was taken out than there was")
                return
            else:
                raise Stop("broken", f"no frame belongs after {self.count} chunks that begins with {kind.hex()}")

    def span(self, proof, keys=None):
        """The same of chunks that were handed over without the rest; then `closing` is there, and `root`."""
        for first, last in proof["spans"]:
            self.count = first
            for index in range(first, last):
                kind = self.read(1)
                if kind == b"\xc8":
                    self.hole()
                    yield index, keys.hole(index)[0] if keys else None
                    continue
                if kind != b"\xc5":
                    raise Stop("broken", f"chunk {index} does not begin here")
                yield index, self.open(keys, *self.chunk(kind))
        closing = self.stream.read()
        if len(closing) < CLOSING:
            raise Stop("cut", "the span has no closing")
        if closing[0] != 0xC6 or len(closing) != {1: CLOSING, 2: SALVAGED}.get(closing[1]):
            raise Stop("broken", "what follows the span is no closing")
        if struct.unpack(">I", closing[2:6])[0] != proof["chunks"]:
            raise Stop("broken", "the closing counts other chunks than the proof")
        self.closing = closing
        self.root = proven(proof["chunks"], proof["spans"], self.leaves, proof["hashes"])

    def is_zeros(self):
        while block := self.stream.read(65536):
            if any(block):
                return False
        return True

    def read(self, count):
        data = self.stream.read(count)
        if len(data) < count:
            raise Stop("cut", f"within what follows {self.count} chunks")
        return data

    def chunk(self, kind):
        frame = kind + self.read(FRAME - 1)
        flags, index, length = struct.unpack(">BII", frame[1:])
        if flags > 1 or not 1 <= length <= MAX_PLAIN:
            raise Stop("broken", f"the frame of chunk {self.count} is damaged")
        if index != self.count:
            raise Stop("broken", f"chunk {index} stands where {self.count} belongs")
        sealed = self.read(length + TAG + CHECK)
        sealed, check = sealed[:-CHECK], sealed[-CHECK:]
        if self.version == 0:
            value = self.chain = sha256(self.chain, frame, sealed)
        else:
            value = sha256(b"\x00", self.header["hash"], frame, sealed)
            self.leaves.append(value)
        if value[:CHECK] != check:
            raise Stop("broken", f"chunk {self.count} is damaged")
        self.count += 1
        return frame, sealed

    def close(self, kind, last_seen):
        closing = kind + self.read(1)
        if closing[1] == 1:
            closing += self.read(CLOSING - 2)
            if not last_seen:
                raise Stop("broken", "it is closed as complete before its last chunk")
        elif closing[1] == 2 and self.version == 1:
            closing += self.read(SALVAGED - 2)
        else:
            raise Stop("broken", "the closing's word is unknown")
        if struct.unpack(">I", closing[2:6])[0] != self.count:
            raise Stop("broken", "the closing counts other chunks")
        if self.stream.read(1):
            raise Stop("broken", "bytes follow the closing")
        self.closing = closing

    def end(self):
        """Ends the reading with the word of the closing."""
        if self.closing[1] == 1:
            raise Stop("complete", f"{self.count} chunks")
        at, cut_off = struct.unpack(">qQ", self.closing[6:22])
        raise Stop("salvaged", f"{self.count} chunks; closed {at} us after 1970, {cut_off} bytes were taken off")

    def check_node(self, node):
        if fingerprint(node) != self.header["node"]:
            raise Stop("other-node", "it says another node made it")

    def check_signature(self, node):
        message = label(self.version, "closing\0") + self.header["recording"] + struct.pack(">I", self.header["segment"])
        message += self.closing[1:-64]
        message += self.chain if self.version == 0 else self.header["hash"] + (self.root or tree(self.leaves))
        try:
            node.verify(self.closing[-64:], message)
        except InvalidSignature as error:
            raise Stop("broken", "the signature is not the node's") from error
        if self.redaction is not None and self.holes == 0 and self.root is None:
            raise Stop("broken", "it says that something was taken out, and nothing was")


# ── records ─────────────────────────────────────────────────────────────────────────────────────────────────────────

LEGS = ["pbx", "trunk", "both"]


def below_2_64(value):
    if not 0 <= value < 1 << 64:
        raise ValueError("a time is out of range")
    return value


def leg_of(fields, legs):
    leg = fields.u8()
    if leg >= legs:
        raise ValueError("no such leg")
    return LEGS[leg]


def read_records(plain):
    fields, clock = Fields(plain), 0
    while not fields.is_empty():
        kind = fields.u8()
        body = Fields(fields.take(fields.number()))
        if kind == 0x01:
            record = {"record": "evidence", "json": body.rest().decode("utf-8", "replace")}
        elif kind == 0x02:
            record = {"record": "format", "leg": leg_of(body, 2), "payload_type": body.u8(), "channels": body.u8()}
            record["clock"] = body.number()
            if record["clock"] >= 1 << 32:
                raise ValueError("clock rate")
            record["since_us"] = body.number()
            record["name"] = body.rest().decode("utf-8")
        elif kind == 0x03:
            record = {"record": "gap", "leg": leg_of(body, 3), "reason": body.u8(), "from_us": body.number()}
            record["to_us"] = below_2_64(record["from_us"] + body.number())
            record["packets"] = body.number()
        elif kind == 0x05:
            record = {"record": "end", "reason": body.u8(), "ended_us": body.number()}
            names = ["packets", "bytes", "first_us", "last_us", "withheld"]
            record["legs"] = [{name: body.number() for name in names} for _ in range(2)]
            record["gaps"], record["lost"] = body.number(), body.number()
        elif kind == 0x06:
            record = {"record": "quality", "leg": leg_of(body, 2)}
            for name in ["expected", "received", "duplicates", "reordered"]:
                record[name] = body.number()
            for name in ["jitter_us", "worst_jitter_us", "round_trip_us"]:
                one_more = body.number()
                record[name] = one_more - 1 if one_more else None
            record["longest_gap_us"], record["due_us"] = body.number(), body.number()
        elif kind in (0x10, 0x11):
            clock = below_2_64(clock + body.signed())
            record = {"record": "rtp", "leg": LEGS[kind - 0x10], "came_us": clock, "rtp": body.rest().hex()}
        else:
            record = {"record": "other", "kind": kind, "body": body.rest().hex()}
        if not body.is_empty():
            raise ValueError("a record is longer than its fields")
        yield record


class Story:
    """Holds the records against the rules on places and totals."""

    def __init__(self):
        self.legs = [{"packets": 0, "bytes": 0, "first_us": 0, "last_us": 0} for _ in range(2)]
        self.gaps = self.lost = self.records = 0
        self.gone, self.is_redacted = [0, 0], False
        self.end = None

    def tell(self, record, chunk):
        is_first = self.records == 0
        self.records += 1
        if self.end is not None:
            raise ValueError("a record follows the end")
        if (record["record"] == "evidence") != is_first or is_first != (chunk == 0):
            raise ValueError("evidence is the one record of chunk 0")
        if record["record"] == "rtp":
            leg, came = self.legs[LEGS.index(record["leg"])], record["came_us"]
            leg["first_us"] = min(leg["first_us"], came) if leg["packets"] else came
            leg["last_us"] = max(leg["last_us"], came)
            leg["packets"] += 1
            leg["bytes"] += len(record["rtp"]) // 2
        elif record["record"] == "gap" and record["reason"] == REDACTED:
            self.is_redacted = True
            if record["leg"] != "both":
                self.gone[LEGS.index(record["leg"])] += record["packets"]
        elif record["record"] == "gap":
            self.gaps += 1
            self.lost += record["packets"]
        elif record["record"] == "end":
            self.end = record

    def finish(self):
        if self.end is None:
            raise ValueError("the last chunk has no end record")
        counted = [{name: leg[name] for name in self.legs[0]} for leg in self.end["legs"]]
        if self.is_redacted:
            for all_of_it, left, gone in zip(counted, self.legs, self.gone):
                is_within = left["first_us"] >= all_of_it["first_us"] and left["last_us"] <= all_of_it["last_us"]
                if all_of_it["packets"] != left["packets"] + gone or left["bytes"] > all_of_it["bytes"]:
                    raise ValueError("the end record counts more than is left and was taken out")
                if left["packets"] and not is_within:
                    raise ValueError("something came before or after all of it")
            counted = self.legs
        if (counted, self.end["gaps"], self.end["lost"]) != (self.legs, self.gaps, self.lost):
            raise ValueError("the end record counts otherwise")


def verify(path, node, key_file, secret):
    with open(path, "rb") as stream:
        recording = Recording(stream)
        if secret is None:
            recording.check_node(node)
            for _ in recording.chunks():
                pass
        else:
            keys = unwrap(recording, key_file, secret)
            recording.check_node(node)
            story = Story()
            for index, is_last, plain in recording.chunks(keys):
                try:
                    for record in read_records(plain):
                        story.tell(record, index)
                    if is_last:
                        story.finish()
                except ValueError as error:
                    raise Stop("broken", f"chunk {index}: {error}") from error
        recording.check_signature(node)
        recording.end()


def lines(path, key_file, secret):
    """Yields a line of JSON for each record, and ends with a verdict."""
    with open(path, "rb") as stream:
        recording = Recording(stream)
        for index, _, plain in recording.chunks(unwrap(recording, key_file, secret)):
            try:
                for record in read_records(plain):
                    yield json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            except ValueError as error:
                raise Stop("broken", f"chunk {index}: {error}") from error
        word = "complete" if recording.closing[1] == 1 else "salvaged"
        raise Stop(word, f"{recording.count} chunks; the signature was not checked")


def read_proof(path):
    """Returns what proves a span: how many chunks there are, which are handed over, and the hashes of the rest."""
    with open(path, "rb") as stream:
        proof = json.load(stream)
    spans, end = [(first, last) for first, last in proof["spans"]], 0
    for first, last in spans:
        if not end <= first < last <= proof["chunks"]:
            raise Stop("broken", "the proof's spans are none")
        end = last
    if proof["proof"] != 1 or end == 0:
        raise Stop("broken", "the proof is of a kind that is not known here")
    return {"chunks": proof["chunks"], "spans": spans, "hashes": [bytes.fromhex(one) for one in proof["hashes"]]}


def span_records(recording, proof, keys):
    for index, plain in recording.span(proof, keys):
        try:
            for record in read_records(plain):
                if (record["record"] == "evidence") != (index == 0):
                    raise ValueError("evidence is the one record of chunk 0")
                yield record
        except ValueError as error:
            raise Stop("broken", f"chunk {index}: {error}") from error


def verify_span(path, proof, node, key_file, secret):
    with open(path, "rb") as stream:
        recording = Recording(stream)
        if recording.version == 0:
            raise Stop("broken", "version 0 has no tree")
        packets = 0
        if secret is None:
            recording.check_node(node)
            for _ in recording.span(proof):
                pass
        else:
            keys = unwrap(recording, key_file, secret)
            recording.check_node(node)
            packets = sum(record["record"] == "rtp" for record in span_records(recording, proof, keys))
        recording.check_signature(node)
        spans = ", ".join(str(first) if last - first == 1 else f"{first} to {last - 1}" for first, last in proof["spans"])
        word = "complete" if recording.closing[1] == 1 else "salvaged"
        opened = f"; {packets} packets in them" if secret else ""
        raise Stop("proven", f"chunks {spans} of {proof['chunks']} are of what the node signed as {word}{opened}")


def span_lines(path, proof, key_file, secret):
    with open(path, "rb") as stream:
        recording = Recording(stream)
        for record in span_records(recording, proof, unwrap(recording, key_file, secret)):
            yield json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        raise Stop("proven", "the signature was not checked")


def show(found, is_json):
    for line in found:
        record = json.loads(line)
        if is_json:
            print(line)
        elif record["record"] == "rtp":
            print(record["leg"], record["came_us"], record["rtp"])


def vectors(directory):
    """Prints what is found of each vector of a folder: verdict without a key and with one, and the SHA-256 of the records."""
    with open(os.path.join(directory, "vectors.json"), "rb") as stream:
        entries = json.load(stream)["vectors"]
    for entry in entries:
        path = {member: os.path.join(directory, entry[member]) for member in ("rec", "key", "recipient", "node")}
        node = load(path["node"], serialization.load_pem_public_key, Ed25519PublicKey)
        key_file, secret = read_keys(path["key"], path["recipient"])
        found = {"name": entry["name"]}
        for member, with_keys in (("verify", (None, None)), ("content", (key_file, secret))):
            try:
                verify(path["rec"], node, *with_keys)
            except Stop as stop:
                found[member] = stop.verdict
        digest, count = hashlib.sha256(), 0
        try:
            for line in lines(path["rec"], key_file, secret):
                digest.update(line.encode() + b"\n")
                count += 1
        except Stop:
            pass
        found["records"], found["records_sha256"] = count, digest.hexdigest()
        print(json.dumps(found))


def known(path):
    """Holds X-Wing, and with it ML-KEM, against the answers that its draft gives."""
    with open(path, "rb") as stream:
        answers = json.load(stream)["x_wing"]
    for answer in answers:
        key = XWing(bytes.fromhex(answer["sk"]))
        if sha256(key.public_m, key.public_x).hex() != answer["pk_sha256"]:
            sys.exit("X-Wing makes another public key")
        if key.decapsulate(bytes.fromhex(answer["ct"])).hex() != answer["ss"]:
            sys.exit("X-Wing opens another secret")
    print(f"{len(answers)} known answers")


def load(path, read, kind):
    with open(path, "rb") as stream:
        key = read(stream.read())
    if not isinstance(key, kind):
        sys.exit(f"{path}: expected another kind of key")
    return key


def read_keys(keys, key):
    with open(keys, "rb") as stream:
        key_file = stream.read()
    return key_file, read_secret(key)


def read_secret(path):
    """Returns a recipient's private key; `cryptography` does not know the container of X-Wing."""
    with open(path, "rb") as stream:
        lines = stream.read().split(b"\n")
    if lines[0] == b"-----BEGIN PRIVATE KEY-----":
        der = base64.b64decode(b"".join(lines[1:]).partition(b"-----")[0])
        if der.startswith(XWing.PRIVATE) and len(der) == len(XWing.PRIVATE) + 32:
            return XWing(der[len(XWing.PRIVATE) :])
    key = load(path, lambda pem: serialization.load_pem_private_key(pem, None), (X25519PrivateKey, ec.EllipticCurvePrivateKey))
    if isinstance(key, X25519PrivateKey):
        return X25519(key)
    if not isinstance(key.curve, ec.SECP256R1):
        sys.exit(f"{path}: expected P-256")
    return P256(key)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["verify", "open", "vectors", "known"])
    parser.add_argument("file")
    parser.add_argument("--node", help="the node's public key (PEM)")
    parser.add_argument("--keys", help="the key file")
    parser.add_argument("--key", help="a recipient's private key (PEM)")
    parser.add_argument("--proof", help="what proves a span to be of a recording")
    parser.add_argument("--json", action="store_true", help="print records as JSON")
    arguments = parser.parse_args()
    if arguments.verb == "vectors":
        return vectors(arguments.file)
    if arguments.verb == "known":
        return known(arguments.file)
    key_file = secret = None
    if arguments.keys and arguments.key:
        key_file, secret = read_keys(arguments.keys, arguments.key)
    try:
        proof = read_proof(arguments.proof) if arguments.proof else None
        if arguments.verb == "verify":
            if not arguments.node:
                parser.error("verify needs --node")
            node = load(arguments.node, serialization.load_pem_public_key, Ed25519PublicKey)
            if proof:
                verify_span(arguments.file, proof, node, key_file, secret)
            verify(arguments.file, node, key_file, secret)
        elif secret is None:
            parser.error("open needs --keys and --key")
        if proof:
            show(span_lines(arguments.file, proof, key_file, secret), arguments.json)
        show(lines(arguments.file, key_file, secret), arguments.json)
    except Stop as stop:
        sys.stdout.flush()
        print(stop, file=sys.stdout if arguments.verb == "verify" else sys.stderr)
        sys.exit(CODES[stop.verdict])


if __name__ == "__main__":
    main()
