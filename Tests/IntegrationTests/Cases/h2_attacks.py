#!/usr/bin/env python3
"""Bounded HTTP/2 conformance, downgrade and flood cases with raw frames (prior-knowledge h2c).

  h2_attacks.py --target 127.0.0.1:8443 --upstream-port 9000 [--pid PID] [--only PREFIX] [--json out.json]
  --upstream-port 0 takes a free port and prints it; --target @FILE and --pid @FILE wait until the files say them.

Needs: pip packages hpack (frames are built by hand) and h1_replay.py beside this file (its recording upstream is the
referee for h2 -> h1 downgrade).  Every flood is bounded; loopback only.  Verdict:
  ok    the proxy refused / limited as it should, a fresh connection is served afterwards
  weak  it survived but set no limit we could see (cost is the attacker's bandwidth only, or worse: read the numbers)
  FAIL  wrong answer, or it never answered;  crit  smuggled / injected upstream, or the proxy died
"""
import argparse, json, os, socket, struct, sys, time
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import hpack
import h1_replay as R

DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WU, CONT = range(10)
ES, EH, PAD, PRI = 1, 4, 8, 32
ERR = "NO_ERROR PROTOCOL INTERNAL FLOW_CONTROL SETTINGS_TIMEOUT STREAM_CLOSED FRAME_SIZE REFUSED CANCEL COMPRESSION CONNECT ENHANCE_CALM INADEQUATE H1_REQUIRED".split()
# Seconds; as long as a busy machine may take for what is expected.
LONG = 30.0
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def fr(t, flags=0, sid=0, p=b""):
    return struct.pack("!I", len(p))[1:] + bytes([t, flags]) + struct.pack("!I", sid) + p


class H2:
    def __init__(self, a, settings=b"", preface=True):
        self.s = socket.create_connection(a.addr, timeout=LONG)
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.enc, self.dec = hpack.Encoder(), hpack.Decoder()
        self.dec.max_header_list_size = 1 << 20
        self.buf, self.ev, self.closed = b"", [], False
        self.status, self.rst, self.goaway, self.counts, self.settings, self.datalen = {}, {}, None, {}, {}, 0
        self.ended = set(); self.hdr = {}
        self.dead_send = False
        if preface:
            self.send(PREFACE + fr(SETTINGS, 0, 0, settings))

    def send(self, b):
        if self.dead_send:
            return False
        try:
            self.s.settimeout(LONG); self.s.sendall(b); return True
        except OSError:
            self.dead_send = True; return False

    def block(self, fields, path="/h2/x", method="GET", auth="a.test", base=True):
        h = [(":method", method), (":scheme", "http"), (":path", path), (":authority", auth)] if base else []
        return self.enc.encode(h + fields, huffman=False)

    def req(self, sid, fields=(), flags=ES | EH, **kw):
        return fr(HEADERS, flags, sid, self.block(list(fields), **kw))

    def pump(self, secs=0.5, until=None, ack=True):
        end = time.monotonic() + secs
        while not self.closed and time.monotonic() < end:
            if until and until():
                break
            try:
                self.s.settimeout(max(0.005, end - time.monotonic()))
                d = self.s.recv(262144)
            except socket.timeout:
                break
            except OSError:
                d = b""
            if not d:
                self.closed = True; break
            self.buf += d
            while len(self.buf) >= 9:
                n = int.from_bytes(self.buf[:3], "big")
                if len(self.buf) < 9 + n:
                    break
                t, fl, sid = self.buf[3], self.buf[4], int.from_bytes(self.buf[5:9], "big") & 0x7fffffff
                p, self.buf = self.buf[9:9 + n], self.buf[9 + n:]
                self.counts[t] = self.counts.get(t, 0) + 1
                if t == SETTINGS and not fl & 1:
                    for i in range(0, len(p) - 5, 6):
                        k, v = struct.unpack("!HI", p[i:i + 6]); self.settings[k] = v
                    if ack:
                        self.send(fr(SETTINGS, 1))
                elif t == RST:
                    self.rst[sid] = int.from_bytes(p[:4], "big")
                elif t == GOAWAY:
                    self.goaway = int.from_bytes(p[4:8], "big")
                elif t == DATA:
                    self.datalen += n
                    if fl & ES:
                        self.ended.add(sid)
                elif t in (HEADERS, CONT):
                    if fl & PRI and t == HEADERS:
                        p = p[5:]
                    try:
                        h = dict(self.dec.decode(p)); self.hdr.setdefault(sid, h)
                        if ":status" in h and (sid not in self.status or self.status[sid] < 200):
                            self.status[sid] = int(h[":status"])
                    except Exception:
                        pass
                    if t == HEADERS and fl & ES:
                        self.ended.add(sid)

    def hello(self):
        self.pump(LONG, lambda: SETTINGS in self.counts)

    def done(self, sid):
        return self.closed or self.goaway is not None or sid in self.ended or sid in self.rst

    def out(self, sid=1):
        o = []
        if sid in self.status:
            o.append("status %d" % self.status[sid])
        if sid in self.rst:
            o.append("rst " + ERR[min(self.rst[sid], 13)])
        if self.goaway is not None:
            o.append("goaway " + ERR[min(self.goaway, 13)])
        if self.closed:
            o.append("closed")
        return o or ["silent"]

    def close(self):
        try:
            self.s.close()
        except OSError:
            pass


CASES = []


def case(name, want, kind="conf", note=""):
    def deco(f):
        CASES.append((name, want, kind, note, f)); return f
    return deco


def lit(name, value):
    n, v = name.encode("latin-1"), value.encode("latin-1")
    def ln(b):
        return bytes([len(b)]) if len(b) < 127 else b"\x7f" + hint(len(b) - 127)
    return b"\x00" + ln(n) + n + ln(v) + v


def hint(n):
    o = b""
    while n >= 128:
        o += bytes([n & 127 | 128]); n >>= 7
    return o + bytes([n])


# ---------- single-frame conformance.  want: any of these tokens in the outcome
def conn_case(name, want, build, note=""):
    @case(name, want, "conf", note)
    def f(a, up):
        c = H2(a); c.hello(); c.send(build(c)); c.pump(LONG, lambda: c.closed or c.goaway is not None or 1 in c.rst or 1 in c.ended)
        return c


GA = ["goaway", "closed"]
conn_case("conf-ok", ["status 200"], lambda c: c.req(1))
conn_case("conf-headers-s0", GA, lambda c: c.req(0))
conn_case("conf-even-id", GA, lambda c: c.req(2))
conn_case("conf-id-backwards", GA, lambda c: c.req(5) + c.req(3))
conn_case("conf-data-idle", GA, lambda c: fr(DATA, ES, 1, b"x"))
conn_case("conf-rst-idle", GA, lambda c: fr(RST, 0, 1, b"\0\0\0\x08"))
conn_case("conf-wu-idle", GA, lambda c: fr(WU, 0, 1, b"\0\0\0\x01"))
conn_case("conf-wu0-conn", GA, lambda c: fr(WU, 0, 0, b"\0\0\0\0"))
conn_case("conf-wu-overflow", GA, lambda c: fr(WU, 0, 0, b"\x7f\xff\xff\xff"))
conn_case("conf-frame-big", GA + ["rst FRAME_SIZE", "rst"], lambda c: c.req(1, flags=EH, method="POST") + fr(DATA, ES, 1, b"x" * 2000000))
conn_case("conf-ping-len", GA, lambda c: fr(PING, 0, 0, b"123"))
conn_case("conf-settings-len", GA, lambda c: fr(SETTINGS, 0, 0, b"123"))
conn_case("conf-settings-ackbody", GA, lambda c: fr(SETTINGS, 1, 0, b"\0\3\0\0\0\1"))
conn_case("conf-settings-push2", GA, lambda c: fr(SETTINGS, 0, 0, b"\0\2\0\0\0\2"))
conn_case("conf-settings-win", GA, lambda c: fr(SETTINGS, 0, 0, b"\0\4\x80\0\0\0"))
conn_case("conf-settings-mfs", GA, lambda c: fr(SETTINGS, 0, 0, b"\0\5\0\0\0\1"))
conn_case("conf-push", GA, lambda c: fr(PUSH, EH, 1, b"\0\0\0\2" + c.block([])))
conn_case("conf-pad-over", GA, lambda c: c.req(1, flags=EH, method="POST") + fr(DATA, PAD | ES, 1, b"\xffabc"))
conn_case("conf-hpack-index", GA, lambda c: fr(HEADERS, ES | EH, 1, b"\xff\xff\x7f"))
conn_case("conf-hpack-tsize", GA, lambda c: fr(HEADERS, ES | EH, 1, b"\x3f\xe1\xff\x7f" + c.block([])))
conn_case("conf-hpack-int", GA, lambda c: fr(HEADERS, ES | EH, 1, b"\x7f" + b"\xff" * 12))
conn_case("conf-hpack-huff", GA, lambda c: fr(HEADERS, ES | EH, 1, c.block([]) + b"\x00\x01x\x84\xff\xff\xff\xff"))
conn_case("conf-cont-none", GA, lambda c: fr(CONT, EH, 1, c.block([])))
conn_case("conf-cont-mixed", GA, lambda c: c.req(1, flags=ES) + fr(PING, 0, 0, b"12345678"))
conn_case("conf-data-closed", ["rst", "goaway", "status 200"], lambda c: c.req(1) + fr(DATA, ES, 1, b"late"))
conn_case("conf-headers-twice", ["rst", "goaway", "closed"], lambda c: c.req(1, flags=EH, method="POST") + c.req(1, flags=EH))
conn_case("conf-prio-self", ["status 200", "rst", "goaway"], lambda c: fr(HEADERS, ES | EH | PRI, 1, b"\0\0\0\1\x10" + c.block([])))
conn_case("conf-unknown-frame", ["status 200"], lambda c: fr(0xbb, 0, 0, b"x" * 100) + c.req(1))
conn_case("conf-unknown-setting", ["status 200"], lambda c: fr(SETTINGS, 0, 0, b"\x99\x99\0\0\0\1") + c.req(1))


@case("conf-bad-preface", GA + ["closed"])
def _(a, up):
    c = H2(a, preface=False); c.send(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + b"\0" * 64); c.pump(LONG, lambda: c.goaway is not None or c.closed); return c


@case("conf-client-goaway", ["status 200"])
def _(a, up):
    c = H2(a); c.hello(); c.send(c.req(1) + fr(GOAWAY, 0, 0, b"\0" * 8)); c.pump(LONG, lambda: 1 in c.ended); return c


# ---------- malformed messages and downgrade.  want: no request upstream, stream or connection error or 4xx
BAD = ["rst", "goaway", "closed", "status 4", "status 501"]


def msg(name, fields=(), body=None, want=BAD, note="", **kw):
    @case("msg-" + name, want, "msg", note)
    def f(a, up):
        c = H2(a); c.hello()
        raw = kw.pop("raw", None) if "raw" in kw else None
        blk = raw(c) if raw else c.block(list(fields), **{k: v for k, v in kw.items() if k != "trail"})
        c.send(fr(HEADERS, EH | (0 if body is not None else ES), 1, blk))
        if body is not None:
            c.send(fr(DATA, 0 if "trail" in kw else ES, 1, body))
        if "trail" in kw:
            c.send(fr(HEADERS, EH | ES, 1, c.enc.encode(kw["trail"], huffman=False)))
        c.pump(LONG, lambda: c.closed or c.goaway is not None or 1 in c.rst or 1 in c.ended)
        return c


def rawf(*pairs):
    return lambda c: b"".join(lit(*p) for p in pairs)


P = ((":method", "GET"), (":scheme", "http"), (":path", "/h2/x"), (":authority", "a.test"))
FWD = ["status 200"]
msg("ok-post", [("content-length", "5")], b"hello", FWD, method="POST")
msg("ok-trailers", [], b"hello", FWD, method="POST", trail=[("grpc-status", "0")])
msg("te-trailers", [("te", "trailers")], want=FWD)
msg("cookie-crumbs", [("cookie", "a=1"), ("cookie", "b=2")], want=FWD, note="joined with '; ' for HTTP/1.1")
msg("upper-name", raw=rawf(*P, ("X-Upper", "1")))
msg("conn", [("connection", "keep-alive")]); msg("te-chunked", [("transfer-encoding", "chunked")], b"0\r\n\r\n", method="POST")
msg("te-gzip", [("te", "gzip")]); msg("keep-alive", [("keep-alive", "timeout=5")]); msg("proxy-conn", [("proxy-connection", "close")]); msg("upgrade", [("upgrade", "h2c")])
msg("no-path", raw=rawf(P[0], P[1], P[3])); msg("no-method", raw=rawf(*P[1:])); msg("no-scheme", raw=rawf(P[0], P[2], P[3]))
msg("dup-method", raw=rawf(P[0], *P)); msg("dup-path", raw=rawf(*P, (":path", "/evil")))
msg("pseudo-late", raw=rawf(*P[:3], ("x-a", "1"), P[3])); msg("pseudo-unknown", raw=rawf(*P, (":foo", "1"))); msg("pseudo-status", raw=rawf(*P, (":status", "200")))
msg("path-empty", raw=rawf(P[0], P[1], (":path", ""), P[3])); msg("path-rel", raw=rawf(P[0], P[1], (":path", "x/y"), P[3]))
msg("path-sp", raw=rawf(P[0], P[1], (":path", "/a HTTP/1.1\r\nHost: a.test\r\n\r\nGET /smuggled HTTP/1.1\r\nX: "), P[3]))
msg("path-sp2", raw=rawf(P[0], P[1], (":path", "/a b"), P[3])); msg("path-ctl", raw=rawf(P[0], P[1], (":path", "/a\x01"), P[3])); msg("path-frag", raw=rawf(P[0], P[1], (":path", "/a#b"), P[3]), want=BAD + FWD)
msg("method-crlf", raw=rawf((":method", "GET /smuggled HTTP/1.1\r\nHost: a.test\r\nX-A: b"), *P[1:])); msg("method-sp", raw=rawf((":method", "GET /smuggled"), *P[1:]))
msg("scheme-inj", raw=rawf(P[0], (":scheme", "http://evil.test/smuggled?x="), P[2], P[3])); msg("scheme-crlf", raw=rawf(P[0], (":scheme", "http\r\nX-Evil: 1"), P[2], P[3]))
msg("auth-crlf", raw=rawf(*P[:3], (":authority", "a.test\r\nX-Evil: 1"))); msg("auth-sp", raw=rawf(*P[:3], (":authority", "a.test /x"))); msg("auth-slash", raw=rawf(*P[:3], (":authority", "a.test/x"))); msg("auth-at", raw=rawf(*P[:3], (":authority", "u@a.test")))
msg("host-diff", [("host", "evil.test")], want=BAD + FWD, note="upstream must get :authority, once")
msg("host-dup", raw=rawf(*P[:3], ("host", "a.test"), ("host", "evil.test")))
msg("val-crlf", raw=rawf(*P, ("x-a", "b\r\nX-Evil: 1"))); msg("val-lf", raw=rawf(*P, ("x-a", "b\nx-evil: 1"))); msg("val-cr", raw=rawf(*P, ("x-a", "b\rc"))); msg("val-nul", raw=rawf(*P, ("x-a", "b\0c"))); msg("val-sp", raw=rawf(*P, ("x-a", " b ")), want=BAD + FWD)
msg("name-crlf", raw=rawf(*P, ("x-a: b\r\nx-evil", "1"))); msg("name-colon", raw=rawf(*P, ("transfer-encoding: chunked\r\nx", "1"))); msg("name-sp", raw=rawf(*P, ("x a", "1"))); msg("name-empty", raw=rawf(*P, ("", "1"))); msg("name-colon2", raw=rawf(*P, ("x:", "1")))
msg("cl-short", [("content-length", "10")], b"hello", method="POST"); msg("cl-long", [("content-length", "2")], b"hello", method="POST")
msg("cl-0", [("content-length", "0")], b"GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n", method="POST", note="H2.CL")
msg("cl-dup", [("content-length", "5"), ("content-length", "6")], b"hello", method="POST"); msg("cl-bad", [("content-length", "+5")], b"hello", method="POST")
msg("cl-es", [("content-length", "5")], method="POST", note="END_STREAM on HEADERS with a length")
msg("trail-pseudo", [], b"hello", method="POST", trail=[(":path", "/x")]); msg("trail-cl", [], b"hello", BAD + FWD, method="POST", trail=[("content-length", "99"), ("transfer-encoding", "chunked")])
msg("connect", raw=rawf((":method", "CONNECT"), (":authority", "a.test:443"))); msg("connect-ext", raw=rawf((":method", "CONNECT"), (":protocol", "websocket"), *P[1:]))
msg("h2c-hdr", [("http2-settings", "AAMAAABk")], want=FWD + BAD)


# ---------- floods
@case("flood-rapid-reset", ["goaway ENHANCE_CALM", "goaway", "closed"], "flood", "HEADERS+RST x N")
def _(a, up):
    c = H2(a); c.hello(); n = 0
    rst = fr(RST, 0, 0, b"\0\0\0\x08")
    for i in range(200):
        b = b""
        for j in range(25):
            sid = 1 + 2 * (i * 25 + j)
            b += c.req(sid) + fr(RST, 0, sid, b"\0\0\0\x08"); n += 1
        if not c.send(b):
            break
        c.pump(0.002)
        if c.goaway is not None or c.closed:
            break
    c.pump(LONG, lambda: c.goaway is not None or c.closed); c.sent = n; return c


def myr(name, tail, note):
    @case("flood-myr-" + name, ["goaway", "closed"], "flood", note)
    def f(a, up):
        c = H2(a); c.hello(); n = 0
        for i in range(150):
            b = b""
            for j in range(20):
                sid = 1 + 2 * (i * 20 + j)
                b += c.req(sid, flags=EH if name in ("data", "cl") else EH | ES, **({"method": "POST", "fields": [("content-length", "1")]} if name == "cl" else {"method": "POST"} if name == "data" else {})) + tail(sid); n += 1
            if not c.send(b):
                break
            c.pump(0.003)
            if c.goaway is not None or c.closed:
                break
        c.pump(LONG, lambda: c.goaway is not None or c.closed); c.sent = n; return c


myr("wu0", lambda s: fr(WU, 0, s, b"\0\0\0\0"), "MadeYouReset: WINDOW_UPDATE 0")
myr("wuover", lambda s: fr(WU, 0, s, b"\x7f\xff\xff\xff"), "MadeYouReset: window overflow")
myr("priolen", lambda s: fr(PRIORITY, 0, s, b"\0\0\0\0"), "MadeYouReset: PRIORITY of wrong length")
myr("prioself", lambda s: fr(PRIORITY, 0, s, struct.pack("!IB", s, 1)), "MadeYouReset: self dependency")
myr("halfclosed", lambda s: fr(DATA, 0, s, b"x"), "MadeYouReset: DATA after END_STREAM")
myr("cl", lambda s: fr(DATA, ES, s, b"toolong"), "MadeYouReset: content-length mismatch")


@case("flood-bad-request", ["goaway", "closed"], "flood", "malformed HEADERS x N (each provokes a reset)")
def _(a, up):
    c = H2(a); c.hello(); n = 0
    blk = b"".join(lit(*p) for p in P) + lit("connection", "close")
    for i in range(150):
        b = b"".join(fr(HEADERS, ES | EH, 1 + 2 * (i * 20 + j), blk) for j in range(20)); n += 20
        if not c.send(b):
            break
        c.pump(0.003)
        if c.goaway is not None or c.closed:
            break
    c.pump(LONG, lambda: c.goaway is not None or c.closed); c.sent = n; return c


def repeat(name, want, first, frame, per=200, rounds=100, note="", read=True):
    @case("flood-" + name, want, "flood", note)
    def f(a, up):
        c = H2(a); c.hello(); c.send(first(c)); n = 0
        b = frame * per if isinstance(frame, bytes) else None
        for i in range(rounds):
            if not c.send(b if b is not None else b"".join(frame(c, i * per + j) for j in range(per))):
                break
            n += per
            if read:
                c.pump(0.001)
                if c.goaway is not None or c.closed:
                    break
        c.rss = rss(a.pid)
        # Whoever may stay silent is not waited for.
        c.pump(1 if "silent" in want else LONG, lambda: c.goaway is not None or c.closed or "rst" in want and 1 in c.rst)
        c.sent = n; return c


def none(c):
    return b""


LIM = ["goaway", "closed"]
repeat("cont-empty", LIM, lambda c: fr(HEADERS, ES, 1, c.block([])), fr(CONT, 0, 1, b""), note="CONTINUATION, empty")
repeat("cont-small", LIM, lambda c: fr(HEADERS, ES, 1, c.block([])), fr(CONT, 0, 1, lit("x-a", "b")), note="CONTINUATION, 1 field each")
repeat("cont-big", LIM, lambda c: fr(HEADERS, ES, 1, c.block([])), fr(CONT, 0, 1, lit("x-a", "b" * 16000)), per=4, rounds=64, note="CONTINUATION, 4 MB in all")
repeat("ping", LIM, none, fr(PING, 0, 0, b"12345678"), note="PING, peer reads")
repeat("ping-noread", LIM, none, fr(PING, 0, 0, b"12345678"), per=1000, rounds=200, note="PING x 200k, peer never reads", read=False)
repeat("settings", LIM, none, fr(SETTINGS, 0, 0, b"\0\4\0\1\0\0"), note="SETTINGS, peer reads")
repeat("settings-noread", LIM, none, fr(SETTINGS, 0, 0, b"\0\4\0\1\0\0"), per=1000, rounds=100, note="SETTINGS x 100k, never reads", read=False)
repeat("settings-wide", LIM + ["silent"], none, fr(SETTINGS, 0, 0, b"\0\4\0\1\0\0" * 2700), per=2, rounds=20, note="2700 parameters per SETTINGS")
repeat("empty-data", LIM + ["rst"], lambda c: c.req(1, flags=EH, method="POST"), fr(DATA, 0, 1, b""), note="empty DATA")
repeat("wu", LIM, none, fr(WU, 0, 0, b"\0\0\0\1"), note="WINDOW_UPDATE 1 on connection")
repeat("priority", LIM, none, lambda c, i: fr(PRIORITY, 0, 1 + 2 * (i % 50000), b"\0\0\0\0\x10"), note="PRIORITY")
repeat("rst-closed", LIM, lambda c: c.req(1), fr(RST, 0, 1, b"\0\0\0\x08"), note="RST on a closed stream")
repeat("unknown", LIM, none, fr(0xbb, 0, 0, b""), note="unknown frame type, empty")
repeat("pad-data", LIM + ["rst", "silent"], lambda c: c.req(1, flags=EH, method="POST"), fr(DATA, PAD, 1, b"\xff" + b"\0" * 255), per=50, rounds=20, note="padding only DATA (flow controlled)")


@case("size-hpack-bomb", ["status 431", "status 400", "rst", "goaway", "closed"], "flood", "one 4 kB table entry referenced 4000 times: 16 MB from 8 kB")
def _(a, up):
    c = H2(a); c.hello()
    blk = b"".join(lit(*p) for p in P)
    big = b"\x40\x03x-b" + b"\x7f" + hint(3900 - 127) + b"v" * 3900
    c.send(fr(HEADERS, ES | EH, 1, blk + big + b"\xbe" * 4000)); c.pump(LONG, lambda: c.done(1))
    c.rss = rss(a.pid); return c


@case("size-hpack-bomb-x50", ["status 431", "status 400", "rst", "goaway", "closed"], "flood", "same on 50 streams, held open")
def _(a, up):
    c = H2(a); c.hello()
    blk = b"".join(lit(*p) for p in ((":method", "POST"),) + P[1:])
    big = b"\x40\x03x-b" + b"\x7f" + hint(3900 - 127) + b"v" * 3900
    for i in range(50):
        if not c.send(fr(HEADERS, EH, 1 + 2 * i, blk + (big if i == 0 else b"") + b"\xbe" * 4000)):
            break
    c.pump(LONG, lambda: c.done(99)); c.rss = rss(a.pid); return c


@case("size-cookie-bomb", ["status 431", "status 400", "rst", "goaway", "closed"], "flood", "6000 indexed cookie crumbs in one head")
def _(a, up):
    c = H2(a); c.hello()
    blk = b"".join(lit(*p) for p in P) + b"\x60\x03a=b" + b"\xbe" * 6000
    c.send(fr(HEADERS, ES | EH, 1, blk)); c.pump(LONG, lambda: c.done(1)); c.rss = rss(a.pid); return c


def bomb(name, field, ref, note):
    @case(name, ["status 431", "status 400", "rst", "goaway", "closed"], "flood", note)
    def f(a, up):
        c = H2(a, settings=b"\0\4\0\0\0\0"); c.hello()
        base = b"".join(lit(*p) for p in P)
        for i in range(60):
            if not c.send(fr(HEADERS, ES | EH, 1 + 2 * i, base + (field if i == 0 else b"") + ref * 12000)):
                break
        c.pump(LONG, lambda: c.done(119) or 119 in c.status); c.rss = rss(a.pid); return c


bomb("size-h2bomb-tiny", b"\x40\x01a\x00", b"\xbe", "HTTP/2 bomb: 12000 one-byte references to a tiny field, 60 streams, window 0 (CVE-2026-49975 class)")
bomb("size-h2bomb-cookie", b"\x60\x00", b"\xbe", "the same with empty cookie crumbs")


@case("size-1000-fields", ["status 431", "status 400", "rst", "goaway", "closed"], "flood", "1000 small fields")
def _(a, up):
    c = H2(a); c.hello()
    c.send(fr(HEADERS, ES | EH, 1, b"".join(lit(*p) for p in P) + b"".join(lit("x%d" % i, "v") for i in range(1000)))); c.pump(LONG, lambda: c.done(1)); return c


@case("size-streams", ["rst REFUSED", "goaway", "closed"], "flood", "open 1500 request streams, never finish them")
def _(a, up):
    c = H2(a); c.hello()
    for i in range(150):
        if not c.send(b"".join(c.req(1 + 2 * (i * 10 + j), flags=EH, method="POST") for j in range(10))):
            break
    c.pump(LONG, lambda: c.done(2999)); c.pump(1, lambda: c.closed); c.rss = rss(a.pid)
    c.rst.setdefault(1, c.rst.get(2999, c.rst.get(max(c.rst), 99)) if c.rst else 99)
    if c.rst[1] == 99:
        del c.rst[1]
    return c


@case("size-stalled-readers", ["silent", "rst", "goaway", "closed", "status 200"], "flood", "100 streams ask for 2 MB each with window 0: memory must stay bounded")
def _(a, up):
    up.big = True
    c = H2(a, settings=b"\0\4\0\0\0\0"); c.hello()
    for i in range(100):
        c.send(c.req(1 + 2 * i, path="/r/big"))
    c.pump(2.0); c.rss = rss(a.pid); return c


def rss(pid):
    if not pid:
        return 0
    try:
        t = 0
        for l in open("/proc/%d/status" % pid):
            if l.startswith("VmRSS"):
                t = int(l.split()[1])
        return t
    except OSError:
        return -1


def cpu(pid):
    try:
        f = open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split(); return (int(f[11]) + int(f[12])) * 10
    except (OSError, TypeError):
        return 0


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--target", required=True); ap.add_argument("--upstream-port", type=int, required=True)
    ap.add_argument("--pid", default="0"); ap.add_argument("--only", default=""); ap.add_argument("--json"); ap.add_argument("-v", action="store_true")
    a = ap.parse_args()
    up = R.Upstream(a.upstream_port); up.resp = [b"HTTP/1.1 200 OK\r\nContent-Length: 2097152\r\n\r\n" + b"z" * 2097152]; up.start(); time.sleep(0.1)
    print("upstream-port %d" % up.ls.getsockname()[1], flush=True)
    a.addr = R.address(a.target)
    a.pid = int(R.content(a.pid))
    c = H2(a); c.hello(); print("SETTINGS:", {("table", "push", "streams", "window", "frame", "hdrlist")[k - 1] if 1 <= k <= 6 else k: v for k, v in sorted(c.settings.items())}); c.close()
    out = []
    for name, want, kind, note, f in CASES:
        if not name.startswith(a.only):
            continue
        up.reset_log(); r0, c0, t0 = rss(a.pid), cpu(a.pid), time.monotonic()
        try:
            c = f(a, up); o = c.out()
        except (OSError, ValueError) as e:
            c = None; o = ["error %s" % e]
        r1, c1, ms = rss(a.pid), cpu(a.pid), int((time.monotonic() - t0) * 1000)
        peak = max(r1, getattr(c, "rss", 0) or 0)
        sent = getattr(c, "sent", None)
        got = {k: v for k, v in c.counts.items()} if c else {}
        if c:
            c.close()
        time.sleep(0.05)
        up.settle()
        with up.lock:
            reqs = [x for x in up.reqs if not x["target"].startswith("/__probe__")]; crit = list(up.crit); heads = up.heads
        time.sleep(0.03)
        # is a fresh connection served?
        alive = False
        for _ in range(3):
            try:
                k = H2(a); k.hello(); k.send(k.req(1, path="/probe")); k.pump(LONG, lambda: k.done(1)); alive = k.status.get(1) == 200; k.close()
            except OSError:
                pass
            if alive:
                break
            time.sleep(0.3)
        up.settle()
        txt = ", ".join(o)
        good = any(t.startswith(w) for w in want for t in o)
        v = "ok" if good else ("weak" if kind == "flood" else "FAIL")
        why = []
        if kind == "msg" and want is BAD and reqs and not (name == "msg-cl-0" and "rst" in txt):
            why.append("reached upstream as %s %s" % (reqs[0]["method"], reqs[0]["target"][:50])); v = "FAIL"
        if any("smuggled" in x["target"] or "/evil" in x["target"] for x in reqs) or any(k in ("x-evil",) for x in reqs for k, _ in x["fields"]):
            v = "crit"; why.append("INJECTED")
        if kind == "msg" and crit:
            v = "crit"; why += crit[:2]
        if name == "msg-host-diff" and reqs:
            hs = [val for k, val in reqs[0]["fields"] if k == "host"]; why.append("host=%s" % hs); v = "ok" if hs == ["a.test"] else "FAIL"
        if name == "msg-cookie-crumbs" and reqs:
            ck = [val for k, val in reqs[0]["fields"] if k == "cookie"]; why.append("cookie=%s" % ck); v = "ok" if len(ck) == 1 else "FAIL"
        if not alive:
            v = "crit"; why.append("no service afterwards")
        rec = dict(name=name, kind=kind, verdict=v, outcome=txt, sent=sent, upstream=len(reqs), heads=heads, ms=ms, cpu_ms=c1 - c0, rss_kb=r1 - r0, peak_kb=peak - r0, note=note, why=why)
        out.append(rec)
        if a.v or v != "ok" or kind == "flood":
            print("%-4s %-22s %-38s sent=%-6s up=%-5d cpu=%-5dms rss%+dk peak%+dk %s %s" % (v, name, txt[:38], sent, len(reqs), c1 - c0, r1 - r0, peak - r0, ";".join(why)[:90], ""))
            sys.stdout.flush()
    for k in ("conf", "msg", "flood"):
        x = [r for r in out if r["kind"] == k]
        if x:
            print("%s: %d/%d ok, %d weak, %d FAIL, %d crit" % (k, sum(r["verdict"] == "ok" for r in x), len(x), sum(r["verdict"] == "weak" for r in x), sum(r["verdict"] == "FAIL" for r in x), sum(r["verdict"] == "crit" for r in x)))
    if a.json:
        json.dump(out, open(a.json, "w"), indent=0)


if __name__ == "__main__":
    main()
