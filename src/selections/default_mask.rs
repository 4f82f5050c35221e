//! The mask column that a command uses by default.

/// The mask that `score` writes by default, and the best one in Rho-1's self-reference.
pub(crate) const USUAL_MASK: &str = "mask_intersection";

/// The named column, else the usual one, else the only one.
pub(crate) fn chosen(named: Option<&str>, there: &[String], usual: &str) -> Option<String> {
    let is_there = |name: &str| there.iter().find(|column| *column == name).cloned();
    match (named, there) {
        (Some(name), _) => is_there(name),
        (None, [only]) => Some(only.clone()),
        (None, _) => is_there(usual),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_the_usual_or_the_only_column() {
        let there = ["mask_loss", USUAL_MASK].map(String::from);
        let pick = |named, there: &[String]| chosen(named, there, USUAL_MASK);
        assert_eq!(pick(None, &there).as_deref(), Some(USUAL_MASK));
        assert_eq!(
            pick(Some("mask_loss"), &there).as_deref(),
            Some("mask_loss")
        );
        assert_eq!(pick(Some("mask_excess"), &there), None);
        assert_eq!(pick(None, &there[..1]).as_deref(), Some("mask_loss"));
        assert_eq!(pick(None, &[]), None);
    }
}
