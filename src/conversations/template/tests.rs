//! What is refused, and what is bounded. Texts are compared with Jinja itself in tests/conversations.rs.

use std::thread;

use super::*;

fn rendered(source: &str) -> Result<String, String> {
    let template = Template::compile(source)
        .map_err(|fault| format!("line {}: {}", fault.line, fault.message))?;
    let messages = parse_json(r#"[{"role": "user", "content": "hi", "items": 3}]"#).unwrap();
    let rendered = template.render(
        vec![("messages", messages), ("bos_token", Value::from("<s>"))],
        0,
    )?;
    Ok(rendered.text)
}

// jinja2 3.1.6 with the settings of Transformers 5.16.1: _compile_jinja_template(source).render(messages=[...], bos_token="<s>")
#[test]
fn values_are_those_of_python() {
    for (source, expected) in [
        (
            "{{ true }} {{ none }} {{ 1.0 }} {{ 1e16 }} {{ 1e-7 }} {{ 10 / 4 }} {{ -7 // 2 }} {{ -7 % 3 }}",
            "True None 1.0 1e+16 1e-07 2.5 -4 2",
        ),
        (
            "{{ ['a', none, {'b': \"it's\"}] }}",
            "['a', None, {'b': \"it's\"}]",
        ),
        ("{{ (1,) }} {{ ('a', 2) ~ 'x' }}", "(1,) ('a', 2)x"),
        (
            "{{ nothing }}|{{ nothing is defined }}|{{ messages[0].nothing is none }}",
            "|False|False",
        ),
        (
            "{{ messages[-1]['role'] }} {{ messages[7] is undefined }} {{ 'abc'[::-1] }} {{ 'abc'[-9:2] }}",
            "user True cba ab",
        ),
        (
            "{{ messages[0]['items'] }} {{ messages[0].get('none', 4) }} {{ messages[0].items()|list|length }}",
            "3 4 3",
        ),
        (
            "{{ 'a b\\u00e9\\x41\\q' }} {{ ' x '.strip() ~ '|' }} {{ 'aXb'.split('X')[-1] }}",
            "a bé\u{41}\\q x| b",
        ),
        (
            "{{ 'ab' * 2 }} {{ [0] * 2 }} {{ 'b' in 'abc' and 'role' in messages[0] }} {{ '' or 'x' }} {{ 1 < 2 <= 2 }}",
            "abab [0, 0] True x True",
        ),
        (
            "{{ {'a': [1, 2.0, true, none, 'é\"']}|tojson }}",
            "{\"a\": [1, 2.0, true, null, \"é\\\"\"]}",
        ),
        (
            "{{ {'b': [], 'a': {'c': 1}}|tojson(indent=2, sort_keys=true) }}",
            "{\n  \"a\": {\n    \"c\": 1\n  },\n  \"b\": []\n}",
        ),
        (
            "{% for m in messages %}\n  {%- if loop.last %}\n    last\n  {% endif %}\n{% endfor %}\n",
            "    last\n",
        ),
        (
            "{% macro a() %}{{ b }}{% endmacro %}{% set b = 2 %}{{ a() }}{% for i in [1, 2] %}{{ c is defined }}{% set c = 1 %}{% endfor %}",
            "2FalseFalse",
        ),
        (
            "{{ ('<' | safe) + '>' }} {{ '<' | safe ~ '>' }}",
            "<&gt; <>",
        ),
        (
            "{% set day = strftime_now('%d') %}{{ 'x' if day is defined }}",
            "x",
        ),
    ] {
        assert_eq!(rendered(source).as_deref(), Ok(expected), "{source}");
    }
}

#[test]
fn errors_have_their_line() {
    for (source, said) in [
        // While it is compiled.
        ("a\n{% if %}", "line 2: unexpected end of block"),
        (
            "a\n\n{{ x|shout }}",
            "line 3: expected a filter that is supported, got \"shout\"",
        ),
        (
            "{{ x is funny }}",
            "line 1: expected a test that is supported, got \"funny\"",
        ),
        (
            "\n{% include 'x' %}",
            "line 2: expected what chat templates use, got \"include\"",
        ),
        (
            "\n{% raw %}{% endraw %}",
            "line 2: expected what chat templates use, got \"raw\"",
        ),
        (
            "{% set x %}\n{% generation %}a{% endgeneration %}{% endset %}",
            "line 2: expected {% generation %} where the text is written at once",
        ),
        (
            "{% for i in [1] %}{% with %}{% break %}{% endwith %}{% endfor %}",
            "expected `break` and `continue` directly in a loop",
        ),
        ("{{ -x.y }}", "expected parentheses"),
        ("{{ __generation__ }}", "no name __generation__"),
        (
            "{{ '\\U000FFFFE' }}",
            "expected a text without the characters",
        ),
        // While it is rendered.
        (
            "\n\n{{ system.text }}",
            "chat template, line 3: expected `system` to be defined, for its attribute \"text\", got an undefined one",
        ),
        (
            "{{ messages[0].a.b }}",
            "expected `messages[0].a` to be defined, for its attribute \"b\"",
        ),
        (
            "a\n{{ raise_exception('only\nthis') }}",
            "line 2: the template refuses the conversation: only\nthis",
        ),
        (
            "{{ messages[0].content + 1 }}",
            "line 1: `+`: expected values that it works on, got a str and an int",
        ),
        ("{{ messages[0].content + none }}", "got a str and None"),
        (
            "{{ messages.append(1) }}",
            "expected a method that changes nothing and is supported, got \"append\" of a list",
        ),
        ("{{ messages[0].__class__.x }}", "to be defined"),
        (
            "{{ messages[0].keys }}",
            "expected a value with a text that is the same in every run, got a method",
        ),
        (
            "{{ 'Today: ' + strftime_now('%d %b %Y') }}",
            "strftime_now: expected a text that is the same on every day",
        ),
        (
            "{{ strftime_now('%Y') }}",
            "strftime_now: expected a text that is the same on every day",
        ),
        (
            "{{ strftime_now('%Y')|int }}",
            "strftime_now: expected a text that is the same on every day",
        ),
        (
            "{{ strftime_now('%Y') == '2024' }}",
            "strftime_now: expected a text that is the same on every day",
        ),
    ] {
        let got = rendered(source).unwrap_err();
        assert!(got.contains(said), "{source}: {got}");
    }
}

#[test]
fn what_a_template_may_cost_is_bounded() {
    for (source, said) in [
        (
            "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
            "got one that runs too long",
        ),
        (
            "{% set ns = namespace(x='aaaaaaaaaaaaaaaa') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
            "got one that handles too much text",
        ),
        (
            "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
            "got one that handles too much text",
        ),
        (
            "{{ 'a' * 1000000000000 }}",
            "got one that handles too much text",
        ),
        (
            "{{ [0] * 1000000000000 }}",
            "got one that handles too much text",
        ),
        (
            "{{ messages|tojson(indent=1000000000000) }}",
            "got one that handles too much text",
        ),
        (
            "{% for i in range(100000) %}{{ 'a' * 100000 }}{% endfor %}",
            "got one that handles too much text",
        ),
        (
            "{{ range(100001) }}",
            "range: expected at most 100000 numbers",
        ),
        (
            "{% set ns = namespace(x=[]) %}{% for i in range(100000) %}{% set ns.x = [ns.x] %}{% endfor %}",
            "nested at most 200 deep",
        ),
        (
            "{% set ns = namespace(x=1) %}{% for i in range(100000) %}{% set m = namespace(y=ns.x) %}{% set ns.x = m %}{% endfor %}",
            "nested at most 200 deep",
        ),
        (
            "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
            "recursion limit",
        ),
        ("{{ 2 ** 200 }}", "at most 127 bits"),
        ("{{ 1 // 0 }}{{ 1 / 0 }}", "got zero"),
    ] {
        // The stack of a thread.
        let got = thread::scope(|scope| scope.spawn(|| rendered(source)).join().unwrap());
        let got = got.unwrap_err();
        assert!(got.contains(said), "{source}: {got}");
    }
    let chain = |part: &str, times: usize| part.repeat(times);
    for source in [
        format!("{{{{ 1{} }}}}", chain("+1", 100_000)),
        format!("{{{{ a{} }}}}", chain(".a", 100_000)),
        format!("{{% if a %}}{}{{% endif %}}", chain("{%elif a%}", 20_000)),
        format!("{{{{ {}1{} }}}}", chain("[", 100_000), chain("]", 100_000)),
        format!("{{{{ {}1 }}}}", chain("not ", 50_000)),
        chain("{% if a %}", 20_000),
        chain("a", LARGEST + 1),
    ] {
        assert!(rendered(&source).is_err(), "{}", &source[..40]);
    }
}

#[test]
fn marks_become_spans() {
    let render = |source: &str| {
        Template::compile(source)
            .unwrap()
            .render(vec![], 0)
            .unwrap()
    };
    let template = "é{% generation %}a{{ 'b' }}{% endgeneration %}\n-{%- generation -%} c {%- endgeneration -%} {% generation %}{% endgeneration %}";
    let got = render(template);
    assert_eq!(got.text, "éab-c");
    assert_eq!(got.generation, [2..4, 5..6, 6..6]);
    assert!(Template::compile(template).unwrap().marks_generation);
    // In a comment or a text, it is no tag.
    let none = "{# {% generation %} #}{{ '{% generation %}' }}";
    assert_eq!(render(none).text, "{% generation %}");
    assert!(!Template::compile(none).unwrap().marks_generation);
    assert!(
        is_marked("a\u{ffffe}") && is_marked("\"\\uDBBF\\udfff\"") && !is_marked("\"\\u00e9\"")
    );
}
