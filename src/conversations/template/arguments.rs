//! The arguments of a call, by position and by name.

use minijinja::{Error, Value, value::Kwargs};

use super::values::error;

/// The arguments of a call of a filter, a test, a method or a function.
pub(super) struct Arguments {
    positional: Vec<Value>,
    named: Option<Kwargs>,
    /// The names of the parameters that were asked for so far.
    asked: usize,
}

impl Arguments {
    pub(super) fn of(all: &[Value]) -> Result<Self, Error> {
        let (positional, named) = match all.split_last() {
            Some((last, rest)) if last.is_kwargs() => (rest, Some(Kwargs::try_from(last.clone())?)),
            _ => (all, None),
        };
        Ok(Self {
            positional: positional.to_vec(),
            named,
            asked: 0,
        })
    }

    /// The next parameter, if it is given.
    pub(super) fn optional(&mut self, name: &str) -> Result<Option<Value>, Error> {
        let place = self.asked;
        self.asked += 1;
        let named = self.named.as_ref().filter(|named| named.has(name));
        match (self.positional.get(place), named) {
            (Some(_), Some(_)) => Err(error(format!("expected one {name:?}, got two"))),
            (Some(value), None) => Ok(Some(value.clone())),
            (None, Some(named)) => Ok(Some(named.get(name)?)),
            (None, None) => Ok(None),
        }
    }

    /// The next parameter, which must be given.
    pub(super) fn required(&mut self, name: &str) -> Result<Value, Error> {
        let given = self.optional(name)?;
        given.ok_or_else(|| error(format!("expected an argument {name:?}, got none")))
    }

    /// A parameter that is given by its name only.
    pub(super) fn by_name(&mut self, name: &str) -> Result<Option<Value>, Error> {
        match &self.named {
            Some(named) if named.has(name) => Ok(Some(named.get(name)?)),
            _ => Ok(None),
        }
    }

    /// The remaining arguments by position.
    pub(super) fn rest(&mut self) -> Vec<Value> {
        let rest = self
            .positional
            .get(self.asked..)
            .unwrap_or_default()
            .to_vec();
        self.asked = usize::MAX;
        rest
    }

    /// Refuses arguments that were not asked for.
    pub(super) fn end(self) -> Result<(), Error> {
        if self.positional.len() > self.asked {
            let (most, got) = (self.asked, self.positional.len());
            return Err(error(format!(
                "expected at most {most} arguments, got {got}"
            )));
        }
        self.named.map_or(Ok(()), |named| named.assert_all_used())
    }
}
