//! Progress bars on standard error. Names beside a bar come from other people's files: they are made safe here.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::terminal_text::in_one_line;

/// The bar on the screen.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// A progress bar. It is cleared when it is dropped.
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// A bar of this length. `style` is a template of `indicatif`.
    pub(crate) fn new(length: u64, style: &str) -> Self {
        let bar = ProgressBar::new(length);
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
        Self(bar)
    }

    /// A bar that is drawn if somebody watches.
    pub(crate) fn if_watched(length: u64, style: &str) -> Self {
        match super::watched() {
            true => Self::new(length, style),
            false => Self::hidden(),
        }
    }

    /// A bar that is not drawn.
    pub(crate) fn hidden() -> Self {
        Self(ProgressBar::hidden())
    }

    /// Whether it is not drawn.
    pub(crate) fn is_hidden(&self) -> bool {
        self.0.is_hidden()
    }

    /// Also draws it twice a second, so that its times run.
    pub(crate) fn ticking(self) -> Self {
        self.0.enable_steady_tick(Duration::from_millis(500));
        self
    }

    /// The text beside it.
    pub(crate) fn set_message(&self, message: &str) {
        self.0.set_message(in_one_line(message).into_owned());
    }

    pub(crate) fn set_length(&self, length: u64) {
        self.0.set_length(length);
    }

    pub(crate) fn set_position(&self, position: u64) {
        self.0.set_position(position);
    }

    pub(crate) fn position(&self) -> u64 {
        self.0.position()
    }

    pub(crate) fn inc(&self, more: u64) {
        self.0.inc(more);
    }

    /// Removes it from the screen.
    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
        if !self.is_hidden() {
            *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Writes while the bar, if there is one, is off the screen.
pub(super) fn above_the_bar<T>(write: impl FnOnce() -> T) -> T {
    let shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match shown {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}
