"""Sampling from a server by HTTP: what is asked for, what is made of the answer, and what may go wrong."""

import http.server
import threading

import pytest

from tests.sampling.serving import serving
from tests.templates import CHATML
from tests.tiny import tiny_model, tiny_pool, tiny_tokenizer
from trl_weighted_dpo.sampling import SampleRequest, SamplingConfig
from trl_weighted_dpo.sampling.requests import sample_seed
from trl_weighted_dpo.sampling.server_sampler import ServerSampler
from trl_weighted_dpo.sampling.transformers_sampler import TransformersSampler

REQUESTS = [
    SampleRequest(row["problem"] + "\n", sample_seed(0, row["id"], index), row["id"], index)
    for row in tiny_pool(3)
    for index in range(2)
]
CONFIG = SamplingConfig(max_new_tokens=6, top_k=20, top_p=0.9, stop=("5",))


@pytest.fixture(scope="module")
def local():
    return TransformersSampler(tiny_model(), tiny_tokenizer())


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("trl_weighted_dpo.sampling.server_sampler.FIRST_WAIT", 0.001)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def of(server, **options):
    return ServerSampler("tiny", {"base_url": server.url, "tokenizer": "none", **options})


def test_samples_are_those_of_the_model_behind_it(local):
    with serving(local) as server:
        found = dict(of(server, concurrency="3").generate(REQUESTS, CONFIG))
        bodies = server.bodies
        assert server.most_at_once <= 3
    by_prompt_and_seed = {(body["prompt"], body["seed"]): body for body in bodies}
    assert by_prompt_and_seed.keys() == {(one.prompt, one.seed % 2**31) for one in REQUESTS}
    assert bodies[0] == {
        "model": "tiny", "prompt": bodies[0]["prompt"], "n": 1, "temperature": 0.8, "top_p": 0.9, "top_k": 20,
        "max_tokens": 6, "seed": bodies[0]["seed"], "stop": ["5"],
    }  # fmt: skip
    asked = [SampleRequest(one.prompt, one.seed % 2**31, one.problem_id, one.index) for one in REQUESTS]
    assert found == dict(local.generate(asked, CONFIG))


def test_what_is_not_openais_is_left_out_where_it_changes_nothing(local):
    with serving(local) as server:
        [*of(server).generate(REQUESTS[:1], SamplingConfig(max_new_tokens=2))]
        assert server.bodies[0].keys() == {"model", "prompt", "n", "temperature", "top_p", "max_tokens", "seed"}


def test_the_end_of_a_turn_is_a_stop_string_and_special_tokens_stay_if_asked_for(local, tmp_path):
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = CHATML
    tokenizer.save_pretrained(tmp_path)
    with serving(local) as server:
        sampler = of(server, tokenizer=str(tmp_path), keep_special_tokens="true")
        [*sampler.generate(REQUESTS[:1], CONFIG)]
        [*sampler.generate(REQUESTS[:1], SamplingConfig(max_new_tokens=2, stop=("<|im_end|>",)))]
        assert [body["stop"] for body in server.bodies] == [["5", "<|im_end|>"], ["<|im_end|>"]]
        assert all(body["skip_special_tokens"] is False for body in server.bodies)


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again(local, status):
    with serving(local) as server:
        sampler = of(server)
        server.busy = [(status, {}), (status, {"Retry-After": "0"}), (500, {})]
        assert len([*sampler.generate(REQUESTS[:2], CONFIG)]) == 2
        assert not server.busy


def test_after_all_tries_the_cause_is_told(local):
    with serving(local) as server:
        sampler = of(server, tries=3)
        server.busy = [(429, {})] * 3
        with pytest.raises(
            ValueError, match=r"/v1/completions: no answer after 3 tries \(status 429: .*busy.*Lower the"
        ):
            [*sampler.generate(REQUESTS[:1], CONFIG)]


def test_no_server_is_told():
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as free:
        url = f"http://127.0.0.1:{free.server_address[1]}/v1"
    with pytest.raises(ValueError, match=r"/v1/models: no answer after 2 tries \(ConnectError: .*Is the server up"):
        ServerSampler("tiny", {"base_url": url, "tries": 2})


def test_a_key_comes_from_the_environment(local, monkeypatch):
    with serving(local, key="secret") as server:
        with pytest.raises(ValueError, match=r"refuses the key \(status 401: .*variable OPENAI_API_KEY, or name"):
            of(server)
        monkeypatch.setenv("OTHER_KEY", "secret")
        [(_, sample)] = of(server, api_key_env="OTHER_KEY").generate(REQUESTS[:1], CONFIG)
        assert sample.tokens > 0


def test_a_wrong_model_and_a_wrong_address_are_told(local):
    with serving(local) as server:
        with pytest.raises(ValueError, match=r"the server has no model 'other'; it has: tiny. Name one of them"):
            ServerSampler("other", {"base_url": server.url})
        with pytest.raises(ValueError, match=r"knows no such address or model.*The address ends with /v1 as a rule"):
            ServerSampler("tiny", {"base_url": server.url.removesuffix("/v1")})
        with pytest.raises(ValueError, match=r"The backend 'server' needs base_url \(--base-url\)"):
            ServerSampler("tiny", {})
        with pytest.raises(ValueError, match=r"name the model's tokenizer \(--tokenizer\), or, .* --tokenizer none"):
            of(server, tokenizer=None)


@pytest.mark.parametrize("answer", ['{"choices": []}', '{"choices": [{"text": null, "finish_reason": "stop"}]}'])
def test_an_answer_in_another_format_is_told(answer):
    class Odd(http.server.BaseHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def do_GET(self):
            self._send(b'{"data": [{"id": "tiny"}]}')

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self._send(answer.encode())

        def _send(self, content):
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Odd)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    with pytest.raises(ValueError, match=r"not in OpenAI's format: \{'choices': \["):
        [*ServerSampler("tiny", {"base_url": url, "tokenizer": "none"}).generate(REQUESTS[:1], CONFIG)]
    server.shutdown()
    server.server_close()
