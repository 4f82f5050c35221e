//! The progress of a run: a bar on a terminal, lines elsewhere, JSON for programs.

use std::time::{Duration, Instant};

use rho_trainer::run::{Evaluated, Event, StepMetrics, Timing};
use serde_json::json;

use crate::{
    cli::ProgressKind,
    numbers::grouped,
    terminal::{self, Bar},
};

/// The time between two lines.
const QUIET: Duration = Duration::from_secs(30);
/// The weight of the past in the moving average of the speed.
const MEMORY: f64 = 0.95;

/// Shows a run.
pub(super) struct Progress {
    shown: Shown,
    steps: u64,
    /// Moving averages: target tokens per second, seconds per step.
    rate: Option<(f64, f64)>,
    last_line: Option<Instant>,
}

enum Shown {
    Bar(Bar),
    Lines,
    Json,
    Nothing,
}

impl Progress {
    /// A run of `steps` steps, of which `done` are done.
    pub(super) fn new(kind: ProgressKind, steps: u64, done: u64) -> Self {
        let shown = match kind {
            ProgressKind::None => Shown::Nothing,
            ProgressKind::Json => Shown::Json,
            ProgressKind::Auto if terminal::watched() => Shown::Bar(bar(steps, done)),
            ProgressKind::Auto | ProgressKind::Plain => Shown::Lines,
        };
        Self {
            shown,
            steps,
            rate: None,
            last_line: None,
        }
    }

    /// Reports an event.
    pub(super) fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Trained(..) => {}
            Event::Step(metrics, timing) => self.step(metrics, timing),
            Event::Evaluated(evaluated) => self.say(
                &evaluation(evaluated),
                || json!({"event": "evaluation", "result": evaluated}),
            ),
            Event::Saved(path) => {
                if let Shown::Json = self.shown {
                    terminal::event(&json!({"event": "checkpoint", "path": path}));
                }
            }
        }
    }

    /// Clears the bar.
    pub(super) fn finish(&self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish();
        }
    }

    fn step(&mut self, metrics: &StepMetrics, timing: &Timing) {
        let now = (metrics.targets as f64 / timing.seconds, timing.seconds);
        let (rate, seconds) = self.rate.map_or(now, |before| {
            let mean = |before, now| MEMORY * before + (1.0 - MEMORY) * now;
            (mean(before.0, now.0), mean(before.1, now.1))
        });
        self.rate = Some((rate, seconds));
        let left = (self.steps - metrics.step) as f64 * seconds;
        let in_words = || {
            let of = format!("step {} of {}: ", metrics.step, self.steps);
            of + &text(metrics, rate, left)
        };
        let last = metrics.step == self.steps;
        let is_due = last || self.last_line.is_none_or(|then| then.elapsed() >= QUIET);
        if is_due {
            self.last_line = Some(Instant::now());
            match &self.shown {
                Shown::Lines => terminal::progress_line(&in_words()),
                _ => terminal::logged(&in_words()),
            }
        }
        match &self.shown {
            Shown::Bar(bar) => {
                bar.set_position(metrics.step);
                bar.set_message(&text(metrics, rate, left));
            }
            Shown::Json => {
                let event = json!({"event": "step", "step": metrics.step, "steps": self.steps, "loss": metrics.loss,
                    "kept": metrics.kept, "targets": metrics.targets, "tokens_per_second": rate, "seconds_left": left});
                terminal::event(&event);
            }
            Shown::Lines | Shown::Nothing => {}
        }
    }

    fn say(&self, line: &str, event: impl Fn() -> serde_json::Value) {
        match &self.shown {
            Shown::Bar(_) | Shown::Lines => terminal::progress_line(line),
            Shown::Json => {
                terminal::logged(line);
                terminal::event(&event());
            }
            Shown::Nothing => terminal::logged(line),
        }
    }
}

fn text(metrics: &StepMetrics, rate: f64, left: f64) -> String {
    let share = 100.0 * metrics.kept as f64 / metrics.targets.max(1) as f64;
    let loss = metrics.loss.unwrap_or(f64::NAN);
    let kept = match metrics.loss_kept {
        Some(kept) if metrics.kept < metrics.targets => format!(" ({kept:.3} kept)"),
        _ => String::new(),
    };
    let seconds = left as u64;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!(
        "loss {loss:.3}{kept}, {share:.1} % kept, {} tokens/s, {hours}:{minutes:02}:{:02} left",
        grouped(rate as u64),
        seconds % 60
    )
}

/// An evaluation in words.
fn evaluation(evaluated: &Evaluated) -> String {
    let of = |mean: &rho_trainer::run::Mean| match (mean.loss, mean.perplexity) {
        (Some(loss), Some(perplexity)) => format!("loss {loss:.4}, perplexity {perplexity:.2}"),
        _ => "no tokens".to_owned(),
    };
    let after = evaluated.after.as_ref().map_or(String::new(), |after| {
        format!("; after the marker {}", of(after))
    });
    format!(
        "after step {}, {}: {}{after}",
        evaluated.step,
        evaluated.evaluation,
        of(&evaluated.all)
    )
}

fn bar(steps: u64, done: u64) -> Bar {
    let bar = Bar::new(steps, "{bar:30} {pos}/{len}  {msg}").ticking();
    bar.set_position(done);
    bar
}
