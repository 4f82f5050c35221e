//! Refuses experiments that make no sense. Looks only at the experiment's file and reads nothing else.

use std::path::Path;

use super::{
    file::{Budget, File, Model, Objective},
    plan::{is_baseline, keeps_a_share},
};
use crate::hinted_error::HintedError;

/// Refuses an invalid experiment file.
pub(super) fn check(file: &File, path: &Path) -> anyhow::Result<()> {
    let wrong = |message: String, hint: &str| {
        Err(HintedError::error(
            format!("{}: {message}", path.display()),
            hint,
        ))
    };
    let length = |name: &str, steps: Option<u64>, tokens: Option<u64>| match (steps, tokens) {
        (Some(1..), None) | (None, Some(1..)) => Ok(()),
        _ => wrong(
            format!("{name}: expected either steps or tokens, of at least 1"),
            "set one of them: the length of the training",
        ),
    };
    let model = |name: &str, model: &Model, init: bool| {
        let trained = !model.files.is_empty() || model.init.is_some();
        match (&model.model, trained) {
            (Some(_), true) => wrong(
                format!("{name}: expected either model, or files to train one on, got both"),
                "leave one out",
            ),
            (Some(_), false) => Ok(()),
            (None, _) if model.files.is_empty() || (init && model.init.is_none()) => wrong(
                format!(
                    "{name}: expected model, or {}files to train one on",
                    if init {
                        "init (a config.json) and "
                    } else {
                        ""
                    }
                ),
                "docs/analyses.md has an example",
            ),
            (None, _) => length(name, model.steps, model.tokens),
        }
    };
    model("base", &file.base, true)?;
    model("reference", &file.reference, false)?;
    let Budget { steps, tokens } = file.budget;
    length("budget", steps, tokens)?;
    if file.seeds.is_empty() || has_twice(&file.seeds) {
        return wrong(
            "seeds: expected different numbers, at least one".to_owned(),
            "use at least three for a useful interval",
        );
    }
    if !file.arms.iter().any(is_baseline) {
        return wrong(
            "arms: expected one with objective clm and no mix, as the baseline of the others"
                .to_owned(),
            r#"add [[arms]] with name = "clm" and objective = "clm""#,
        );
    }
    let names: Vec<&str> = file.arms.iter().map(|arm| arm.name.as_str()).collect();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if has_twice(&names)
        || names
            .iter()
            .any(|name| name.is_empty() || !name.chars().all(plain))
    {
        return wrong(
            "arms: expected different names of letters, digits and -_.".to_owned(),
            "folders are named after them",
        );
    }
    for arm in &file.arms {
        let of = format!("arms: {}", arm.name);
        if arm.keep.is_some() && !keeps_a_share(arm.objective) {
            return wrong(
                format!(
                    "{of}: keep: expected an objective that keeps a share (slm, random, hard, easy)"
                ),
                "move it to select, or omit it",
            );
        }
        if let Some(share) = arm.mix {
            if arm.objective != Objective::Clm || arm.select.is_some() {
                return wrong(
                    format!("{of}: mix: expected objective clm without select"),
                    "other objectives would need masks of the data mixed in",
                );
            }
            if file.reference.model.is_some() {
                return wrong(
                    format!("{of}: mix: expected a reference that is trained here, got a model"),
                    "name the files that the reference is trained on",
                );
            }
            if !(share > 0.0 && share < 1.0) {
                return wrong(
                    format!("{of}: mix: expected a share between 0 and 1, got {share}"),
                    "such as 0.2",
                );
            }
        }
        if arm.objective == Objective::Weighted && arm.select.is_none() {
            return wrong(
                format!("{of}: expected select with weights"),
                r#"such as select = { by = "excess", weights = "sigmoid" }"#,
            );
        }
    }
    if let Some(sweep) = &file.sweep
        && (!keeps_a_share(sweep.objective) || sweep.keep.is_empty())
    {
        return wrong(
            "sweep: expected an objective that keeps a share (slm, random, hard, easy), and ratios in keep".to_owned(),
            "such as objective = \"slm\", keep = [0.2, 0.4, 0.6, 0.8]",
        );
    }
    let evaluation = &file.evaluation;
    if evaluation.files.is_empty() {
        return wrong(
            "evaluation: expected files to evaluate on, got none".to_owned(),
            "use text that is held out from all training",
        );
    }
    let names = || evaluation.files.iter().map(|file| crate::eval::name(file));
    if let Some(name) = evaluation
        .parts
        .keys()
        .find(|name| names().all(|known| known != **name))
    {
        return wrong(
            format!("evaluation: parts: expected the name of one of the files, got {name:?}"),
            "a set has the name of its file, without extensions",
        );
    }
    if let Some(name) = &evaluation.downstream
        && names().all(|known| known != *name)
    {
        return wrong(
            format!("evaluation: downstream: expected the name of one of the files, got {name:?}"),
            "a set has the name of its file, without extensions",
        );
    }
    Ok(())
}

fn has_twice<T: Ord + Clone>(items: &[T]) -> bool {
    let mut sorted = items.to_vec();
    sorted.sort();
    sorted.windows(2).any(|pair| pair[0] == pair[1])
}
