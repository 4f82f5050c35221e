"""Prints the table of the arms of `loop.sh` from their summaries: `loop_table.py OUT ARM ...`."""

import json
import pathlib
import sys


def main():
    out, arms = pathlib.Path(sys.argv[1]), sys.argv[2:]
    summaries = {arm: json.loads((out / arm / "summary.json").read_text()) for arm in arms}
    columns = {}
    for summary in summaries.values():
        for evaluation in summary["evaluations"]:
            name = evaluation["evaluation"]
            columns[name] = lambda e: e["loss"]
            if evaluation.get("after"):
                columns[f"{name}, after"] = lambda e: e["after"]["loss"]
    header = ["arm", "kept", "tokens seen", "trained on", "seconds", *columns]
    rows = [header, ["---"] + ["---:"] * (len(header) - 1)]
    for arm, summary in summaries.items():
        found = {e["evaluation"]: e for e in summary["evaluations"]}
        seen, trained = summary["tokens_seen"], summary["tokens_trained"]
        losses = [f"{of(found[name.split(', ')[0]]):.4f}" for name, of in columns.items()]
        row = [arm, f"{100 * trained / seen:.1f} %", f"{seen:,}", f"{trained:,}", f"{summary['seconds']:.1f}"]
        rows.append(row + losses)
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    for row in rows:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")
    print("\nheld-out loss in nats per token; every arm saw the same tokens, from the same base")


main()
