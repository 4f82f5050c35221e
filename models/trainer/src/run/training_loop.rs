//! The training loop: read a batch, step, write metrics, and periodically evaluate and save.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::json_lines::{Lines, METRICS, TIMINGS, last_losses};
use super::plan::{Ended, Event, RunPlan, Timing};
use super::publish::publish;
use super::{
    Checkpoints, Diverged, NotFinite, Probe, RunError, RunState, SavedStep, Spike, StepMetrics,
    Trainee, divergence,
};
use crate::data::{DataError, DataPosition, Documents, GlobalBatch, Loader, Loading, Rows};

/// A run, ready to start or to resume.
pub struct Run<'a> {
    plan: &'a RunPlan,
    trainee: &'a mut dyn Trainee,
    checkpoints: Checkpoints,
    state: RunState,
    probe: Probe,
    spike: Spike,
    metrics: Lines,
    timings: Lines,
    last_saved: Option<std::path::PathBuf>,
}

/// Why a step did not succeed.
enum Refused {
    Failed(RunError),
    /// The expected value, the actual one, and each token's loss if known.
    Diverged(String, String, Vec<f32>),
}

impl<'a> Run<'a> {
    /// Starts a run, or resumes its last checkpoint.
    ///
    /// # Errors
    /// If the folder cannot be written, or the checkpoint cannot be resumed.
    pub fn prepare(plan: &'a RunPlan, trainee: &'a mut dyn Trainee) -> Result<Self, RunError> {
        let checkpoints = Checkpoints::new(&plan.folder, plan.keep_last);
        checkpoints.clean()?;
        let (mut state, mut probe, mut last_saved) = (RunState::default(), Probe::default(), None);
        if let Some(SavedStep {
            path,
            state: saved,
            probe: bits,
        }) = checkpoints.last()?
        {
            trainee.load(&path).map_err(|source| RunError::Load {
                path: path.clone(),
                source,
            })?;
            let rows = (plan.batch_rows as u64).min(plan.rows);
            let tokens = rows as usize * plan.packing.length;
            probe = Probe::from_bytes(bits.as_deref().unwrap_or_default(), tokens);
            state = saved;
            last_saved = Some(path);
        }
        state.plan = plan.fingerprint.clone();
        let metrics = Lines::open(&plan.folder, METRICS, state.metrics_bytes)?;
        let timings = Lines::open(&plan.folder, TIMINGS, state.timings_bytes)?;
        let mut spike = Spike::new(plan.spike);
        for loss in last_losses(&plan.folder.join(METRICS))? {
            spike.add(loss);
        }
        Ok(Self {
            plan,
            trainee,
            checkpoints,
            state,
            probe,
            spike,
            metrics,
            timings,
            last_saved,
        })
    }

    /// The run's state so far.
    pub fn state(&self) -> &RunState {
        &self.state
    }

    /// Trains until all steps are done or `stop` returns true. The documents are read on their own thread.
    ///
    /// # Errors
    /// See [`RunError`]. Earlier checkpoints stay unchanged.
    pub fn train(
        mut self,
        mut documents: Box<dyn Documents>,
        stop: &dyn Fn() -> bool,
        observe: &mut dyn FnMut(Event<'_>),
    ) -> Result<Ended, RunError> {
        let plan = self.plan;
        let first = match plan.probe_every {
            0 => None,
            _ => Some(self.first_batch(documents.as_mut())?),
        };
        if self.state.step == 0 && self.last_saved.is_none() {
            self.evaluate(observe)?;
        }
        let mut loader = self.loader(documents)?;
        while self.state.step < plan.steps {
            if stop() {
                self.save(observe)?;
                return Ok(Ended::Stopped(self.state));
            }
            let begun = Instant::now();
            let step = self.state.step + 1;
            let next = loader
                .next_batch()
                .and_then(|next| next.ok_or(DataError::Ended));
            let batch = next
                .map_err(|source| RunError::Data { step, source })?
                .batch;
            let waited = loader.waited().last;
            let mut metrics = match self.step(&batch) {
                Ok(metrics) => metrics,
                Err(Refused::Failed(error)) => return Err(error),
                Err(Refused::Diverged(expected, got, losses)) => {
                    let documents = loader.into_documents();
                    let documents = documents.map_err(|source| RunError::Data { step, source })?;
                    let list = divergence::list(&batch, &losses, documents.as_ref());
                    let path = divergence::write(&plan.folder, step, &got, &list)?;
                    return Err(RunError::Diverged(Box::new(Diverged {
                        step,
                        expected,
                        got,
                        documents: list.into_iter().map(|document| document.name).collect(),
                        list: path,
                        checkpoint: self.last_saved,
                    })));
                }
            };
            self.state.step = step;
            self.state.place = batch.after;
            self.state.tokens_seen = metrics.tokens_seen;
            self.state.tokens_trained = metrics.tokens_trained;
            if let Some(first) = &first
                && (step == 1 || step.is_multiple_of(plan.probe_every))
            {
                metrics.changed = self.look(first)?;
            }
            let timing = self.time(begun.elapsed(), waited);
            self.metrics.add(&metrics)?;
            self.timings.add(&timing)?;
            observe(Event::Step(&metrics, &timing));
            let due = |every: u64| step == plan.steps || every > 0 && step.is_multiple_of(every);
            if due(plan.evaluate_every) {
                self.evaluate(observe)?;
            }
            if due(plan.save_every) {
                self.save(observe)?;
            }
        }
        publish(&plan.folder, self.trainee)?;
        Ok(Ended::Done(self.state))
    }

    fn loader(&self, documents: Box<dyn Documents>) -> Result<Loader, RunError> {
        let plan = self.plan;
        let done = self.state.step * plan.batch_rows as u64;
        let loading = Loading {
            packing: plan.packing,
            batch_rows: plan.batch_rows,
            rows: plan.rows.saturating_sub(done),
            from: self.state.place,
            vocabulary: plan.vocabulary,
        };
        let step = self.state.step + 1;
        Loader::start(documents, loading).map_err(|source| RunError::Data { step, source })
    }

    /// The first batch of the run, on which changes of the selection are measured.
    fn first_batch(&self, documents: &mut dyn Documents) -> Result<GlobalBatch, RunError> {
        let plan = self.plan;
        let mut rows = Rows::new(plan.packing, documents.count(), DataPosition::default());
        let count = (plan.batch_rows as u64).min(plan.rows);
        let some: Vec<_> = (0..count)
            .map_while(|_| rows.next_row(|document| documents.length(document)))
            .collect();
        let (length, place) = (plan.packing.length, DataPosition::default());
        let batch = GlobalBatch::read(&some, length, plan.vocabulary, place, documents);
        batch.map_err(|source| RunError::Data { step: 1, source })
    }

    /// One step, checked for divergence.
    fn step(&mut self, batch: &GlobalBatch) -> Result<StepMetrics, Refused> {
        let state = &self.state;
        let step = state.step + 1;
        let keep = self.plan.keep.at(state.step);
        let outcome = match self.trainee.step(batch, state.step, keep) {
            Ok(outcome) => outcome,
            Err(source) => {
                return Err(match source.downcast_ref::<NotFinite>() {
                    Some(NotFinite { what, got }) => {
                        let expected = format!("a finite {what}");
                        Refused::Diverged(expected, got.to_string(), Vec::new())
                    }
                    _ => Refused::Failed(RunError::Step { step, source }),
                });
            }
        };
        let before = (state.tokens_seen, state.tokens_trained);
        let metrics = StepMetrics::of(batch, &outcome, step, keep, before);
        if let Some((what, got)) = metrics.not_finite() {
            let expected = format!("a finite {what}");
            return Err(Refused::Diverged(expected, got.to_string(), outcome.loss));
        }
        let loss = metrics.loss.unwrap_or_default();
        match self.spike.add(loss) {
            None => Ok(metrics),
            Some(median) => {
                let times = self.plan.spike.unwrap_or_default();
                let expected = format!(
                    "a loss of at most {times} times {median:.4}, the median of the last steps"
                );
                let got = format!("{loss:.4}");
                Err(Refused::Diverged(expected, got, outcome.loss))
            }
        }
    }

    /// Ranks the first batch again and measures the change of its selection.
    fn look(&mut self, first: &GlobalBatch) -> Result<Option<f64>, RunError> {
        let step = self.state.step;
        let loss = self.trainee.losses(first);
        let loss = loss.map_err(|source| RunError::Step { step, source })?;
        let keep = self.plan.keep.at(step);
        let kept = self.trainee.select(first, &loss, step, keep);
        let kept = kept.map_err(|source| RunError::Step { step, source })?;
        Ok(self.probe.rank(kept))
    }

    fn time(&mut self, took: Duration, waited: Duration) -> Timing {
        self.state.seconds += took.as_secs_f64();
        let unix = SystemTime::now().duration_since(UNIX_EPOCH);
        Timing {
            step: self.state.step,
            seconds: took.as_secs_f64(),
            waited: waited.as_secs_f64(),
            total: self.state.seconds,
            unix: unix.map_or(0.0, |since| since.as_secs_f64()),
        }
    }

    fn evaluate(&mut self, observe: &mut dyn FnMut(Event<'_>)) -> Result<(), RunError> {
        let plan = self.plan;
        let step = self.state.step;
        for set in &plan.evaluations {
            let evaluated = set.evaluate(
                self.trainee,
                step,
                &plan.packing,
                plan.batch_rows,
                plan.vocabulary,
            );
            let evaluated = evaluated.map_err(|source| RunError::Evaluate {
                step,
                name: set.name.clone(),
                source,
            })?;
            self.metrics.add(&evaluated)?;
            observe(Event::Evaluated(&evaluated));
        }
        Ok(())
    }

    fn save(&mut self, observe: &mut dyn FnMut(Event<'_>)) -> Result<(), RunError> {
        let path = self.checkpoints.path(self.state.step);
        if self.last_saved.as_ref() == Some(&path) {
            return Ok(());
        }
        self.state.metrics_bytes = self.metrics.sync()?;
        self.state.timings_bytes = self.timings.sync()?;
        let path = self
            .checkpoints
            .write(self.trainee, &self.state, &self.probe)?;
        observe(Event::Saved(&path));
        self.last_saved = Some(path);
        Ok(())
    }
}
