"""A back end that knows nothing of credentials: it reports what the proxy has sent it."""
import base64, hashlib, http.server, json, sys, threading

released = threading.Event()
served = 0


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        global served
        if self.path == "/served":  # asked by the test, not through the proxy
            return self.reply(served)
        served += 1
        if self.headers.get("Upgrade") == "websocket":
            return self.upgrade()
        if self.path == "/stream":
            return self.stream()
        if self.path == "/release":
            released.set()
        size = len(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        fields = {}
        for name, value in self.headers.items():
            fields.setdefault(name.lower(), []).append(value)
        self.reply({"method": self.command, "path": self.path, "size": size, "fields": fields})

    do_POST = do_HEAD = do_GET

    def reply(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def upgrade(self):
        """Accepts a WebSocket, and sends back each byte."""
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        while data := self.rfile.read(1):
            self.wfile.write(data)
        self.close_connection = True

    def stream(self):
        """Sends a second event only after another request, which no buffer may delay."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("X-Accel-Buffering", "no")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"data: one\n\n")
        released.wait()
        self.wfile.write(b"data: two\n\n")
        self.close_connection = True

    def log_message(self, *args):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
