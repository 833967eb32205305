"""Samples from a server that speaks OpenAI's protocol, such as vLLM's, SGLang's or llama.cpp's."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from typing import Any

import httpx

from trl_weighted_dpo.core.models import load_tokenizer
from trl_weighted_dpo.core.rendering import turn_end
from trl_weighted_dpo.sampling.options import read_options
from trl_weighted_dpo.sampling.requests import Sample, SampleRequest
from trl_weighted_dpo.sampling.text import ended
from trl_weighted_dpo.settings.sampling import SamplingConfig, ServerBackendConfig

SEEDS = 2**31
"""Servers take fewer seeds than 2⁶³; llama.cpp takes 32 bits."""

TRY_AGAIN = (408, 409, 425, 429, 500, 502, 503, 504)
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
"""Seconds before the second try, doubled with each further one, and at most. A server's `Retry-After` goes before."""


class ServerSampler:
    """Samples by `POST /completions`, one request for each.

    Args:
        model (`str`):
            The name that the server knows the model by.
        options (`Mapping[str, Any]`):
            Those of [`ServerBackendConfig`].

    Raises:
        `ValueError`: If an option is missing or unknown, no server answers, it refuses the key, or it does not have the
            model.
    """

    def __init__(self, model: str, options: Mapping[str, Any]) -> None:
        self._options = read_options(ServerBackendConfig, options, "server")
        if not self._options.base_url:
            raise ValueError("The backend 'server' needs base_url (--base-url), such as http://localhost:8000/v1.")
        self._model = model
        # The server's file may change under the same name; that is for who starts it to know.
        self.identity = f"server {model}"
        key = os.environ.get(self._options.api_key_env)
        self._client = httpx.Client(
            base_url=self._options.base_url.rstrip("/") + "/",
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(self._options.timeout, connect=30.0),
            limits=httpx.Limits(max_connections=self._options.concurrency),
        )
        self._check_model()
        self.tokenizer = None
        if self._options.tokenizer != "none":
            self.tokenizer = self._load_tokenizer()
        # The server's model may have other EOS tokens than the template's turns end with.
        end = turn_end(self.tokenizer)
        self._stops = (end,) if end else ()

    def generate(self, requests: Sequence[SampleRequest], config: SamplingConfig) -> Iterator[tuple[int, Sample]]:
        """Yields position and sample of each request, in the order of the answers.

        Raises:
            `ValueError`: If the server refuses a request, gives no answer after all tries, or one in another format.
        """
        pool = ThreadPoolExecutor(self._options.concurrency)
        try:
            places = {pool.submit(self._sample, request, config): place for place, request in enumerate(requests)}
            for future in as_completed(places):
                yield places[future], future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _sample(self, request: SampleRequest, config: SamplingConfig) -> Sample:
        config = replace(config, stop=[*dict.fromkeys((*config.stop, *self._stops))])
        body = request_body(self._model, request, config)
        if self._options.keep_special_tokens:
            body["skip_special_tokens"] = False
        answer = self._answer("POST", "completions", body)
        try:
            [choice] = answer["choices"]
            text, reason = choice["text"], choice["finish_reason"]
            if not isinstance(text, str):
                raise TypeError("the text is none")
            tokens = (answer.get("usage") or {}).get("completion_tokens") or 0
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{self._options.base_url}: the answer to a completion is not in OpenAI's format: {answer!r:.200}"
            ) from error
        return Sample(*ended(text, config.stop, reason == "length"), tokens)

    def _check_model(self) -> None:
        answer = self._answer("GET", "models")
        listed = answer.get("data") if isinstance(answer, dict) else None
        names = [item.get("id") for item in listed or () if isinstance(item, dict)]
        if self._model not in names:
            there = ", ".join(map(str, names)) or "none"
            raise ValueError(
                f"{self._options.base_url}: the server has no model {self._model!r}; it has: {there}. Name one of them "
                "(--model)."
            )

    def _load_tokenizer(self) -> Any:
        name = self._options.tokenizer
        try:
            return load_tokenizer(name or self._model)
        except ValueError as error:
            if name is not None:
                raise
            raise ValueError(
                f"{error} The prompts are rendered here: name the model's tokenizer (--tokenizer), or, for the prompt "
                "template without a chat template, --tokenizer none."
            ) from error

    def _answer(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The server's answer as JSON; asks again while it is busy or not to be reached."""
        url, reason = f"{self._client.base_url}{path}", ""
        for attempt in range(self._options.tries):
            pause = min(FIRST_WAIT * 2**attempt, LONGEST_WAIT)
            try:
                response = self._client.request(method, path, json=body)
            except httpx.TransportError as error:
                reason = f"{type(error).__name__}: {error}"
            else:
                if response.status_code not in TRY_AGAIN:
                    return self._checked(response)
                reason = f"status {response.status_code}: {response.text[:200]}"
                asked = response.headers.get("Retry-After", "")
                pause = min(float(asked), LONGEST_WAIT) if asked.isdecimal() else pause
            if attempt + 1 < self._options.tries:
                time.sleep(pause)
        raise ValueError(
            f"{url}: no answer after {self._options.tries} tries ({reason}). Is the server up and the address right? "
            "Lower the concurrency if it is busy; run again to go on."
        )

    def _checked(self, response: httpx.Response) -> Any:
        status, url, said = response.status_code, response.url, response.text[:300]
        if status in (401, 403):
            raise ValueError(
                f"{url}: the server refuses the key (status {status}: {said}). Put it into the environment variable "
                f"{self._options.api_key_env}, or name another one (--option api_key_env=NAME)."
            )
        if status == 404:
            raise ValueError(
                f"{url}: the server knows no such address or model (status 404: {said}). The address ends with /v1 "
                f"as a rule; the model is {self._model!r}."
            )
        if status >= 300:
            raise ValueError(f"{url}: the server refuses the request (status {status}: {said}).")
        try:
            return response.json()
        except ValueError as error:
            raise ValueError(f"{url}: the answer is not JSON: {said!r}. Does the address end with /v1?") from error


def request_body(model: str, request: SampleRequest, config: SamplingConfig) -> dict[str, Any]:
    """The body of `POST /completions`. `top_k` is not OpenAI's and is left out where it keeps all tokens."""
    body: dict[str, Any] = {
        "model": model,
        "prompt": request.prompt,
        "n": 1,
        "temperature": config.temperature,
        "top_p": config.top_p,
        "max_tokens": config.max_new_tokens,
        "seed": request.seed % SEEDS,
    }
    if config.top_k:
        body["top_k"] = config.top_k
    if config.stop:
        body["stop"] = [*config.stop]
    return body
