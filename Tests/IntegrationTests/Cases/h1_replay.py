#!/usr/bin/env python3
"""Replay raw HTTP/1.1 cases through a proxy and judge what comes out on both sides.

  h1_replay.py --proxy 127.0.0.1:8080 --upstream-port 9000 --cases h1-cases.json --json out.json
               [--only PREFIX] [--ours] [--trace] [--pieces N] [--outsider HOST:PORT] [-v]

The proxy under test must send every request to 127.0.0.1:<upstream-port>.  A recording upstream with a
strict referee parser is started here.  Verdict per case: ok / FAIL / crit.
  crit = a request was smuggled, the upstream got ambiguous framing, or the client got another request's answer.
--ours  : judge by the stricter field "ours" instead of "expect".
--trace : also check the trace / X-Forwarded-For assertions (only meaningful for a tracing proxy).
--pieces: send the first 4 KiB of every part in pieces of N bytes, so that the parser sees each split.
--outsider: cases with "peer": "outsider" go to this address of the proxy, where 127.0.0.1 is not trusted.
--upstream-port 0 takes a free port and prints it; --proxy @FILE waits until FILE names the proxy's address.
Loopback only, sequential, stdlib only.
"""
import argparse, json, os, re, select, socket, struct, sys, threading, time

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
RL = re.compile(rb"^(" + TOKEN + rb") ([\x21-\xff]+) HTTP/1\.([01])$")
FLD = re.compile(rb"^(" + TOKEN + rb"):[ \t]*(.*?)[ \t]*$", re.S)
HARDV = re.compile(rb"[\x00\x0a\x0d]")   # other controls are invalid too, but only unsafe, not ambiguous


def expand(s):
    def rep(m):
        return m.group(1) * int(m.group(2))
    return re.sub(r"\{\{REP:((?:.|\r|\n)+?):(\d+)\}\}", rep, s)


def parts(raw):
    """list of bytes | ('pause', s) | ('fin',) | ('close',) | ('rst',)"""
    out = []
    for p in re.split(r"(\{\{(?:FIN|CLOSE|RST|PAUSE:\d+)\}\})", expand(raw)):
        if not p:
            continue
        m = re.match(r"^\{\{(FIN|CLOSE|RST|PAUSE):?(\d*)\}\}$", p)
        if m:
            out.append((m.group(1).lower(), int(m.group(2) or 0) / 1000))
        else:
            out.append(p.encode("latin-1"))
    return out


class Eof(Exception):
    pass


class Buf:
    def __init__(self, sock, timeout):
        self.s, self.b, self.eof, self.reset = sock, b"", False, False
        self.deadline = time.monotonic() + timeout

    def more(self):
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise socket.timeout()
        self.s.settimeout(left)
        try:
            d = self.s.recv(65536)
        except ConnectionError:
            d = b""; self.reset = True
        if not d:
            self.eof = True
            raise Eof()
        self.b += d
        return d

    def until(self, sep, limit=4 << 20):
        while sep not in self.b:
            if len(self.b) > limit:
                raise ValueError("too long")
            self.more()
        h, self.b = self.b.split(sep, 1)
        return h

    def take(self, n):
        while len(self.b) < n:
            self.more()
        d, self.b = self.b[:n], self.b[n:]
        return d


def strict_fields(lines, viol):
    out = []
    for l in lines:
        m = FLD.match(l)
        if not m:
            viol.append("field-syntax:%r" % l[:60]); continue
        if HARDV.search(m.group(2)):
            viol.append("field-octets:%r" % l[:60])
        out.append((m.group(1).decode("latin-1").lower(), m.group(2).decode("latin-1")))
    return out


def read_chunked(buf, viol, crit):
    body, trailers = b"", []
    while True:
        line = buf.until(b"\r\n")
        if b"\n" in line or b"\r" in line:
            crit.append("bare CR/LF in chunk line")
        size, _, ext = line.partition(b";")
        if ext:
            viol.append("chunk-ext forwarded")
        if not re.match(rb"^[0-9A-Fa-f]{1,15}$", size.rstrip(b" \t")):
            crit.append("bad chunk size %r" % size[:20]); raise ValueError("chunk")
        n = int(size, 16)
        if n == 0:
            while True:
                t = buf.until(b"\r\n")
                if not t:
                    return body, trailers
                v = []
                f = strict_fields([t], v)
                crit.extend(v)
                trailers += f
        body += buf.take(n)
        if buf.take(2) != b"\r\n":
            crit.append("no CRLF after chunk data"); raise ValueError("chunk")


class Upstream(threading.Thread):
    def __init__(self, port):
        super().__init__(daemon=True)
        self.ls = socket.socket()
        self.ls.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.ls.bind(("127.0.0.1", port)); self.ls.listen(1024)
        self.lock = threading.Lock()
        self.conns, self.threads, self.case, self.resp, self.delay = set(), [], None, None, 0
        self.reset_log()

    def reset_log(self):
        with getattr(self, "lock", threading.Lock()):
            self.reqs, self.viol, self.crit, self.partial, self.early = [], [], [], [], 0
            self.heads = 0

    def run(self):
        while True:
            c, _ = self.ls.accept()
            c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self.serve, args=(c,), daemon=True)
            with self.lock:
                self.conns.add(c); self.threads.append(thread)
            thread.start()

    def settle(self):
        """Ends every connection and waits until all that came on it was noted: nothing of a case is noted in the next one."""
        with socket.create_connection(self.ls.getsockname(), timeout=60) as last:    # accepted behind all others
            last.sendall(b"GET /__probe__/last HTTP/1.1\r\nHost: a.test\r\n\r\n"); last.recv(1)
        with self.lock:
            threads, self.threads = self.threads, []
            for c in self.conns:
                try:
                    c.shutdown(socket.SHUT_RDWR)      # its thread closes it
                except OSError:
                    pass
        for thread in threads:
            thread.join(60)

    def serve(self, c):
        buf = Buf(c, 120)
        try:
            while self.one(c, buf):
                pass
        except (Eof, socket.timeout, OSError, ValueError):
            pass
        finally:
            with self.lock:
                self.conns.discard(c); c.close()

    def one(self, c, buf):
        viol, crit = [], []
        if not buf.b:
            buf.more()
        if buf.b[:1] in b"\r\n":
            viol.append("blank line before request")
            buf.b = buf.b.lstrip(b"\r\n")
        try:
            head = buf.until(b"\r\n\r\n")
        except Eof:
            with self.lock:
                self.partial.append(("head", buf.b[:80].decode("latin-1")))
            raise
        lines = head.split(b"\r\n")
        m = RL.match(lines[0])
        if not m:
            with self.lock:
                self.crit.append("request line %r" % lines[0][:80])
            c.sendall(b"HTTP/1.1 400 Bad\r\nX-Echo-Path: /bad\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return False
        method, target, minor = m.group(1).decode("latin-1"), m.group(2).decode("latin-1"), int(m.group(3))
        if re.search(r"[\x7f-\xff]", target):
            viol.append("target octets")
        for l in lines:
            if b"\n" in l or b"\r" in l or b"\0" in l:
                crit.append("CR/LF/NUL in head %r" % l[:60])
        f = strict_fields(lines[1:], crit)
        h = {}
        for k, v in f:
            h.setdefault(k, []).append(v)
        if minor == 1 and len(h.get("host", [])) != 1:
            crit.append("host count %d" % len(h.get("host", [])))
        cl, te = h.get("content-length", []), h.get("transfer-encoding", [])
        framing = "none"
        if not target.startswith("/__probe__"):
            with self.lock:
                self.heads += 1
        body, trailers = b"", []
        ok = True
        if cl and te:
            crit.append("both CL and TE sent upstream")
        if len(cl) > 1 or (cl and not re.match(r"^\d{1,19}$", cl[0])):
            crit.append("CL %r" % cl); ok = False
        if te and (len(te) != 1 or te[0].lower() not in ("chunked", "gzip, chunked", "cow, chunked", "identity, chunked")):
            crit.append("TE %r" % te); ok = False
        if te and minor == 0:
            crit.append("TE in HTTP/1.0 upstream")
        rec = dict(method=method, target=target, minor=minor, fields=f, conn=id(c) & 0xffff)
        try:
            if ok and te:
                framing = "chunked"; body, trailers = read_chunked(buf, viol, crit)
            elif ok and cl:
                framing = "cl"; body = buf.take(int(cl[0]))
        except (Eof, socket.timeout, ValueError, OSError):
            with self.lock:
                self.partial.append(("body", target)); self.viol += viol; self.crit += crit
            raise
        rec.update(framing=framing, body=body.decode("latin-1"), trailers=trailers)
        if self.delay and not target.startswith("/__probe__"):
            time.sleep(self.delay)
            r, _, _ = select.select([c], [], [], 0)
            if r or buf.b:
                with self.lock:
                    self.early += 1
        with self.lock:
            self.reqs.append(rec); self.viol += viol; self.crit += crit
        if crit and not ok:
            c.sendall(b"HTTP/1.1 400 Bad\r\nX-Echo-Path: /bad\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return False
        if "100-continue" in ",".join(h.get("expect", [])).lower() and body:
            pass
        if self.resp is not None and target.startswith("/r/"):
            for p in self.resp:
                if isinstance(p, bytes):
                    c.sendall(p)
                elif p[0] == "pause":
                    time.sleep(p[1])
                elif p[0] == "rst":
                    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)); c.close(); return False
                elif p[0] == "close":
                    return False
            return True
        path = target.encode("latin-1")[:200]
        b = b"ok:" + path
        c.sendall(b"HTTP/1.1 200 OK\r\nX-Echo-Path: " + path + b"\r\nContent-Length: %d\r\n\r\n" % len(b) + (b"" if method == "HEAD" else b))
        return True


class Reply:
    def __init__(self):
        self.status, self.fields, self.body, self.framing, self.complete, self.viol, self.h2 = None, [], b"", None, False, [], False

    def get(self, k):
        return [v for n, v in self.fields if n == k]


def read_reply(buf, method, infos, silence=0.3):
    """one final reply, or raises socket.timeout / Eof with r.partial"""
    while True:
        r = Reply()
        if len(buf.b) < 9:
            while len(buf.b) < 9:
                buf.more()
        if buf.b[3:9] == b"\x04\x00\x00\x00\x00\x00" or (buf.b[3:4] == b"\x04" and not buf.b.startswith(b"HTTP")):
            r.h2 = True; r.status = 2; r.complete = True; buf.b = b""
            return r
        head = buf.until(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        m = re.match(rb"^HTTP/1\.[01] (\d{3})(?: (.*))?$", lines[0], re.S)
        if not m:
            r.viol.append("status line %r" % lines[0][:60]); r.status = -1
            return r
        r.status = int(m.group(1))
        for l in lines:
            if b"\r" in l or b"\n" in l or b"\0" in l:
                r.viol.append("CR/LF/NUL to client %r" % l[:60])
        r.fields = strict_fields(lines[1:], r.viol)
        if r.status < 200 and r.status != 101:
            infos.append(r.status)
            if len(infos) > 20000:
                return r
            continue
        break
    cl, te = r.get("content-length"), r.get("transfer-encoding")
    if cl and te:
        r.viol.append("both CL and TE to client")
    if len(cl) > 1:
        r.viol.append("two CL to client")
    try:
        if r.status == 101:
            r.framing = "tunnel"
            try:
                while True:
                    buf.deadline = min(buf.deadline, time.monotonic() + silence); buf.more()
            except (socket.timeout, Eof):
                pass
            r.body, buf.b, r.complete = buf.b, b"", True
        elif method == "HEAD" or r.status in (204, 304):
            r.framing = "chunked" if te else "cl" if cl else "none"; r.complete = True
            try:      # a body here would be a violation
                buf.deadline = min(buf.deadline, time.monotonic() + 0.12)
                while not buf.b:
                    buf.more()
            except (socket.timeout, Eof):
                pass
            if buf.b and not buf.b.startswith(b"HTTP/"):
                r.viol.append("body after bodyless reply %r" % buf.b[:20]); r.body = buf.b; buf.b = b""
        elif te:
            r.framing = "chunked"
            v, cr = [], []
            r.body, r.trailers = read_chunked(buf, v, cr)
            r.viol += cr; r.complete = not cr
        elif cl:
            r.framing = "cl"
            n = int(cl[0]) if re.match(r"^\d{1,18}$", cl[0]) else -1
            if n < 0:
                r.viol.append("CL to client %r" % cl[0][:20])
            else:
                r.body = buf.take(n); r.complete = True
        else:
            r.framing = "close"
            try:
                while True:
                    buf.more()
            except Eof:
                pass
            except socket.timeout:
                r.framing = "close-open"
            r.body, buf.b, r.complete = buf.b, b"", not buf.reset
    except (Eof, socket.timeout, ValueError):
        if r.framing == "cl":
            r.body, buf.b = buf.b, b""
        r.complete = False
    return r


def run_case(a, up, case, patient=False):
    """Patient: waits for what may still come as long as either side may stand still."""
    kind = case["kind"]
    timeout, silence = (30, 5) if patient else (a.timeout, 0.3)
    up.delay = case.get("delay", 0) / 1000
    method = "GET"
    if kind == "response":
        up.resp = parts(case["raw"])
        method = "HEAD" if case.get("req") == "HEAD" else "GET"
        extra = ""
        if case.get("req") == "WS":
            extra = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        send = [("%s /r/%s HTTP/1.1\r\nHost: a.test\r\n%s\r\n" % (method, case["id"], extra)).encode()]
    else:
        up.resp = None
        send = parts(case["raw"])
        m0 = re.match(r"^(HEAD) ", case["raw"])
        method = m0.group(1) if m0 else "GET"
    up.reset_log()
    t0 = time.monotonic()
    s = socket.create_connection(a.outsider_addr if case.get("peer") == "outsider" else a.addr, timeout=30)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    res = dict(replies=[], infos=[], hang=False, closed=False, probe=None, viol=[])
    try:
        for p in send:
            if isinstance(p, bytes):
                cut = min(len(p), 4096) if a.pieces else 0
                for i in range(0, cut, a.pieces or 1):
                    s.sendall(p[i:min(i + a.pieces, cut)])
                s.sendall(p[cut:])
            elif p[0] == "pause":
                time.sleep(p[1])
            elif p[0] == "fin":
                s.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    buf = Buf(s, timeout)
    want = case.get("count", 1)
    most = case.get("count_max", want)
    fin = any(isinstance(p, tuple) and p[0] == "fin" for p in send)
    try:
        while True:
            n = len(res["replies"])
            if n >= want:
                # What is a reply to the next request must not be taken for one to the probe.
                buf.deadline = time.monotonic() + (5 if n < most else a.idle + case.get("delay", 0) / 1000)
                if not buf.b:
                    buf.more()
                buf.deadline = time.monotonic() + timeout
            r = read_reply(buf, method, res["infos"], silence)
            res["replies"].append(r)
            if r.status in (-1, 2, 101) or r.framing in ("close", "close-open") or not r.complete:
                break
    except socket.timeout:
        if not res["replies"]:
            res["hang"] = True
    except Eof:
        res["closed"] = True
    except (ValueError, OSError) as e:
        res["viol"].append("client read: %s" % e)
    if buf.b and not res["replies"]:
        res["viol"].append("unparsed reply %r" % buf.b[:80])
    if res["replies"] and res["replies"][-1].framing == "close":
        res["closed"] = True
    if buf.eof:
        res["closed"] = True
    tunnel = res["replies"] and res["replies"][-1].status in (101, 2)
    if not res["closed"] and not res["hang"] and not fin and not tunnel and res["replies"] and all(r.complete for r in res["replies"]):
        path = "/__probe__/%s" % case["id"]
        try:
            s.sendall(("GET %s HTTP/1.1\r\nHost: a.test\r\n\r\n" % path).encode())
            b2 = Buf(s, timeout); pi = []
            r = read_reply(b2, "GET", pi)
            got = (r.get("x-echo-path") or [""])[0]
            res["probe"] = "ok" if got == path else "closed" if r.status in (400, 408, 502, 503) and not got else "WRONG:%s:%s" % (r.status, got)
        except Eof:
            res["probe"] = "closed"
        except (socket.timeout, OSError, ValueError):
            res["probe"] = "hang"
        if res["probe"] == "closed":
            res["closed"] = True
    try:
        s.close()
    except OSError:
        pass
    time.sleep(0.03 if kind == "request" else 0.02)
    up.settle()
    with up.lock:
        reqs = [r for r in up.reqs if not r["target"].startswith("/__probe__")]
        res.update(reqs=reqs, uviol=list(up.viol), ucrit=list(up.crit), partial=list(up.partial), early=up.early, heads=up.heads,
                   npr=len(up.reqs) - len(reqs))
    # Something was cut by our patience alone.
    res["late"] = (len(res["replies"]) < want or res["probe"] == "hang"
                   or any(not r.complete or r.framing in ("close-open", "tunnel") for r in res["replies"]))
    res["ms"] = int((time.monotonic() - t0) * 1000)
    time.sleep(0.03)
    return res


def judge(case, res, ours, trace):
    """-> (verdict, outcome, [reasons])"""
    why, crit = [], []
    want = case["ours"] if ours else case["expect"]
    reps = res["replies"]
    first = reps[0] if reps else None
    status = first.status if first else (0 if res["closed"] else None)
    own = bool(first and first.get("x-echo-path"))
    for r in reps:
        why += ["client:" + v for v in r.viol]
    if res["probe"] and res["probe"].startswith("WRONG"):
        crit.append("probe got another answer " + res["probe"])
    if case["kind"] == "request":
        whole = res["reqs"]
        n = len(whole)
        uc = list(res["ucrit"])
        if uc:
            crit += ["upstream:" + x for x in uc]
        smug = [r["target"] for r in whole if "smuggled" in r["target"] and "smuggled" not in str(case.get("paths_allowed", ""))]
        if smug:
            crit.append("smuggled " + ",".join(smug))
        if res["early"] :
            crit.append("bytes sent upstream before the upgrade was accepted")
        if n and (own or n >= 1 and status == 200):
            outcome = "forward"
        elif n:
            outcome = "forward+%s" % status
        elif res["hang"]:
            outcome = "hang"
        elif res["partial"] or res["heads"]:
            outcome = "cut"       # started upstream, never completed
        else:
            outcome = "reject"
        tag = outcome if outcome == "forward" else "%s %s" % (outcome, "-" if status is None else status)
        rej_ok = outcome in ("reject", "cut") and (status in case.get("status", [400]) or (outcome == "cut" and case.get("streaming")))
        if outcome == "cut" and not case.get("streaming"):
            rej_ok = rej_ok and not res["heads"]
        if rej_ok and case.get("must_close") and res["probe"] == "ok":
            rej_ok = False; why.append("connection kept after framing error")
        if outcome == "forward+101" and 101 in case.get("status", []) and whole and not any(k in ("upgrade", "http2-settings") for k, _ in whole[0]["fields"]):
            rej_ok = True          # the proxy took the h2c upgrade itself and passed a clean request on
        fw = []
        if outcome == "forward":
            exp = case.get("count", 1)
            mx = case.get("count_max", exp)
            if not (1 <= n <= mx) or (exp > 1 and n < exp):
                crit.append("%d requests upstream, %d sent" % (n, exp))
            r0 = whole[0]
            if case.get("framing_check", True) and case["forwarded_framing"] and r0["framing"] not in case["forwarded_framing"].split("|"):
                if not (r0["framing"] == "none" and case["forwarded_framing"] == "none") and not (case["forwarded_framing"] == "none" and r0["framing"] in("cl","chunked") and r0["body"] == ""):
                    crit.append("framing %s not %s" % (r0["framing"], case["forwarded_framing"]))
            if "body" in case and r0["body"] != expand(case["body"]):
                crit.append("body %r" % r0["body"][:60])
            if r0["minor"] != 1:
                fw.append("upstream version 1.%d" % r0["minor"])
            if case.get("targets") and r0["target"] not in case["targets"]:
                # absolute-form to the origin is legal, if unhelpful
                fw.append("target %r" % r0["target"][:60])
            if case.get("methods") and r0["method"] not in case["methods"]:
                fw.append("method %r" % r0["method"])
            if case.get("paths") and [r["target"] for r in whole] != case["paths"]:
                crit.append("order %r" % [r["target"] for r in whole])
            h = {}
            for k, v in r0["fields"]:
                h.setdefault(k, []).append(v)
            if "host" in case and h.get("host") != [case["host"]]:
                fw.append("host %r" % h.get("host"))
            if h.get("host") and h["host"][0] in case.get("host_not", []):
                fw.append("host %r" % h["host"])
            fw += ["field kept: " + k for k in case.get("absent", []) if k in h]
            fw += ["field value kept: " + k for k, v in case.get("absent_value", {}).items() if v in ",".join(h.get(k, []))]
            for k, v in case.get("has", {}).items():
                if v not in h.get(k, []):
                    fw.append("field lost: %s=%r" % (k, h.get(k)))
            for k, v in case.get("order", {}).items():
                got = h.get(k, [])
                if got != v and [x.strip() for x in ",".join(got).split(",")] != v:
                    fw.append("order lost %s=%r" % (k, got))
            for k, v in case.get("not_value", {}).items():
                if v in h.get(k, []):
                    fw.append("nominated field kept: " + k)
            bt = [t for t, _ in r0["trailers"] if t in case.get("no_trailer", [])]
            if bt:
                fw.append("trailers %r" % bt)
            if "target octets" in res["uviol"] and not case.get("octets_ok"):
                fw.append("target octets")
            if case.get("no_1xx") and res["infos"]:
                fw.append("1xx to 1.0 client")
            if case.get("fwd_must_close") and res["probe"] == "ok":
                fw.append("connection kept")
            if case.get("nprobe") is None and res["probe"] == "hang":
                crit.append("probe hung (desync)")
            if trace:
                for k, rx in case.get("trace", {}).items():
                    vals = [v for kk in k.split("|") for v in h.get(kk, [])]
                    if not any(re.search(rx, v) for v in vals):
                        fw.append("trace %s=%r" % (k, [v[:40] for v in vals]))
                for k, rx in case.get("trace_not", {}).items():
                    if any(re.search(rx, v) for v in h.get(k, [])):
                        fw.append("trace kept %s" % k)
                for k in case.get("single", []):
                    if len(h.get(k, [])) != 1:
                        fw.append("%d x %s" % (len(h.get(k, [])), k))
        fwd_ok = outcome == "forward" and not fw
        why += fw
        good = {"reject": rej_ok, "forward": fwd_ok, "either": rej_ok or fwd_ok or (outcome == "reject" and status in range(400, 600))}[want]
    else:
        body = None if not first else first.body.decode("latin-1")
        gen = bool(first and status in (500, 502, 503, 504))
        if first is None:
            outcome = "closed" if res["closed"] else "hang"
        elif gen:
            outcome = "reject"
        elif not first.complete:
            outcome = "truncated"
        else:
            outcome = "forward"
        tag = "%s %s" % (outcome, "-" if status is None else status)
        okst = case.get("status", [502])
        rej_ok = (outcome == "reject" and status in okst + [502]) or (outcome == "closed" and 0 in okst) or (outcome == "truncated" and case.get("truncate"))
        fw = []
        if outcome == "forward":
            if status != case.get("expect_status", 200):
                fw.append("status %s" % status)
            if "body" in case and body != case["body"]:
                fw.append("body %r" % body[:40])
            if "body_any" in case and body not in case["body_any"]:
                fw.append("body %r" % body[:40])
            fw += ["field kept: " + k for k in case.get("no_resp", []) if first.get(k)]
            if first.viol:
                fw.append("malformed to client")
            if case["forwarded_framing"] and first.framing not in case["forwarded_framing"].split("|") + ["tunnel"]:
                fw.append("framing %s" % first.framing)
        if len(reps) > 1:
            crit.append("%d replies for one request" % len(reps))
        if res["probe"] == "hang":
            crit.append("probe hung")
        if case.get("truncate") and outcome == "forward":
            fw.append("truncated or broken reply shown as whole")
        why += fw
        fwd_ok = outcome == "forward" and not fw
        good = {"reject": rej_ok, "forward": fwd_ok, "either": rej_ok or fwd_ok or outcome in ("reject", "closed")}[want]
        if outcome == "hang":
            good = False
    if crit:
        return "crit", tag, crit + why
    return ("ok" if good else "FAIL"), tag, why


def address(text):
    """HOST:PORT, or @FILE that will hold it."""
    h, _, p = content(text).rpartition(":")
    return h, int(p)


def content(text):
    """The text, or what @FILE will hold."""
    if not text.startswith("@"):
        return text
    deadline = time.monotonic() + 60
    while not (os.path.exists(text[1:]) and open(text[1:]).read().endswith("\n")):
        if time.monotonic() > deadline:
            sys.exit("nothing in %s" % text[1:])
        time.sleep(0.02)
    return open(text[1:]).read().strip()


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--proxy", required=True); ap.add_argument("--upstream-port", type=int, default=0)
    ap.add_argument("--cases", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "h1-cases.json"))
    ap.add_argument("--json"); ap.add_argument("--only", default=""); ap.add_argument("--ours", action="store_true")
    ap.add_argument("--pieces", type=int, default=0); ap.add_argument("--outsider")
    ap.add_argument("--trace", action="store_true"); ap.add_argument("-v", action="store_true")
    ap.add_argument("--timeout", type=float, default=1.5); ap.add_argument("--idle", type=float, default=0.12)
    a = ap.parse_args()
    up = Upstream(a.upstream_port); up.start()
    print("upstream-port %d" % up.ls.getsockname()[1], flush=True)
    a.addr = address(a.proxy)
    a.outsider_addr = address(a.outsider) if a.outsider else a.addr
    cases = [c for c in json.load(open(a.cases))["cases"] if c["id"].startswith(a.only)]
    out, dead = [], 0
    for c in cases:
        try:
            res = run_case(a, up, c)
        except OSError as e:
            dead += 1
            out.append(dict(id=c["id"], kind=c["kind"], verdict="crit", strict="crit", outcome="proxy unreachable", why=[str(e)], ms=0))
            if dead > 5:
                print("proxy is down, stopping"); break
            time.sleep(0.5); continue
        v, tag, why = judge(c, res, a.ours, a.trace)
        pooled = c["kind"] == "request" and tag in ("reject 502", "reject 503")
        proven = ("probe got", "upstream:", "smuggled", "bytes sent")
        hung = (res["late"] and len(res["reqs"]) <= c.get("count_max", c.get("count", 1))
                and not any(w.startswith(proven) or " replies for " in w for w in why))
        if v != "ok" and (pooled or hung):
            time.sleep(0.3)       # a pooled upstream connection closed by us between cases, or a busy machine: once more
            res = run_case(a, up, c, patient=True); v, tag, why = judge(c, res, a.ours, a.trace)
        v2, _, why2 = judge(c, res, True, a.trace)
        out.append(dict(id=c["id"], kind=c["kind"], expect=c["expect"], verdict=v, strict=v2, outcome=tag, why=why, why_strict=why2, probe=res["probe"],
                        ms=res["ms"], upstream=[(r["method"], r["target"][:80], r["framing"], r["body"][:80]) for r in res["reqs"]], infos=len(res["infos"])))
        if a.v or (v != "ok"):
            print("%-5s %-22s want %-8s got %-16s probe=%s %s" % (v, c["id"], c["expect"], tag, res["probe"], "; ".join(why)[:160]))
    up.settle()
    for kind in ("request", "response"):
        o = [x for x in out if x["kind"] == kind]
        if o:
            print("%s: %d/%d ok, %d crit | by the stricter 'ours' field: %d/%d" % (kind, sum(x["verdict"] == "ok" for x in o), len(o),
                  sum(x["verdict"] == "crit" for x in o), sum(x["strict"] == "ok" for x in o), len(o)))
    print("failing:", " ".join(x["id"] for x in out if x["verdict"] != "ok"))
    if a.json:
        json.dump(out, open(a.json, "w"), indent=0)
    return 0 if all(x["verdict"] == "ok" for x in out) else 1


if __name__ == "__main__":
    sys.exit(main())
