"""Serves the files of a folder on 127.0.0.1 for the test of scripts/get-data.sh.

Usage: get_data_server.py FOLDER LOG. Prints the port, then serves until it is killed. Answers byte ranges,
except below /plain/. LOG gets one line a request: path, Range header or "-", status.
"""

import http.server
import pathlib
import re
import sys

FOLDER = pathlib.Path(sys.argv[1])
LOG = pathlib.Path(sys.argv[2])


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        ranges = not self.path.startswith("/plain/")
        file = FOLDER / self.path.removeprefix("/plain").lstrip("/")
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")) if ranges else None
        if not file.is_file():
            return self.answer(404, b"no such file", {})
        data = file.read_bytes()
        if wanted is None:
            return self.answer(200, data, {})
        first = int(wanted[1])
        if first >= len(data):
            return self.answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
        where = f"bytes {first}-{len(data) - 1}/{len(data)}"
        return self.answer(206, data[first:], {"Content-Range": where})

    def answer(self, status, body, headers):
        with LOG.open("a") as log:
            log.write(f"{self.path} {self.headers.get('Range', '-')} {status}\n")
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
