//! The messages of a row: from JSON to the variables of a template.
//!
//! What Transformers passes to a template as it stands is passed as it stands, with all keys. Checked is what a template
//! would print wrongly or not at all without an error: roles, and contents that are no text.

use minijinja::Value;

use super::{
    MessagesStyle,
    template::{Dict, as_dict, as_list, dict, parse_json},
};

/// Roles that chat templates know. Another one is most often a misspelling, and many templates drop it in silence.
const ROLES: [&str; 7] = [
    "system",
    "developer",
    "user",
    "assistant",
    "tool",
    "function",
    "ipython",
];

/// ShareGPT's names, and their roles. A `function_call` is the assistant's, but its form differs between data sets.
const FROM: [(&str, &str); 12] = [
    ("system", "system"),
    ("human", "user"),
    ("user", "user"),
    ("gpt", "assistant"),
    ("assistant", "assistant"),
    ("chatgpt", "assistant"),
    ("model", "assistant"),
    ("bot", "assistant"),
    ("tool", "tool"),
    ("tool_response", "tool"),
    ("function_response", "tool"),
    ("observation", "tool"),
];

/// Keys by which some data sets leave a message out of training.
const WEIGHTS: [&str; 8] = [
    "weight",
    "train",
    "training",
    "loss",
    "loss_mask",
    "loss_weight",
    "train_detail",
    "training_detail",
];

/// The messages of a conversation.
#[derive(Debug)]
pub(super) struct Messages {
    pub(super) all: Vec<Value>,
    /// The places of the assistant's messages.
    pub(super) assistant: Vec<usize>,
}

impl Messages {
    /// Reads messages.
    ///
    /// # Errors
    /// The reason why they are none.
    pub(super) fn read(json: &str, style: MessagesStyle) -> Result<Self, String> {
        let value =
            parse_json(json).map_err(|error| format!("messages: expected JSON: {error}"))?;
        let Some(list) = as_list(&value) else {
            return Err(format!(
                "messages: expected a list of messages, got {}",
                name(&value)
            ));
        };
        if list.is_empty() {
            return Err("messages: expected at least one message, got an empty list".to_owned());
        }
        let mut messages = Self {
            all: Vec::with_capacity(list.len()),
            assistant: Vec::new(),
        };
        for (place, message) in list.iter().enumerate() {
            let (role, message) = match style {
                MessagesStyle::OpenAi => (role(message, place)?, message.clone()),
                MessagesStyle::ShareGpt => from_sharegpt(message, place)?,
            };
            if role == "assistant" {
                messages.assistant.push(place);
            }
            messages.all.push(message);
        }
        Ok(messages)
    }
}

/// Reads tools: a list of objects, or none.
///
/// # Errors
/// The reason why they are none.
pub(super) fn tools(json: Option<&str>) -> Result<Option<Value>, String> {
    let Some(json) = json else {
        return Ok(None);
    };
    let value = parse_json(json).map_err(|error| format!("tools: expected JSON: {error}"))?;
    if value.is_none() {
        return Ok(None);
    }
    let Some(list) = as_list(&value) else {
        return Err(format!(
            "tools: expected a list of JSON schemas, got {}",
            name(&value)
        ));
    };
    match list.iter().position(|tool| as_dict(tool).is_none()) {
        Some(at) => Err(format!(
            "tools[{at}]: expected a JSON schema, got {}",
            name(&list[at])
        )),
        None => Ok(Some(value)),
    }
}

/// The entries of a message, and who says it: the value of `key`, which is `expected`, beside `text`.
fn entry<'a>(
    message: &'a Value,
    place: usize,
    key: &str,
    text: &str,
    expected: &str,
) -> Result<(&'a Dict, &'a Value), String> {
    let Some(entries) = as_dict(message) else {
        return Err(format!(
            "messages[{place}]: expected an object with {key} and {text}, got {}",
            name(message)
        ));
    };
    match entries.get_text(key) {
        Some(said_by) => Ok((entries, said_by)),
        None => {
            let keys = entries.keys();
            let keys: Vec<String> = keys.iter().take(8).map(ToString::to_string).collect();
            Err(format!(
                "messages[{place}].{key}: expected {expected}, got none; there are {}",
                listed(&keys)
            ))
        }
    }
}

/// Checks a message in OpenAI's form, and yields its role.
fn role(message: &Value, place: usize) -> Result<&'static str, String> {
    let at = |key: &str| format!("messages[{place}].{key}");
    let (entries, role) = entry(message, place, "role", "content", "a role")?;
    let known = role
        .as_str()
        .and_then(|role| ROLES.into_iter().find(|known| *known == role));
    let Some(known) = known else {
        return Err(format!(
            "{}: expected one of {}, got {}",
            at("role"),
            ROLES.join(", "),
            shown(role)
        ));
    };
    weight(message, place)?;
    let Some(content) = entries.get_text("content") else {
        return Ok(known);
    };
    if content.is_none() || content.as_str().is_some() {
        return Ok(known);
    }
    let Some(parts) = as_list(content) else {
        return Err(format!(
            "{}: expected a text or a list of parts, got {}",
            at("content"),
            name(content)
        ));
    };
    for (i, part) in parts.iter().enumerate() {
        let at = at(&format!("content[{i}]"));
        let Some(part) = as_dict(part) else {
            return Err(format!(
                "{at}: expected a part with type and text, got {}",
                name(part)
            ));
        };
        let kind = part.get_text("type").cloned().unwrap_or_default();
        if kind.as_str() != Some("text") {
            let got = if kind.is_undefined() {
                "none".to_owned()
            } else {
                shown(&kind)
            };
            return Err(format!("{at}.type: expected \"text\", got {got}"));
        }
        let text = part.get_text("text").cloned().unwrap_or_default();
        if text.as_str().is_none() {
            return Err(format!("{at}.text: expected a text, got {}", name(&text)));
        }
    }
    Ok(known)
}

/// A message in ShareGPT's form as one in OpenAI's, and its role.
fn from_sharegpt(message: &Value, place: usize) -> Result<(&'static str, Value), String> {
    let at = |key: &str| format!("messages[{place}].{key}");
    let named = "a name such as human or gpt";
    let (entries, from) = entry(message, place, "from", "value", named)?;
    let role = FROM
        .into_iter()
        .find(|(name, _)| from.as_str() == Some(name));
    let Some((_, role)) = role else {
        let names: Vec<&str> = FROM.iter().map(|(name, _)| *name).collect();
        return Err(format!(
            "{}: expected one of {}, got {}",
            at("from"),
            names.join(", "),
            shown(from)
        ));
    };
    weight(message, place)?;
    let value = entries.get_text("value").cloned().unwrap_or_default();
    if value.as_str().is_none() {
        return Err(format!(
            "{}: expected a text, got {}",
            at("value"),
            name(&value)
        ));
    }
    let message = dict([("role", Value::from(role)), ("content", value)]);
    Ok((role, message))
}

/// Refuses a message that its data set leaves out of training, or weighs: targets are bits, and whole turns.
fn weight(message: &Value, place: usize) -> Result<(), String> {
    for key in WEIGHTS {
        let weight = as_dict(message).and_then(|entries| entries.get_text(key));
        let Some(weight) = weight.filter(|weight| !weight.is_none()) else {
            continue;
        };
        if !(*weight == Value::from(1)
            || *weight == Value::from(true)
            || *weight == Value::from(1.0))
        {
            return Err(format!(
                "messages[{place}].{key}: expected 1, true or null, got {}: messages cannot be weighed one by one",
                shown(weight)
            ));
        }
    }
    Ok(())
}

/// What a value is, in the words of JSON.
fn name(value: &Value) -> &'static str {
    match value {
        value if value.is_undefined() => "none",
        value if value.is_none() => "null",
        value if value.as_str().is_some() => "a text",
        value if value.is_number() => "a number",
        value if as_list(value).is_some() => "a list",
        value if as_dict(value).is_some() => "an object",
        _ => "true or false",
    }
}

/// A value, shortened.
fn shown(value: &Value) -> String {
    const MOST: usize = 40;
    match value.as_str() {
        Some(text) if text.chars().count() > MOST => {
            format!("{:?}...", text.chars().take(MOST).collect::<String>())
        }
        Some(text) => format!("{text:?}"),
        None if value.is_number() => value.to_string(),
        None => name(value).to_owned(),
    }
}

fn listed(keys: &[String]) -> String {
    match keys.is_empty() {
        true => "no keys".to_owned(),
        false => keys.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn openai(json: &str) -> Result<Vec<usize>, String> {
        Messages::read(json, MessagesStyle::OpenAi).map(|messages| messages.assistant)
    }

    fn sharegpt(json: &str) -> Result<Messages, String> {
        Messages::read(json, MessagesStyle::ShareGpt)
    }

    #[test]
    fn messages_are_taken_as_they_are() {
        let json = r#"[{"role": "system", "content": "a"}, {"role": "assistant", "content": null, "tool_calls": [1]},
            {"role": "tool"}, {"role": "assistant", "content": [{"type": "text", "text": "b"}], "own": {"x": 1}}]"#;
        assert_eq!(openai(json), Ok(vec![1, 3]));
        let read = Messages::read(json, MessagesStyle::OpenAi).unwrap();
        assert_eq!(as_dict(&read.all[3]).unwrap().keys().len(), 3);
    }

    #[test]
    fn what_is_no_message_is_refused_by_its_place() {
        for (json, said) in [
            ("{", "messages: expected JSON: "),
            ("{}", "messages: expected a list of messages, got an object"),
            (
                "\"[]\"",
                "messages: expected a list of messages, got a text",
            ),
            ("null", "messages: expected a list of messages, got null"),
            ("[]", "messages: expected at least one message"),
            (
                "[1]",
                "messages[0]: expected an object with role and content, got a number",
            ),
            (
                r#"[{"content": "a", "from": "b"}]"#,
                "messages[0].role: expected a role, got none; there are content, from",
            ),
            ("[{}]", "there are no keys"),
            (
                r#"[{"role": "bot", "content": ""}]"#,
                "messages[0].role: expected one of system, developer, user, assistant, tool, function, ipython, got \"bot\"",
            ),
            (r#"[{"role": 3}]"#, "got 3"),
            (
                r#"[{"role": "user", "content": 3}]"#,
                "messages[0].content: expected a text or a list of parts, got a number",
            ),
            (
                r#"[{"role": "user", "content": {"a": 1}}]"#,
                "got an object",
            ),
            (
                r#"[{"role": "user", "content": ["a"]}]"#,
                "messages[0].content[0]: expected a part with type and text, got a text",
            ),
            (
                r#"[{"role": "user", "content": [{"type": "image"}]}]"#,
                "messages[0].content[0].type: expected \"text\", got \"image\"",
            ),
            (
                r#"[{"role": "user", "content": [{"text": "a"}]}]"#,
                "messages[0].content[0].type: expected \"text\", got none",
            ),
            (
                r#"[{"role": "user", "content": [{"type": "text"}]}]"#,
                "messages[0].content[0].text: expected a text, got none",
            ),
            (
                r#"[{"role": "user"}, {"role": "assistant", "content": "a", "weight": 0}]"#,
                "messages[1].weight: expected 1, true or null, got 0",
            ),
            (
                r#"[{"role": "user"}, {"role": "assistant", "content": "a", "loss_mask": 0}]"#,
                "messages[1].loss_mask: expected 1, true or null, got 0",
            ),
            (
                r#"[{"role": "user"}, {"role": "assistant", "content": "a", "train_detail": []}]"#,
                "messages[1].train_detail: expected 1, true or null, got a list",
            ),
            (
                r#"[{"role": "user", "content": "a", "n": 12345678901234567890123}]"#,
                "expected numbers below",
            ),
        ] {
            let got = openai(json).unwrap_err();
            assert!(got.contains(said), "{json}: {got}");
        }
        assert!(
            openai(
                r#"[{"role": "user", "content": "", "weight": 1, "train": true, "loss": null}]"#
            )
            .is_ok()
        );
    }

    #[test]
    fn sharegpt_becomes_roles() {
        let read = sharegpt(
            r#"[{"from": "system", "value": "a"}, {"from": "human", "value": "b"}, {"from": "gpt", "value": "c", "weight": null}]"#,
        );
        let read = read.unwrap();
        assert_eq!(read.assistant, [2]);
        let last = as_dict(&read.all[2]).unwrap();
        assert_eq!(last.get_text("content").unwrap().as_str(), Some("c"));
        for (json, said) in [
            (
                r#"[{"role": "user", "content": "a"}]"#,
                "messages[0].from: expected a name such as human or gpt, got none; there are role, content",
            ),
            (
                r#"[{"from": "function_call", "value": "a"}]"#,
                "messages[0].from: expected one of system, human",
            ),
            (
                r#"[{"from": "gpt", "value": null}]"#,
                "messages[0].value: expected a text, got null",
            ),
            (
                r#"[{"from": "gpt"}]"#,
                "messages[0].value: expected a text, got none",
            ),
        ] {
            let got = sharegpt(json).unwrap_err();
            assert!(got.contains(said), "{json}: {got}");
        }
    }

    #[test]
    fn tools_are_a_list_of_objects() {
        assert!(tools(None).unwrap().is_none());
        assert!(tools(Some("null")).unwrap().is_none());
        assert!(tools(Some("[]")).unwrap().is_some());
        assert_eq!(
            tools(Some("[{}, 1]")).unwrap_err(),
            "tools[1]: expected a JSON schema, got a number"
        );
        assert_eq!(
            tools(Some("{}")).unwrap_err(),
            "tools: expected a list of JSON schemas, got an object"
        );
    }
}
