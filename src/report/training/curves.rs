//! The curves of runs. For a single run, related quantities share a chart. For several runs, each chart has one
//! quantity and a line for each run.

use maud::{Markup, html};
use serde_json::Value;

use super::super::charts::{Line, Lines, Role, STEPS, Unit};
use super::super::page::{Page, figure};
use super::bins::{Valued, binned, per_point, thinned};
use super::records::Recorded;

const SEEN: &str = "tokens seen";

/// Finds the values of a quantity in a run.
type Values = Box<dyn Fn(&Recorded) -> Vec<Valued>>;

/// A quantity with a number per step.
struct Quantity {
    /// The name of its line in charts with several quantities.
    name: String,
    /// What the line is of, if charts with several quantities say so by its colour.
    role: Option<Role>,
    /// Finds its values in a run.
    values: Values,
}

impl Quantity {
    /// A field of the metrics, over the tokens seen.
    fn field(name: &str, field: &'static str) -> Self {
        Self::of(name, move |step| step[field].as_f64())
    }

    /// The same quantity with a role.
    fn with(self, role: Role) -> Self {
        Self {
            role: Some(role),
            ..self
        }
    }

    /// A value computed from each line of metrics.
    fn of(name: &str, value: impl Fn(&Value) -> Option<f64> + 'static) -> Self {
        let values = move |run: &Recorded| {
            let steps = run.steps.iter().filter_map(|line| {
                let place = (line["step"].as_u64()?, line["tokens_seen"].as_u64()?);
                Some((place.0, place.1, value(line)?))
            });
            steps.collect()
        };
        Self {
            name: name.to_owned(),
            role: None,
            values: Box::new(values),
        }
    }

    /// The loss of an evaluation over the steps: of all text, or of the text after the marker.
    fn evaluation(name: &str, set: &str, after: bool) -> Self {
        let set = set.to_owned();
        let values = move |run: &Recorded| {
            let lines = run.evaluations.iter().filter(|e| e["evaluation"] == *set);
            let lines = lines.filter_map(|line| {
                let step = line["step"].as_u64()?;
                let mean = if after { &line["after"] } else { line };
                Some((step, step, mean["loss"].as_f64()?))
            });
            lines.collect()
        };
        Self {
            name: name.to_owned(),
            role: None,
            values: Box::new(values),
        }
    }

    fn speed() -> Self {
        let values = |run: &Recorded| {
            let steps = run.steps.iter().filter_map(|line| {
                let step = line["step"].as_u64()?;
                let seconds = run.seconds.get(&step).filter(|seconds| **seconds > 0.0)?;
                let speed = line["targets"].as_f64()? / seconds;
                Some((step, line["tokens_seen"].as_u64()?, speed))
            });
            steps.collect()
        };
        Self {
            name: "tokens/s".to_owned(),
            role: None,
            values: Box::new(values),
        }
    }
}

/// Related quantities.
struct Group {
    title: String,
    x: &'static str,
    y: &'static str,
    unit: Unit,
    quantities: Vec<Quantity>,
    /// Whether values are cumulative over the steps.
    total: bool,
    /// What a reader must know.
    caption: &'static str,
}

impl Group {
    /// Its charts: one, or with several runs one for each quantity. Quantities that no run recorded have none.
    fn figures(&self, runs: &[Recorded]) -> anyhow::Result<Vec<Markup>> {
        let mut figures = Vec::new();
        if let [run] = runs {
            let lines = self
                .quantities
                .iter()
                .map(|q| (q.name.as_str(), q.role, (q.values)(run)));
            figures.extend(self.figure(&self.title, lines.collect())?);
        } else {
            for quantity in &self.quantities {
                let title = match self.quantities.len() {
                    1 => self.title.clone(),
                    _ => format!("{}: {}", self.title, quantity.name),
                };
                let lines = runs
                    .iter()
                    .map(|run| (run.name.as_str(), None, (quantity.values)(run)));
                figures.extend(self.figure(&title, lines.collect())?);
            }
        }
        Ok(figures)
    }

    fn figure(
        &self,
        title: &str,
        values: Vec<(&str, Option<Role>, Vec<Valued>)>,
    ) -> anyhow::Result<Option<Markup>> {
        if values.iter().all(|(_, _, values)| values.is_empty()) {
            return Ok(None);
        }
        let most = values
            .iter()
            .map(|(_, _, values)| per_point(values.len()))
            .max();
        let lines: Vec<Line> = values
            .iter()
            .map(|(name, role, values)| Line {
                name: (*name).to_owned(),
                role: *role,
                points: match self.total {
                    true => thinned(values),
                    false => binned(values),
                },
            })
            .collect();
        let without = lines.iter().filter(|line| line.points.is_empty());
        let without: Vec<&str> = without.map(|line| line.name.as_str()).collect();
        let chart = Lines {
            x: self.x,
            y: self.y,
            unit: self.unit,
            lines: &lines,
        };
        let caption = html! {
            (self.caption)
            @match most {
                Some(most) if most > 1 && self.total => {
                    " A point for every " (most) " steps and the last."
                }
                Some(most) if most > 1 => {
                    " A point is the mean of up to " (most) " consecutive values, at the position of the last of them; the band goes from the lowest of them to the highest."
                }
                _ => " A point for each value.",
            }
            @if !without.is_empty() { " Not recorded: " (without.join(", ")) "." }
        };
        Ok(Some(figure(title, &chart.chart()?, &caption)))
    }
}

/// All curves of the runs, as sections.
pub(super) fn sections(runs: &[Recorded], page: &mut Page) -> anyhow::Result<()> {
    let loss = |title: &str, quantities, caption| Group {
        title: title.to_owned(),
        x: SEEN,
        y: "loss, nats",
        unit: Unit::Plain,
        quantities,
        total: false,
        caption,
    };
    let figure_6 = loss(
        "Selected and unselected tokens",
        vec![
            Quantity::field("selected", "loss_selected").with(Role::Kept),
            Quantity::field("unselected", "loss_unselected").with(Role::Dropped),
        ],
        "Own loss of the tokens with the highest excess loss at the step's keep ratio, and of the others, whatever the run trains \
         on: figure 6 of the paper (arXiv 2404.07965).",
    );
    let own = loss(
        "Own loss",
        vec![
            Quantity::field("all", "loss"),
            Quantity::field("kept", "loss_kept").with(Role::Kept),
            Quantity::field("dropped", "loss_dropped").with(Role::Dropped),
        ],
        "Of each step's targets, before its update.",
    );
    let reference = loss(
        "Loss under the reference",
        vec![
            Quantity::field("all", "reference_loss"),
            Quantity::field("kept", "reference_loss_kept").with(Role::Kept),
            Quantity::field("dropped", "reference_loss_dropped").with(Role::Dropped),
        ],
        "Of the same targets, if the reference scored them. The reference does not change, but the selection of tokens does.",
    );
    section(page, runs, "selected", "Figure 6", &[figure_6])?;
    section(page, runs, "loss", "Loss", &[own, reference])?;
    section(page, runs, "evaluation", "Evaluation", &evaluations(runs))?;
    section(page, runs, "selection", "Selection", &selection(runs))?;
    section(page, runs, "optimiser", "Optimiser and speed", &optimiser())
}

fn evaluations(runs: &[Recorded]) -> Vec<Group> {
    let mut sets: Vec<&str> = Vec::new();
    for name in runs.iter().flat_map(Recorded::evaluated) {
        if !sets.contains(&name) {
            sets.push(name);
        }
    }
    let groups = sets.into_iter().map(|set| {
        let lines = runs.iter().flat_map(|run| &run.evaluations);
        let marked = lines
            .filter(|e| e["evaluation"] == *set)
            .any(|e| !e["after"].is_null());
        let mut quantities = vec![Quantity::evaluation("all", set, false)];
        quantities.extend(marked.then(|| Quantity::evaluation("after the marker", set, true)));
        Group {
            title: format!("Held out: {set}"),
            x: STEPS,
            y: "loss, nats",
            unit: Unit::Plain,
            quantities,
            total: false,
            caption: "Mean loss on held-out text, by step.",
        }
    });
    groups.collect()
}

fn selection(runs: &[Recorded]) -> [Group; 3] {
    let share = |title: &str, quantities, y, caption| Group {
        title: title.to_owned(),
        x: SEEN,
        y,
        unit: Unit::Share,
        quantities,
        total: false,
        caption,
    };
    let kept = |step: &Value| {
        let targets = step["targets"].as_f64().filter(|targets| *targets > 0.0)?;
        Some(step["kept"].as_f64()? / targets)
    };
    let mut trained = vec![Quantity::field("trained on", "tokens_trained")];
    if let [_] = runs {
        trained.push(Quantity::field("seen", "tokens_seen"));
    }
    let trained = Group {
        title: "Tokens trained on".to_owned(),
        x: SEEN,
        y: "tokens",
        unit: Unit::Large,
        quantities: trained,
        total: true,
        caption: "Kept targets so far, compared with all targets of the forward passes.",
    };
    [
        share(
            "Share kept",
            vec![
                Quantity::of("kept", kept),
                Quantity::field("requested", "keep"),
            ],
            "share of the targets",
            "Of each step's targets. For clm, static and weighted, the requested ratio is that of figure 6.",
        ),
        share(
            "Changed selection",
            vec![Quantity::field("changed", "changed")],
            "share of the kept tokens",
            "Of the tokens of the run's first batch that were kept when it was last ranked, the share that is no longer kept.",
        ),
        trained,
    ]
}

fn optimiser() -> [Group; 3] {
    let group = |title: &str, quantity, y, unit, caption| Group {
        title: title.to_owned(),
        x: SEEN,
        y,
        unit,
        quantities: vec![quantity],
        total: false,
        caption,
    };
    [
        group(
            "Learning rate",
            Quantity::field("learning rate", "learning_rate"),
            "learning rate",
            Unit::Small,
            "Of each step's update.",
        ),
        group(
            "Gradient norm",
            Quantity::field("gradient norm", "gradient_norm"),
            "norm before clipping",
            Unit::Plain,
            "Of each step, before the gradient is clipped.",
        ),
        group(
            "Speed",
            Quantity::speed(),
            "targets per second",
            Unit::Large,
            "Targets of a step divided by its seconds, including waits for data, without evaluations and checkpoints.",
        ),
    ]
}

/// A section with these groups, if anything of them was recorded.
fn section(
    page: &mut Page,
    runs: &[Recorded],
    id: &'static str,
    title: &'static str,
    groups: &[Group],
) -> anyhow::Result<()> {
    let mut figures = Vec::new();
    for group in groups {
        figures.extend(group.figures(runs)?);
    }
    if !figures.is_empty() {
        let body = html! { div.figures { @for figure in &figures { (figure) } } };
        page.section(id, title, body);
    }
    Ok(())
}
