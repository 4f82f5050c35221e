"""Recomputes the numbers of results.json from the runs' own files with NumPy: `experiment.py RESULTS`."""

import json
import math
import pathlib
import sys

import numpy as np

out = pathlib.Path(sys.argv[1])
results = json.loads((out / "results.json").read_text())
# The 97.5th percentile of Student's t, by degrees of freedom (scipy.stats.t.ppf(0.975, n)).
T = {1: 12.706204736174698, 2: 4.302652729749462, 3: 3.182446305283708}


def lines(folder, name):
    return [json.loads(line) for line in (out / "steps" / folder / name).read_text().splitlines()]


def runs(arm):
    for run in arm["runs"]:
        metrics, timings = lines(run["folder"], "metrics.jsonl"), lines(run["folder"], "timings.jsonl")
        steps = [line for line in metrics if "evaluation" not in line]
        places = {0: (0, 0, 0.0)}
        for step, timing in zip(steps, timings):
            places[step["step"]] = (step["tokens_seen"], step["tokens_trained"], timing["total"])
        yield steps, places, [line for line in metrics if "evaluation" in line]


arms = {arm["name"]: list(runs(arm)) for arm in results["arms"]}
axes = ["tokens_seen", "tokens_trained", "seconds"]


def curve(run, axis, name, after):
    _, places, evaluations = run
    own = [line for line in evaluations if line["evaluation"] == name]
    value = [(line["after"] if after else line)["loss"] for line in own]
    return [places[line["step"]][axes.index(axis)] for line in own], value


def interval(values):
    count = len(values)
    return T[count - 1] * np.std(values, ddof=1) / math.sqrt(count)


def same(a, b, what):
    assert np.allclose(a, b, rtol=1e-9, atol=1e-12), (what, a, b)


assert {c["axis"] for c in results["comparisons"]} == set(axes)
for comparison in results["comparisons"]:
    axis = axes.index(comparison["axis"])
    ends = [max(place[axis] for place in run[1].values()) for all in arms.values() for run in all]
    same(comparison["at"], min(ends), "the smallest end")
    values = {}
    for name, all in arms.items():
        values[name] = []
        for run in all:
            x, y = curve(run, comparison["axis"], comparison["set"], comparison["after"])
            values[name].append(np.interp(min(ends), x, y))
    assert [arm["arm"] for arm in comparison["arms"]] == list(arms)
    starts = {curve(run, "tokens_seen", comparison["set"], comparison["after"])[1][0] for all in arms.values() for run in all}
    assert starts == {comparison["base"]}, "every run starts from the base"
    for arm in comparison["arms"]:
        mine, what = values[arm["arm"]], (comparison["axis"], comparison["set"], arm["arm"])
        same(arm["values"], mine, what)
        same(arm["mean"], np.mean(mine), what)
        same(arm["half_width"], interval(mine), what)
        if arm["arm"] == results["baseline"]:
            assert arm["difference"] is None
            continue
        paired = np.subtract(mine, values[results["baseline"]])
        difference = arm["difference"]
        same(difference["mean"], paired.mean(), what)
        same(difference["half_width"], interval(paired), what)
        told = "no difference found" if abs(paired.mean()) <= interval(paired) else "lower" if paired.mean() < 0 else "higher"
        assert difference["verdict"] == told, what

# Every arm of a seed has the same batches.
for name in [arm["name"] for arm in results["arms"] if arm["same_batches"]]:
    for run, clm in zip(arms[name], arms[results["baseline"]]):
        assert [(s["step"], s["targets"]) for s in run[0]] == [(s["step"], s["targets"]) for s in clm[0]], name

# Figure 7: the laws through the points of each arm, and the inputs of the points.
law = results["downstream"]
found = {(point["arm"], point["seed"], point["step"]): point for point in law["points"]}
points = []
for arm in results["arms"]:
    for run, (steps, places, evaluations) in zip(arm["runs"], arms[arm["name"]]):
        before = 0
        for line in evaluations:
            if line["evaluation"] != law["set"]:
                continue
            inside = [s for s in steps if before < s["step"] <= line["step"]]
            before = line["step"]
            if not inside or inside[0]["loss_selected"] is None:
                continue
            score = (line["after"] if law["after"] else line)["loss"]
            mine = [np.mean([s[f] for s in inside]) for f in ("loss_selected", "loss_unselected")] + [score]
            point = found.pop((arm["name"], run["seed"], line["step"]))
            same([point["selected"], point["unselected"], point["score"]], mine, "a point")
            points.append((arm["name"], mine))
assert not found and len(points) > 3
assert [own["arm"] for own in law["arms"]] == [arm["name"] for arm in results["arms"]]
fitted = 0
for own in law["arms"]:
    logs = np.log(np.array([mine for arm, mine in points if arm == own["arm"]]).reshape(-1, 3))
    for column, field in enumerate(["selected", "unselected"]):
        if len(logs) < 3:
            assert own[field] is None, own
            continue
        a, c = np.polyfit(logs[:, column], logs[:, 2], 1)
        r = np.corrcoef(logs[:, column], logs[:, 2])[0, 1]
        fit = own[field]
        assert np.allclose([fit["a"], fit["c"], fit["r_squared"]], [a, c, r * r], rtol=1e-6), (fit, a, c, r * r)
        assert fit["points"] == len(logs), own
        fitted += 1
assert fitted > 0, law["arms"]

# Figure 9: the ends of the runs of each ratio.
folders = {step["name"]: step["folder"] for step in results["steps"]}
for sets in results["sweep"]["sets"]:
    for ratio in sets["ratios"]:
        name = f"slm-{ratio['keep']}-seed-0" if ratio["keep"] != 0.6 else "slm-seed-0"
        own = [l for l in lines(folders[name], "metrics.jsonl") if l.get("evaluation") == sets["set"]]
        same(ratio["mean"], (own[-1]["after"] if sets["after"] else own[-1])["loss"], name)

# Questions: the results of `eval` for each run.
for answers in results["answers"]:
    for arm in answers["arms"]:
        said = []
        for seed in results["seeds"]:
            report = json.loads((out / "steps" / folders[f"answers-{arm['arm']}-seed-{seed}"] / "eval.json").read_text())
            said += [s[answers["measure"]]["value"] for s in report["sets"] if s["name"] == answers["set"]]
        same(arm["values"], said, arm["arm"])
