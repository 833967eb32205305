#!/bin/sh
# GSM8K and MATH by EleutherAI's lm-evaluation-harness, for the numbers that the field compares:
#   recipes/lm_eval/run.sh MODEL OUTPUT
# MODEL is a folder or a name on the hub. What its numbers mean beside ours: docs/evaluation.md.
# Needs: pip install "lm_eval[hf,math]", in an environment of its own.
set -eu

if [ "$#" -ne 2 ]; then
    echo "Usage: $0 MODEL OUTPUT" >&2
    exit 2
fi
model=$1
output=$2

# Five and eight examples for GSM8K, four for MATH, as the tasks have them. A quick look: TASKS=gsm8k,minerva_math500.
tasks=${TASKS:-gsm8k,gsm8k_cot,minerva_math}
# An adapter that is not merged: MODEL_ARGS=peft=outputs/qwen2.5-1.5b/weighted-dpo
arguments="pretrained=$model,dtype=${DTYPE:-bfloat16}${MODEL_ARGS:+,$MODEL_ARGS}"

# Chat models are asked in their own template, each example a turn; a base model: CHAT="".
chat=${CHAT---apply_chat_template --fewshot_as_multiturn}

# By default a solution is cut after 256 tokens. Greedy, as the tasks are.
# shellcheck disable=SC2086
exec lm_eval --model "${BACKEND:-hf}" --model_args "$arguments" --tasks "$tasks" $chat \
    --gen_kwargs "max_gen_toks=${MAX_NEW_TOKENS:-1024},do_sample=False" --batch_size "${BATCH_SIZE:-auto}" \
    --output_path "$output" --log_samples
