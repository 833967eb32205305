"""`python -m trl_weighted_dpo.pipeline.merge ADAPTER --base MODEL --output FOLDER`: an adapter → a whole model."""

import shutil
from pathlib import Path
from typing import Annotated

import typer


def merge(
    adapter: Annotated[Path, typer.Argument(help="Folder of the adapter, with its tokenizer.")],
    base: Annotated[str, typer.Option(help="The model that it was trained on.")],
    output: Annotated[Path, typer.Option(help="Where the whole model goes.")],
    load_in_4bit: Annotated[bool, typer.Option("--load-in-4bit", help="The base was in NF4.")] = False,
    double_quant: Annotated[bool, typer.Option("--double-quant", help="Its constants were quantised, too.")] = False,
) -> None:
    """Merge an adapter into its base.

    A base that was trained on in 4 bits is taken as it was, rounded to them, and merged in higher precision: the
    weights before rounding are another model than the one that the adapter belongs to.
    """
    import torch
    from peft import PeftModel

    from trl_weighted_dpo.core.models import load_model, load_tokenizer

    try:
        device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu"
        model = load_model(base, load_in_4bit=load_in_4bit, double_quant=double_quant, device=device)
        if load_in_4bit:
            model = model.dequantize()
        tokenizer = load_tokenizer(str(adapter))
    except (ValueError, ImportError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    partial = output.with_name(output.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    merged = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    merged.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    shutil.rmtree(output, ignore_errors=True)
    partial.rename(output)
    typer.echo(f"Merged model written to {output}")


if __name__ == "__main__":
    typer.run(merge)
