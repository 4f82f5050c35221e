//! Targets and rejections. Texts, ids and masks are compared with Transformers in tests/conversations.rs.

use std::{fs, path::Path};

use super::*;

const CHATML: &str = "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

struct Setup {
    tokenization: Tokenization,
    conversations: Conversations,
}

fn setup(template: &str, style: MessagesStyle, targets: Targets) -> anyhow::Result<Setup> {
    let folder = tempfile::tempdir()?;
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo/tokenizer.json");
    fs::copy(demo, folder.path().join("tokenizer.json"))?;
    let config = r#"{"bos_token": "<s>", "eos_token": "<|im_end|>", "extra_special_tokens": ["<|im_start|>"]}"#;
    fs::write(folder.path().join("tokenizer_config.json"), config)?;
    fs::write(folder.path().join("chat_template.jinja"), template)?;
    let files = TokenizerFiles::open(folder.path())?;
    Ok(Setup {
        tokenization: Tokenization::of(files.tokenizer()?),
        conversations: Conversations::load(&files, None, style, targets)?,
    })
}

/// The texts of the targets, without those between them.
fn targets_of(template: &str, targets: Targets, messages: &str) -> Result<Vec<String>, String> {
    let Setup {
        tokenization,
        conversations,
    } = setup(template, MessagesStyle::OpenAi, targets).unwrap();
    let got = conversations.tokenize(&tokenization, messages, None)?;
    let offsets = tokenization.offsets(&got.text).unwrap();
    let target = got.target.unwrap_or_else(|| vec![true; got.tokens.len()]);
    let mut texts: Vec<String> = Vec::new();
    let mut before = false;
    for (&(start, end), target) in offsets.iter().zip(target) {
        if target && !before {
            texts.push(String::new());
        }
        if target {
            texts.last_mut().unwrap().push_str(&got.text[start..end]);
        }
        before = target;
    }
    Ok(texts)
}

const TWO: &str = r#"[{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}, {"role": "user", "content": "three"}, {"role": "assistant", "content": "four"}]"#;

#[test]
fn targets_are_what_the_assistant_says_with_the_end_of_its_turn() {
    let of = |targets| targets_of(CHATML, targets, TWO).unwrap();
    assert_eq!(
        of(Targets::Assistant),
        ["two<|im_end|>\n", "four<|im_end|>\n"]
    );
    assert_eq!(of(Targets::LastAssistant), ["four<|im_end|>\n"]);
    assert_eq!(of(Targets::All).len(), 1);
    let none = targets_of(
        CHATML,
        Targets::Assistant,
        r#"[{"role": "user", "content": "one"}]"#,
    );
    assert_eq!(none.unwrap(), Vec::<String>::new());
    let all = setup(CHATML, MessagesStyle::OpenAi, Targets::All).unwrap();
    let all = all
        .conversations
        .tokenize(&all.tokenization, TWO, None)
        .unwrap();
    assert_eq!(all.target, None);
}

#[test]
fn sharegpt_gives_the_same_tokens() {
    let sharegpt = r#"[{"from": "human", "value": "one"}, {"from": "gpt", "value": "two"}, {"from": "human", "value": "three"}, {"from": "gpt", "value": "four"}]"#;
    let [one, other] = [
        (MessagesStyle::OpenAi, TWO),
        (MessagesStyle::ShareGpt, sharegpt),
    ]
    .map(|(style, messages)| {
        let setup = setup(CHATML, style, Targets::Assistant).unwrap();
        setup
            .conversations
            .tokenize(&setup.tokenization, messages, None)
            .unwrap()
    });
    assert_eq!(one, other);
}

#[test]
fn what_is_not_exact_is_rejected() {
    // It drops what earlier turns thought.
    let strips = CHATML.replace(
        "{{ m.content }}",
        "{{ m.content if loop.last else m.content.split('/')[-1] }}",
    );
    let thinking = TWO.replace("two", "a/two");
    let got = targets_of(&strips, Targets::Assistant, &thinking).unwrap_err();
    assert!(
        got.contains(
            "messages[1]: expected to find where the assistant's text ends, got other tokens"
        ),
        "{got}"
    );
    assert_eq!(
        targets_of(&strips, Targets::LastAssistant, &thinking).unwrap(),
        ["four<|im_end|>\n"]
    );
    // A token on both sides of the border.
    let joined = "{% for m in messages %}{{ m.content }}{% endfor %}";
    let word = r#"[{"role": "user", "content": "o"}, {"role": "assistant", "content": "ne"}]"#;
    let got = targets_of(joined, Targets::Assistant, word).unwrap_err();
    assert!(
        got.contains(
            "messages[1]: expected to find where the assistant's text begins, got other tokens"
        ),
        "{got}"
    );
    let marked = "{% for m in messages %}{% if m.role == 'user' %}o{% else %}{% generation %}ne{% endgeneration %}{% endif %}{% endfor %}";
    let got = targets_of(marked, Targets::Assistant, word).unwrap_err();
    assert!(got.contains("got the token \"one\" on both sides"), "{got}");
    // The template raises for what stands before it.
    let raises = "{% if messages|length < 3 %}{{ raise_exception('too few') }}{% endif %}"
        .to_owned()
        + CHATML;
    let got = targets_of(&raises, Targets::Assistant, TWO).unwrap_err();
    assert!(
        got.contains("messages[1]")
            && got.contains("the template refuses the conversation: too few"),
        "{got}"
    );
    assert_eq!(
        targets_of(&raises, Targets::LastAssistant, TWO).unwrap(),
        ["four<|im_end|>\n"]
    );
    // Nothing stands before it.
    let first = r#"[{"role": "assistant", "content": "one"}, {"role": "user", "content": "two"}]"#;
    let got = targets_of(CHATML, Targets::Assistant, first).unwrap_err();
    assert!(
        got.contains("messages[0]: expected messages before the assistant's"),
        "{got}"
    );
}

#[test]
fn the_last_message_may_have_several_marks() {
    let template = "{% for m in messages %}{% if m.role == 'user' %}<|im_start|>{{ m.content }}{% else %}<|im_start|>{% generation %}{{ m.content }}{% endgeneration %}<|im_start|>{% generation %}{{ eos_token }}{% endgeneration %}{% endif %}{% endfor %}";
    assert_eq!(
        targets_of(template, Targets::Assistant, TWO).unwrap(),
        ["two", "<|im_end|>", "four", "<|im_end|>"]
    );
    assert_eq!(
        targets_of(template, Targets::LastAssistant, TWO).unwrap(),
        ["four", "<|im_end|>"]
    );
}

#[test]
fn a_sequence_begins_once() {
    let twice = "{{ bos_token }}".to_owned() + CHATML;
    let got = targets_of(&twice, Targets::Assistant, TWO).unwrap_err();
    assert!(got.contains("expected one beginning-of-sequence token before the conversation, got two: the text begins with \"<s><s><|im_start|>"), "{got}");
}

#[test]
fn marks_in_messages_are_refused() {
    for messages in [
        "[{\"role\": \"user\", \"content\": \"\u{ffffe}\"}]",
        r#"[{"role": "user", "content": "\uDBBF\uDFFF"}]"#,
    ] {
        let got = targets_of(CHATML, Targets::All, messages).unwrap_err();
        assert!(
            got.contains("messages: expected no characters U+FFFFE and U+FFFFF"),
            "{got}"
        );
    }
}

#[test]
fn a_template_that_is_refused_names_its_file_and_line() {
    let refused = setup("a\n{{ x|shout }}", MessagesStyle::OpenAi, Targets::All)
        .err()
        .unwrap();
    let said = refused.to_string();
    assert!(said.contains("chat_template.jinja: chat template, line 2: expected a filter that is supported, got \"shout\""), "{said}");
    assert!(
        crate::hint::of(&refused)
            .unwrap()
            .contains("--chat-template")
    );
}

#[test]
fn the_fingerprint_is_that_of_the_template() {
    let of = |template| {
        setup(template, MessagesStyle::OpenAi, Targets::All)
            .unwrap()
            .conversations
            .fingerprint
    };
    assert_eq!(of(CHATML), of(CHATML));
    assert_ne!(of(CHATML), of("other"));
}
