"""A server that speaks OpenAI's protocol, on a thread of its own, with a tiny model behind it."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from trl_weighted_dpo.sampling import SampleRequest, SamplingConfig


class Server(ThreadingHTTPServer):
    """Answers from a sampler; `busy` is a list of (status, headers) that it gives first."""

    def __init__(self, sampler, key=None, busy=()):
        super().__init__(("127.0.0.1", 0), Handler)
        self.sampler, self.key, self.busy, self.bodies = sampler, key, [*busy], []
        self.lock = threading.Lock()
        self.at_once = self.most_at_once = 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_GET(self):
        self._answer(lambda: {"object": "list", "data": [{"id": "tiny", "object": "model"}]}, "/v1/models")

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(lambda: self._completion(body), "/v1/completions")

    def _completion(self, body):
        server = self.server
        with server.lock:
            server.bodies.append(body)
            server.at_once += 1
            server.most_at_once = max(server.at_once, server.most_at_once)
        config = SamplingConfig(
            1, body["temperature"], body["top_p"], body.get("top_k", 0), body["max_tokens"], body.get("stop", ())
        )
        request = SampleRequest(body["prompt"], body["seed"], "served", 0)
        with server.lock:
            [(_, sample)] = server.sampler.generate([request], config)
            server.at_once -= 1
        reason = "length" if sample.truncated else "stop"
        choice = {"index": 0, "text": sample.solution, "finish_reason": reason, "logprobs": None}
        return {"object": "text_completion", "choices": [choice], "usage": {"completion_tokens": sample.tokens}}

    def _answer(self, make, path):
        server = self.server
        if server.key is not None and self.headers["Authorization"] != f"Bearer {server.key}":
            return self._send(401, {"error": {"message": "Incorrect API key"}})
        if self.path != path:
            return self._send(404, {"detail": "Not Found"})
        with server.lock:
            busy = server.busy.pop(0) if server.busy else None
        if busy is not None:
            return self._send(busy[0], {"error": "busy"}, busy[1])
        return self._send(200, make())

    def _send(self, status, content, headers=()):
        text = json.dumps(content).encode()
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@contextmanager
def serving(sampler, **settings):
    server = Server(sampler, **settings)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
