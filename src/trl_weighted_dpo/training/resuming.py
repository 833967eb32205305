"""What `transformers` leaves undone when it loads an adapter from a checkpoint."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from accelerate.utils import is_peft_model


@contextmanager
def adapter_loading(model: Any, checkpoint: str) -> Iterator[None]:
    """A context in which the Trainer loads a checkpoint into a model; one without an adapter is left alone.

    * An adapter that is trained further has its start beside it, as the adapter `"ref"`. Of such a checkpoint,
      transformers 5.16 (not 5.24) loads `"ref"` only, and training would begin again, without a word, from its start.
    * Loading casts an adapter to float32. TRL keeps that of a quantised model in bfloat16, so that a resumed run would
      need more memory than the run it continues, and round otherwise.

    Args:
        model (`nn.Module`):
            As the trainer holds it.
        checkpoint (`str`):
            Folder of the checkpoint.
    """
    if not is_peft_model(model):
        yield
        return
    dtypes = {name: parameter.dtype for name, parameter in model.named_parameters()}
    yield
    if "ref" in model.peft_config:
        active = model.active_adapters[0]
        model.load_adapter(checkpoint, active, is_trainable=True)
        model.set_adapter(active)
    for name, parameter in model.named_parameters():
        parameter.data = parameter.data.to(dtypes[name])
