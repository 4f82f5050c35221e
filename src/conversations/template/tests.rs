//! Small templates: whether they render, and to what, is compared with Jinja itself in tests/conversations.rs.

use super::*;

fn rendered(source: &str) -> Result<String, String> {
    let template =
        Template::compile(source).map_err(|fault| format!("{}: {}", fault.line, fault.message))?;
    Ok(template.render(vec![], 0)?.text)
}
