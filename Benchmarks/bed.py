"""What the benchmarks share: processes on cores of their own, an upstream, a sink for spans, and what a proxy has used."""
import http.server
import os
import pathlib
import re
import shutil
import socket
import subprocess
import threading
import time

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
BODY = b"abcdefghijklmnopqrst"


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Sink(http.server.BaseHTTPRequestHandler):
    """Takes spans and counts the posts' bytes."""

    protocol_version = "HTTP/1.1"
    byte_count = 0

    def do_POST(self):
        left = int(self.headers["Content-Length"])
        Sink.byte_count += left
        while left > 0:
            left -= len(self.rfile.read(min(left, 1 << 20)))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Bed:
    """Starts programs, the proxy on the last core and all others on the rest, and ends them."""

    def __init__(self, folder):
        self.folder, self.started = pathlib.Path(folder), []
        cores = sorted(os.sched_getaffinity(0))
        self.proxy_core = str(cores[-1])
        self.other_cores = ",".join(map(str, cores[:-1] or cores))

    def start(self, command, core=None):
        process = subprocess.Popen(["taskset", "-c", core or self.other_cores, *command],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.started.append(process)
        return process

    def stop(self, process):
        process.kill()
        process.wait()
        self.started.remove(process)

    def end(self):
        for process in list(self.started):
            self.stop(process)

    def file(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def nginx(self, name, http):
        """The command of an nginx with one worker and this in its http block."""
        return [which("nginx"), "-c", self.file(f"{name}.conf", f"""daemon off; master_process off; worker_processes 1; pid {self.folder}/{name}.pid; error_log /dev/null;
events {{ worker_connections 20000; }}
http {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {self.folder}; proxy_temp_path {self.folder}; fastcgi_temp_path {self.folder};
uwsgi_temp_path {self.folder}; scgi_temp_path {self.folder};
{http} }}""")]

    def upstream(self):
        """An nginx that answers every request with BODY; its port."""
        port, = free_ports(1)
        self.start(self.nginx("upstream", f'server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 "{BODY.decode()}"; }} }}'))
        wait_for(port)
        return port

    def sink(self):
        """The port of a sink for spans."""
        port, = free_ports(1)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Sink)
        server.handle_error = lambda *_: None  # a proxy that is stopped closes as it likes
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return port


def which(program):
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin")


def wait_for(port):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"nothing listens on port {port}")


def cpu_nanoseconds(pid):
    return sum(int(path.read_text().split()[0]) for path in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"))


def peak_mebibytes(pid):
    return int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) / 1024
