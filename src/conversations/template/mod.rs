//! A chat template: Jinja, rendered to the same text as Transformers renders it.
//!
//! minijinja parses and runs it; on the way, its syntax tree is rewritten so that every operation is Python's (see
//! `rewrite`). What is not known to be equal is refused. A template comes from a stranger: its instructions, its depth and
//! the bytes that it handles are bounded.
//!
//! * `rewrite`: the tree. `values`: Python's types. `operators`, `filters`, `predicates` (`is ...`), `methods`: what is done with them.
//! * `json`: what comes in, and `tojson`. `arguments`: of a call. `work`: how many bytes a rendering may handle.

mod arguments;
mod filters;
mod json;
mod methods;
mod operators;
mod predicates;
mod rewrite;
mod values;
mod work;

use std::{cmp::Ordering, collections::BTreeMap, ops::Range, thread};

use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Value,
    machinery::{CodeGenerator, Instructions, Vm, make_string_output, parse},
    syntax::SyntaxConfig,
    value::Rest,
};

use arguments::Arguments;
use rewrite::Rewriter;
use rho_files::caught;
pub(super) use values::Dict;
use values::{Kind, Today};

pub(super) use json::parse as parse_json;
pub(super) use rewrite::{END, Fault, START};

/// Whether JSON has one of the characters that mark spans, also as an escape.
pub(super) fn is_marked(json: &str) -> bool {
    // As escapes, they are the surrogates DBBF DFFE and DBBF DFFF.
    let escaped = || json.to_ascii_lowercase().contains("\\udbbf\\udff");
    json.contains([START, END]) || json.contains("\\u") && escaped()
}

/// The items of a list.
pub(super) fn as_list(value: &Value) -> Option<&[Value]> {
    match Kind::of(value) {
        Kind::List(items) => Some(items),
        _ => None,
    }
}

/// The entries of an object.
pub(super) fn as_dict(value: &Value) -> Option<&Dict> {
    value.downcast_object_ref()
}

/// A list of these items.
pub(super) fn list(items: Vec<Value>) -> Value {
    Value::from(items)
}

/// An object of these entries.
pub(super) fn dict<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::from_object(Dict::of_texts(entries))
}

/// The largest template. Those of models have up to 40 KB.
const LARGEST: usize = 256 << 10;
/// The stack on which a template is compiled: nested expressions are handled recursively.
const STACK: usize = 128 << 20;
/// Instructions of one rendering.
const FUEL: u64 = 20_000_000;
/// How deep macros may call each other; each counts several times. More would not fit on the stack of a thread.
const RECURSION: usize = 200;

/// A compiled template.
pub(super) struct Template {
    environment: Environment<'static>,
    instructions: Instructions<'static>,
    blocks: BTreeMap<&'static str, Instructions<'static>>,
    /// Whether it marks what the assistant says with `{% generation %}`.
    pub(super) marks_generation: bool,
}

/// A rendered text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rendered {
    pub(super) text: String,
    /// The bytes inside `{% generation %}`.
    pub(super) generation: Vec<Range<usize>>,
}

impl Template {
    /// Compiles a template.
    ///
    /// # Errors
    /// If it is no template, or has a part that is not supported; with the line.
    pub(super) fn compile(source: &str) -> Result<Self, Fault> {
        if source.len() > LARGEST {
            let message = format!("expected at most {LARGEST} bytes, got {}", source.len());
            return Err(Fault { line: 1, message });
        }
        if rewrite::is_reserved(source) {
            let message =
                "expected no characters U+FFFFE and U+FFFFF, and no name __generation__".to_owned();
            return Err(Fault { line: 1, message });
        }
        // As Jinja does before anything else.
        let source = source.replace("\r\n", "\n").replace('\r', "\n");
        if let Some(line) = rewrite::raw_block(&source) {
            let message = "expected what chat templates use, got \"raw\", which is not supported";
            return Err(Fault {
                line,
                message: message.to_owned(),
            });
        }
        let compiled = thread::scope(|scope| {
            let thread = thread::Builder::new().stack_size(STACK);
            let spawned = thread.spawn_scoped(scope, || caught(|| compile(&source)));
            spawned.map(|compiling| compiling.join())
        });
        match compiled {
            Ok(Ok(Ok(compiled))) => compiled,
            Ok(Ok(Err(panic))) => Err(Fault {
                line: 1,
                message: format!("minijinja failed: {panic}"),
            }),
            Ok(Err(_)) => Err(Fault {
                line: 1,
                message: "minijinja failed".to_owned(),
            }),
            Err(error) => Err(Fault {
                line: 1,
                message: format!("cannot start a thread: {error}"),
            }),
        }
    }

    /// Renders a text from the variables of a conversation, which have this many bytes of JSON.
    ///
    /// # Errors
    /// The reason, with the line.
    pub(super) fn render(
        &self,
        variables: Vec<(&str, Value)>,
        bytes: usize,
    ) -> Result<Rendered, String> {
        work::start(bytes);
        let rendered = caught(|| {
            let mut root = Dict::default();
            for (name, value) in variables {
                root.put(Value::from(name), value)?;
            }
            let mut text = String::new();
            let mut output = make_string_output(&mut text);
            let vm = Vm::new(&self.environment);
            let root = Value::from_object(root);
            vm.eval(
                &self.instructions,
                root,
                &self.blocks,
                &mut output,
                AutoEscape::None,
            )?;
            Ok(text)
        });
        match rendered {
            Ok(Ok(text)) => Ok(without_marks(&text)),
            Ok(Err(error)) => Err(reason(&error)),
            Err(panic) => Err(format!("the chat template failed: {panic}")),
        }
    }
}

/// Compiles the source on a thread with a large stack.
fn compile(source: &str) -> Result<Template, Fault> {
    let refused = |error: Error| Fault {
        line: error.line().unwrap_or(1),
        message: error
            .detail()
            .map_or_else(|| error.kind().to_string(), str::to_owned),
    };
    let (source, marks_generation) = rewrite::replace_generation(source).map_err(refused)?;
    // The instructions borrow their source. A run has one template, or a few; they live as long as the run.
    let source: &'static str = source.leak();
    let tree =
        parse(source, "chat template", SyntaxConfig, rewrite::WHITESPACE).map_err(refused)?;
    let tree = Rewriter::of(source).template(&tree)?;
    let mut generator = CodeGenerator::new("chat template", source);
    generator.compile_stmt(&tree);
    let (instructions, blocks) = generator.finish();
    Ok(Template {
        environment: environment(),
        instructions,
        blocks,
        marks_generation,
    })
}

/// Takes the marks out of a text.
fn without_marks(marked: &str) -> Rendered {
    let mut text = String::with_capacity(marked.len());
    let mut generation = Vec::new();
    let mut start = 0;
    for part in marked.split_inclusive([START, END]) {
        if let Some(before) = part.strip_suffix(START) {
            text.push_str(before);
            start = text.len();
        } else if let Some(before) = part.strip_suffix(END) {
            text.push_str(before);
            generation.push(start..text.len());
        } else {
            text.push_str(part);
        }
    }
    Rendered { text, generation }
}

/// Why a rendering failed.
fn reason(error: &Error) -> String {
    let line = error.line().unwrap_or(0);
    let what = match error.kind() {
        ErrorKind::OutOfFuel => {
            "expected the template to end, got one that runs too long".to_owned()
        }
        kind => error
            .detail()
            .map_or_else(|| kind.to_string(), str::to_owned),
    };
    format!("chat template, line {line}: {what}")
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(RECURSION);
    environment.set_formatter(|out, _, value| {
        let text = values::to_text(value)?;
        out.write_str(&text).map_err(Error::from)
    });
    for name in filters::NAMES {
        environment.add_filter(*name, move |value: &Value, rest: Rest<Value>| {
            filters::filter(name, value, Arguments::of(&rest)?)
        });
    }
    for name in predicates::NAMES {
        environment.add_test(*name, move |value: &Value, rest: Rest<Value>| {
            predicates::test(name, value, Arguments::of(&rest)?)
        });
    }
    private(&mut environment);
    environment.add_function("range", |rest: Rest<Value>| {
        filters::range(Arguments::of(&rest)?)
    });
    environment.add_function("dict", |rest: Rest<Value>| filters::dict(&rest));
    environment.add_function("namespace", |rest: Rest<Value>| {
        if rest.len() > 1 {
            return Err(values::error(
                "namespace: expected one dict, or arguments by name",
            ));
        }
        let defaults = rest.first().cloned().map(values::checked);
        minijinja::functions::namespace(defaults.transpose()?)
    });
    environment.add_function("raise_exception", |message: &Value| {
        let message = values::to_text(message)?;
        Err::<Value, _>(values::error(format!(
            "the template refuses the conversation: {message}"
        )))
    });
    for name in ["cycler", "joiner", "lipsum"] {
        environment.add_function(name, move |_: Rest<Value>| {
            let expected = "expected a function that chat templates use";
            Err::<Value, _>(values::error(format!(
                "{expected}, got {name}(), which is not supported"
            )))
        });
    }
    environment.add_function("strftime_now", |_: &Value| Value::from_object(Today));
    environment
}

/// The operations that `rewrite` puts in the place of minijinja's own.
fn private(environment: &mut Environment<'static>) {
    type Binary = fn(&Value, &Value) -> Result<Value, Error>;
    let operators: [(&'static str, Binary); 9] = [
        ("·add", operators::add),
        ("·subtract", operators::subtract),
        ("·multiply", operators::multiply),
        ("·divide", operators::divide),
        ("·floor_divide", operators::floor_divide),
        ("·remainder", operators::remainder),
        ("·power", operators::power),
        ("·concatenate", operators::concatenate),
        ("·equal", |a, b| values::equal(a, b).map(Value::from)),
    ];
    for (name, operator) in operators {
        environment.add_filter(name, move |a: &Value, b: &Value| operator(a, b));
    }
    type Fits = fn(Ordering) -> bool;
    let orders: [(&'static str, Fits); 4] = [
        ("·less", Ordering::is_lt),
        ("·less_equal", Ordering::is_le),
        ("·greater", Ordering::is_gt),
        ("·greater_equal", Ordering::is_ge),
    ];
    for (name, fits) in orders {
        environment.add_filter(name, move |a: &Value, b: &Value| {
            let order = values::compare(a, b)?;
            Ok::<_, Error>(order.is_some_and(fits))
        });
    }
    environment.add_filter("·in", |item: &Value, container: &Value| {
        values::contains(container, item)
    });
    environment.add_filter("·negate", operators::negate);
    environment.add_filter(
        "·slice",
        |value: &Value, start: &Value, stop: &Value, step: &Value| {
            operators::slice(value, start, stop, step)
        },
    );
    environment.add_filter(
        "·attribute",
        |value: &Value, name: &str, shown: Option<&str>| values::attribute(value, name, shown),
    );
    environment.add_filter(
        "·item",
        |value: &Value, key: &Value, shown: Option<&str>| values::item(value, key, shown),
    );
    environment.add_filter("·iterate", |value: &Value| {
        values::items(value).map(Value::from)
    });
    environment.add_filter("·checked", |value: Value| values::checked(value));
    environment.add_filter("·tuple", filters::tuple_of);
    environment.add_filter("·dict", |parts: &Value| match Kind::of(parts) {
        Kind::List(parts) => filters::dict_of(parts),
        _ => Err(values::wrong("the entries of a dict", parts)),
    });
}

#[cfg(test)]
mod tests;
