#!/usr/bin/env bash
# The whole loop: a reference (step 1), its scores (step 2), selective training (step 3), and the arms that a comparison
# needs: all tokens, and a random share. Every arm sees the same tokens in the same order; only the objective differs.
#
#     examples/loop.sh                                  # the bundled corpus, a Llama of a million parameters, from scratch
#     examples/loop.sh --out loop/ --corpus noisy.jsonl.zst --good good.jsonl.zst --eval held-out.jsonl ... [options]
#
# Prints a table of the results. Needs the program (RHO_MASK names it; otherwise it is built) and python3.
set -euo pipefail
cd "$(dirname "$0")/.."

out=loop good= corpus= base_corpus= after= tokenizer=models/demo/tokenizer.json config=examples/loop-config.json
length=256 batch=2048 rate=2e-3 keep=0.6 seed=0
base_steps=150 reference_steps=120 steps=200 every=
evals=()
while [ $# -gt 0 ]; do
    case $1 in
        --out) out=$2 ;;
        --good) good=$2 ;;
        --corpus) corpus=$2 ;;
        --base-corpus) base_corpus=$2 ;;
        --eval) evals+=("$2") ;;
        --eval-after) after=$2 ;;
        --eval-every) every=$2 ;;
        --tokenizer) tokenizer=$2 ;;
        --config) config=$2 ;;
        --length) length=$2 ;;
        --batch-tokens) batch=$2 ;;
        --learning-rate) rate=$2 ;;
        --keep) keep=$2 ;;
        --seed) seed=$2 ;;
        --base-steps) base_steps=$2 ;;
        --reference-steps) reference_steps=$2 ;;
        --steps) steps=$2 ;;
        *) echo "unknown option $1" >&2; exit 2 ;;
    esac
    shift 2
done
if [ -z "${RHO_MASK:-}" ]; then
    cargo build --release --quiet
    RHO_MASK=target/release/rho-mask
fi
mkdir -p "$out"

if [ -z "$corpus" ]; then
    # The bundled corpus marks its mathematics, which is the text to learn. A tenth is held out.
    python3 examples/loop_data.py examples/corpus "$out/data"
    corpus=$out/data/corpus.jsonl good=$out/data/good.jsonl
    evals=("$out/data/held_out_math.jsonl" "$out/data/held_out_rest.jsonl")
fi

evaluate=()
if [ ${#evals[@]} -gt 0 ]; then
    evaluate=(--eval "${evals[@]}")
    if [ -n "$after" ]; then evaluate+=(--eval-after "$after"); fi
    if [ -n "$every" ]; then evaluate+=(--eval-every "$every"); fi
fi
common=(--length "$length" --batch-tokens "$batch" --learning-rate "$rate" --seed "$seed" --save-every 0)

# A base trained on the corpus (or on similar text: --base-corpus), so that the arms and the reference start from the same
# model.
"$RHO_MASK" train --objective clm --init "$config" --tokenizer "$tokenizer" \
    --corpus "${base_corpus:-$corpus}" --out "$out/base" --steps "$base_steps" "${common[@]}"
# 1: the reference, on good text.
"$RHO_MASK" train --objective clm --model "$out/base" --corpus "$good" --out "$out/reference" \
    --steps "$reference_steps" "${common[@]}"
# 2: the reference's scores of the corpus.
"$RHO_MASK" score "$corpus" --model "$out/reference" --out "$out/masks" --context "$length"
# 3: Rho-1, and the arms to compare with.
for objective in slm clm random; do
    share=(--keep "$keep")
    if [ "$objective" = clm ]; then share=(); fi
    "$RHO_MASK" train --objective "$objective" --masks "$out/masks" --model "$out/base" --out "$out/$objective" \
        --steps "$steps" "${share[@]}" "${common[@]}" "${evaluate[@]}"
done
python3 examples/loop_table.py "$out" slm clm random
