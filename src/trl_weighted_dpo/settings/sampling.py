"""Settings of sampling."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Interval
from typing_extensions import Doc

from trl_weighted_dpo.settings.common import (
    DEFAULT_PROMPT_TEMPLATE,
    ChatTemplateKwargs,
    DoubleQuant,
    LoadIn4Bit,
    PromptTemplate,
    Seeded,
    SystemPrompt,
)
from trl_weighted_dpo.settings.setting import FromFile, Shape, SpeedOnly, check

_Adapter = Annotated[str | None, Doc("LoRA adapter on the model: folder, or name on the hub.")]
_Tokenizer = Annotated[str | None, Doc("Folder or name of the tokenizer; by default the model's.")]


@dataclass(frozen=True)
class SamplingConfig:
    """How many solutions of a problem are sampled, from which distribution and with which prompt.

    Temperature comes first, then `top_k`, then `top_p`, as in transformers. The noise of a token depends on the seed,
    the problem's id, the number of the sample and the position.

    Raises:
        `ValueError`: If a value is out of its range.
    """

    completions: Annotated[int, Ge(1), Doc("Samples of each problem.")] = 8
    temperature: Annotated[
        float, Interval(ge=0, le=100), Doc("Divides the logits; 0 takes the most likely token each time.")
    ] = 0.8
    top_p: Annotated[
        float,
        Interval(gt=0, le=1),
        Doc("Sample from the smallest set of most likely tokens with this probability; 1 keeps all."),
    ] = 1.0
    top_k: Annotated[int, Ge(0), Doc("Sample from this many most likely tokens; 0 keeps all.")] = 0
    max_new_tokens: Annotated[
        int, Ge(1), Doc("A sample that has not ended by then is cut, and marked as `truncated`.")
    ] = 512
    stop: Annotated[Sequence[str], Doc("Text that ends a sample, and is removed from it.")] = ()
    seed: Annotated[int, Seeded, Doc("Another seed gives other samples.")] = 0
    prompt_template: PromptTemplate = DEFAULT_PROMPT_TEMPLATE
    system_prompt: SystemPrompt = None
    chat_template_kwargs: ChatTemplateKwargs = None
    few_shot: Annotated[
        Sequence[tuple[str, str]],
        FromFile(),
        Doc("JSONL with `problem` and `solution`: examples that come before each problem."),
    ] = ()
    batch_tokens: Annotated[
        int | None,
        Ge(1),
        SpeedOnly(),
        Doc(
            "Tokens of a batch of the transformers backend, with `max_new_tokens` and padding: 65536, on a CPU 32768. "
            "Lower it if memory runs out."
        ),
    ] = None

    def __post_init__(self) -> None:
        check(self)
        if self.temperature == 0 and self.completions > 1:
            raise ValueError(
                f"temperature 0 gives the same text each time, but completions is {self.completions}: set completions "
                "to 1 (-k 1), or a temperature above 0."
            )

    @property
    def distribution(self) -> list[Any]:
        """What decides a sample besides model, prompt, problem and number, in plain JSON types."""
        return [self.temperature, self.top_p, self.top_k, self.max_new_tokens, sorted(self.stop), self.seed]


@dataclass(frozen=True)
class BackendConfig:
    """What samples, and how the model is loaded.

    Raises:
        `ValueError`: If a value is of another type.
    """

    backend: Annotated[str, Doc("`transformers`, `vllm`, `server`, or a plugin's.")] = "transformers"
    base_url: Annotated[str | None, Doc("Address of the server of `server`, such as http://localhost:8000/v1.")] = None
    adapter: _Adapter = None
    tokenizer: _Tokenizer = None
    dtype: Annotated[
        str | None, Doc("`float32`, `bfloat16` or `float16`; by default `auto`, as in the model's files.")
    ] = None
    load_in_4bit: LoadIn4Bit = False
    option: Annotated[
        Sequence[str], Shape("KEY=VALUE"), Doc("Another option of the backend, such as concurrency=32.")
    ] = ()

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class PoolConfig:
    """What is written with the samples.

    Raises:
        `ValueError`: If a value is of another type.
    """

    generator: Annotated[
        str | None, Doc("Written to each candidate as `generator`, to tell models or rounds apart in merged pools.")
    ] = None

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class TransformersBackendConfig:
    """Options of the backend `transformers`, as for [`~core.models.load_model`].

    Raises:
        `ValueError`: If a value is of another type.
    """

    tokenizer: _Tokenizer = None
    adapter: _Adapter = None
    dtype: Annotated[str, Doc("Precision of the weights; `auto` is that of the model's files.")] = "auto"
    load_in_4bit: LoadIn4Bit = False
    double_quant: DoubleQuant = False

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class VLLMBackendConfig:
    """Options of the backend `vllm`.

    Raises:
        `ValueError`: If a value is of another type.
    """

    tokenizer: _Tokenizer = None
    adapter: Annotated[str | None, Doc("Folder of a LoRA adapter.")] = None
    dtype: Annotated[str, Doc("As vLLM takes it.")] = "auto"
    gpu_memory_utilization: Annotated[float, Doc("As vLLM takes it.")] = 0.9
    max_model_len: Annotated[int | None, Doc("As vLLM takes it.")] = None
    tensor_parallel_size: Annotated[int, Doc("GPUs of an engine, as vLLM takes it.")] = 1
    data_parallel_size: Annotated[
        int, Doc("Engines, each in a process and on `tensor_parallel_size` GPUs of its own.")
    ] = 1

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class ServerBackendConfig:
    """Options of the backend `server`.

    Raises:
        `ValueError`: If a value is out of its range.
    """

    base_url: Annotated[
        str | None, Doc("Address of the server with its path, such as http://localhost:8000/v1; it has to be given.")
    ] = None
    tokenizer: Annotated[
        str | None,
        Doc(
            "Folder or name of the tokenizer whose chat template renders the problems; by default the model's name. "
            "With `none` the prompt template does."
        ),
    ] = None
    concurrency: Annotated[int, Ge(1), Doc("Requests under way at once.")] = 64
    tries: Annotated[int, Ge(1), Doc("How often a request is sent if the server is busy or the connection lost.")] = 8
    timeout: Annotated[float, Doc("Seconds to wait for an answer.")] = 600.0
    api_key_env: Annotated[str, Doc("Environment variable with the key; without one none is sent.")] = "OPENAI_API_KEY"
    keep_special_tokens: Annotated[
        bool,
        Doc(
            "Ask for special tokens in the text by `skip_special_tokens: false`, which vLLM and SGLang understand; "
            "models that mark their thinking with special tokens (gpt-oss, Magistral) need it."
        ),
    ] = False

    def __post_init__(self) -> None:
        check(self)
