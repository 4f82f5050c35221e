//! Rewrites the syntax tree of a template, so that minijinja computes what Jinja in Python computes.
//!
//! minijinja has its own values: `true` prints as `true`, a missing key has no method, strings and lists are no
//! sequences alike. So every operator, lookup and literal becomes a call of a filter of this module's siblings, whose
//! names no template can write. What cannot be made equal is refused by its line.
//!
//! ```text
//! {{ message.content ~ 1 }}     {{ message |·attr("content") |·concatenate(1) }}
//! text                          {{ "text" }}                          (so that all output is counted)
//! {% generation %}..            {% with %}{{ START }}..{{ END }}
//! ```

use std::cell::Cell;

use minijinja::{
    Value,
    machinery::{
        Span, Token, WhitespaceConfig,
        ast::{
            self, BinOpKind, Call, CallArg, CallBlock, CompareOpKind, EmitExpr, Expr, FilterBlock,
            ForLoop, IfCond, IfExpr, List, Macro, Set, SetBlock, Spanned, Stmt, Test, UnaryOp,
            UnaryOpKind, WithBlock,
        },
        tokenize,
    },
    syntax::SyntaxConfig,
};

use super::{filters, predicates};

/// Stands where a span of the assistant begins. Unicode keeps these two characters free of any meaning.
pub(in super::super) const START: char = '\u{ffffe}';
/// Stands where it ends.
pub(in super::super) const END: char = '\u{fffff}';

/// The name by which a `{% generation %}` is found again in the tree.
const GENERATION: &str = "__generation__";

/// A part of a template that is refused, with its line.
#[derive(Debug)]
pub(in super::super) struct Fault {
    pub(in super::super) line: usize,
    pub(in super::super) message: String,
}

fn fault(span: Span, message: impl Into<String>) -> Fault {
    Fault {
        line: span.start_line.into(),
        message: message.into(),
    }
}

/// The whitespace rules of Transformers.
pub(super) const WHITESPACE: WhitespaceConfig = WhitespaceConfig {
    keep_trailing_newline: false,
    lstrip_blocks: true,
    trim_blocks: true,
};

/// Replaces the tags `generation` and `endgeneration`, which minijinja does not have, by those of a `with` block. Yields
/// the source, and whether there are any.
pub(super) fn replace_generation(source: &str) -> Result<(String, bool), minijinja::Error> {
    let tokens: Result<Vec<_>, _> = tokenize(source, false, SyntaxConfig, WHITESPACE).collect();
    let tokens = tokens?;
    let mut out = String::with_capacity(source.len());
    let mut done = 0;
    let mut any = false;
    for three in tokens.windows(3) {
        let [
            (Token::BlockStart, _),
            (Token::Ident(name), span),
            (Token::BlockEnd, _),
        ] = three
        else {
            continue;
        };
        let with = match *name {
            "generation" => format!("with {GENERATION}=1"),
            "endgeneration" => "endwith".to_owned(),
            _ => continue,
        };
        any = true;
        out.push_str(&source[done..span.start_offset as usize]);
        out.push_str(&with);
        done = span.end_offset as usize;
    }
    out.push_str(&source[done..]);
    Ok((out, any))
}

/// The line of a `raw` block: minijinja treats the blanks around it in its own way.
pub(super) fn raw_block(source: &str) -> Option<usize> {
    let starts = source.match_indices("{%");
    let raw = starts.filter(|(at, _)| {
        let tag = source[at + 2..].trim_start_matches(['-', '+']).trim_start();
        tag.strip_prefix("raw").is_some_and(|rest| {
            let end = rest.trim_start().trim_start_matches(['-', '+']);
            end.starts_with("%}")
        })
    });
    let at = raw.map(|(at, _)| at).next()?;
    Some(source[..at].matches('\n').count() + 1)
}

/// Whether a source names what only this module may name.
pub(super) fn is_reserved(source: &str) -> bool {
    source.contains([START, END]) || source.contains(GENERATION)
}

/// Where a statement stands.
#[derive(Clone, Copy, Default)]
struct Place {
    /// Inside a loop, and no macro between.
    in_loop: bool,
    /// Inside something that `break` and `continue` would have to leave besides the loop.
    framed: bool,
    /// Inside a block whose text is not written at once.
    captured: bool,
    /// Inside a macro.
    in_macro: bool,
}

/// How deep a tree may be: it is compiled recursively. A sum of a hundred texts is a hundred deep.
const DEEPEST: usize = 1_000;

/// Rewrites the template of one source.
pub(super) struct Rewriter<'a> {
    source: &'a str,
    /// Nodes around the one in work.
    depth: Cell<usize>,
}

impl<'a> Rewriter<'a> {
    pub(super) fn of(source: &'a str) -> Self {
        Self {
            source,
            depth: Cell::new(0),
        }
    }

    /// Handles a node below the one in work.
    fn below<T>(&self, span: Span, work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
        let depth = self.depth.get() + 1;
        if depth > DEEPEST {
            let expected = format!("expected blocks and expressions nested at most {DEEPEST} deep");
            return Err(fault(span, format!("{expected}, got a deeper one")));
        }
        self.depth.set(depth);
        let done = work();
        self.depth.set(depth - 1);
        done
    }

    /// The rewritten tree of a template.
    pub(super) fn template(&self, tree: &Stmt<'a>) -> Result<Stmt<'a>, Fault> {
        match tree {
            Stmt::Template(template) => {
                let children = self.all(&template.children, Place::default())?;
                Ok(Stmt::Template(Spanned::new(
                    ast::Template { children },
                    template.span(),
                )))
            }
            other => self.statement(other, Place::default()),
        }
    }

    fn all(&self, statements: &[Stmt<'a>], place: Place) -> Result<Vec<Stmt<'a>>, Fault> {
        statements
            .iter()
            .map(|statement| self.statement(statement, place))
            .collect()
    }

    fn statement(&self, statement: &Stmt<'a>, place: Place) -> Result<Stmt<'a>, Fault> {
        self.below(stated_at(statement), || self.rewritten(statement, place))
    }

    fn rewritten(&self, statement: &Stmt<'a>, place: Place) -> Result<Stmt<'a>, Fault> {
        Ok(match statement {
            Stmt::EmitRaw(raw) => emit(constant(Value::from(raw.raw), raw.span()), raw.span()),
            Stmt::EmitExpr(emitted) => emit(self.expression(&emitted.expr)?, emitted.span()),
            Stmt::ForLoop(of) => {
                let inner = Place {
                    in_loop: true,
                    framed: false,
                    ..place
                };
                self.refuse_stale_closures(&of.body)?;
                let filter_expr = of
                    .filter_expr
                    .as_ref()
                    .map(|filter| self.expression(filter))
                    .transpose()?;
                Stmt::ForLoop(Spanned::new(
                    ForLoop {
                        target: self.target(&of.target)?,
                        iter: filtered(
                            "·iterate",
                            self.expression(&of.iter)?,
                            vec![],
                            of.iter.span(),
                        ),
                        filter_expr,
                        recursive: of.recursive,
                        body: self.all(&of.body, inner)?,
                        else_body: self.all(&of.else_body, place)?,
                    },
                    of.span(),
                ))
            }
            Stmt::IfCond(of) => Stmt::IfCond(Spanned::new(
                IfCond {
                    expr: self.expression(&of.expr)?,
                    true_body: self.all(&of.true_body, place)?,
                    false_body: self.all(&of.false_body, place)?,
                },
                of.span(),
            )),
            Stmt::WithBlock(of) => self.with(of, place)?,
            Stmt::Set(of) => {
                let value = self.expression(&of.expr)?;
                let expr = match &of.target {
                    Expr::GetAttr(_) => filtered("·checked", value, vec![], of.span()),
                    _ => value,
                };
                Stmt::Set(Spanned::new(
                    Set {
                        target: self.target(&of.target)?,
                        expr,
                    },
                    of.span(),
                ))
            }
            Stmt::SetBlock(of) => {
                let inner = Place {
                    captured: true,
                    framed: true,
                    ..place
                };
                Stmt::SetBlock(Spanned::new(
                    SetBlock {
                        target: self.target(&of.target)?,
                        filter: of
                            .filter
                            .as_ref()
                            .map(|filter| self.expression(filter))
                            .transpose()?,
                        body: self.all(&of.body, inner)?,
                    },
                    of.span(),
                ))
            }
            Stmt::FilterBlock(of) => {
                let inner = Place {
                    captured: true,
                    framed: true,
                    ..place
                };
                Stmt::FilterBlock(Spanned::new(
                    FilterBlock {
                        filter: self.expression(&of.filter)?,
                        body: self.all(&of.body, inner)?,
                    },
                    of.span(),
                ))
            }
            Stmt::Macro(of) => Stmt::Macro(Spanned::new(self.definition(of)?, of.span())),
            Stmt::CallBlock(of) => {
                let call = self.call_of(&of.call)?;
                let body = self.definition(&of.macro_decl)?;
                Stmt::CallBlock(Spanned::new(
                    CallBlock {
                        call: Spanned::new(call, of.call.span()),
                        macro_decl: Spanned::new(body, of.macro_decl.span()),
                    },
                    of.span(),
                ))
            }
            Stmt::Continue(of) => {
                self.may_jump(of.span(), place)?;
                Stmt::Continue(Spanned::new(ast::Continue, of.span()))
            }
            Stmt::Break(of) => {
                self.may_jump(of.span(), place)?;
                Stmt::Break(Spanned::new(ast::Break, of.span()))
            }
            Stmt::Template(of) => return Err(unsupported(of.span(), "template")),
            Stmt::AutoEscape(of) => return Err(unsupported(of.span(), "autoescape")),
            Stmt::Block(of) => return Err(unsupported(of.span(), "block")),
            Stmt::Import(of) => return Err(unsupported(of.span(), "import")),
            Stmt::FromImport(of) => return Err(unsupported(of.span(), "from")),
            Stmt::Extends(of) => return Err(unsupported(of.span(), "extends")),
            Stmt::Include(of) => return Err(unsupported(of.span(), "include")),
            Stmt::Do(of) => return Err(unsupported(of.span(), "do")),
        })
    }

    /// `break` and `continue` jump; minijinja does not leave other blocks on the way.
    fn may_jump(&self, span: Span, place: Place) -> Result<(), Fault> {
        match place.in_loop && !place.framed {
            true => Ok(()),
            false => Err(fault(
                span,
                "expected `break` and `continue` directly in a loop, got one inside another block",
            )),
        }
    }

    fn with(&self, of: &Spanned<WithBlock<'a>>, place: Place) -> Result<Stmt<'a>, Fault> {
        let span = of.span();
        let inner = Place {
            framed: true,
            ..place
        };
        let is_generation = |(target, _): &(Expr<'a>, Expr<'a>)| matches!(target, Expr::Var(var) if var.id == GENERATION);
        if of.assignments.iter().any(is_generation) {
            if place.captured || place.in_macro {
                let expected = "expected {% generation %} where the text is written at once";
                return Err(fault(
                    span,
                    format!(
                        "{expected}, got it inside a macro, or a block that is stored or filtered"
                    ),
                ));
            }
            let inner = Place {
                captured: true,
                ..inner
            };
            let mut body = vec![emit(constant(Value::from(START), span), span)];
            body.extend(self.all(&of.body, inner)?);
            body.push(emit(constant(Value::from(END), span), span));
            return Ok(Stmt::WithBlock(Spanned::new(
                WithBlock {
                    assignments: vec![],
                    body,
                },
                span,
            )));
        }
        let mut assignments = Vec::new();
        let mut before: Vec<&str> = Vec::new();
        for (target, value) in &of.assignments {
            // In Jinja, the values do not see the names that are assigned before them.
            let text = self.text(value.span());
            if before.iter().any(|name| text.contains(name)) {
                return Err(fault(
                    span,
                    "expected the values of a `with` not to use its own names",
                ));
            }
            names(target, &mut before);
            assignments.push((self.target(target)?, self.expression(value)?));
        }
        let body = self.all(&of.body, inner)?;
        Ok(Stmt::WithBlock(Spanned::new(
            WithBlock { assignments, body },
            span,
        )))
    }

    fn definition(&self, of: &Spanned<Macro<'a>>) -> Result<Macro<'a>, Fault> {
        let place = Place {
            in_macro: true,
            ..Place::default()
        };
        let text = self.text(of.span());
        for special in ["varargs", "kwargs"] {
            if text.contains(special) {
                return Err(unsupported(of.span(), special));
            }
        }
        Ok(Macro {
            name: of.name,
            args: of
                .args
                .iter()
                .map(|argument| self.target(argument))
                .collect::<Result<_, _>>()?,
            defaults: of
                .defaults
                .iter()
                .map(|default| self.expression(default))
                .collect::<Result<_, _>>()?,
            body: self.all(&of.body, place)?,
        })
    }

    /// Refuses macros in a loop that use a name that the loop sets: minijinja would keep its value from one iteration to
    /// the next.
    fn refuse_stale_closures(&self, body: &[Stmt<'a>]) -> Result<(), Fault> {
        let mut set = Vec::new();
        assigned(body, &mut set);
        let mut macros = Vec::new();
        definitions(body, &mut macros);
        for of in macros {
            let text = self.text(of.span());
            if let Some(name) = set.iter().find(|name| text.contains(**name)) {
                return Err(fault(
                    of.span(),
                    format!(
                        "expected macros in a loop not to use what the loop sets, got {name:?}"
                    ),
                ));
            }
        }
        Ok(())
    }

    /// The left side of an assignment.
    fn target(&self, target: &Expr<'a>) -> Result<Expr<'a>, Fault> {
        Ok(match target {
            Expr::Var(var) => Expr::Var(Spanned::new(ast::Var { id: var.id }, var.span())),
            Expr::List(list) => {
                let items: Result<_, _> = list.items.iter().map(|item| self.target(item)).collect();
                Expr::List(Spanned::new(List { items: items? }, list.span()))
            }
            Expr::GetAttr(of) => {
                let expr = self.target(&of.expr)?;
                Expr::GetAttr(Spanned::new(
                    ast::GetAttr {
                        expr,
                        name: of.name,
                    },
                    of.span(),
                ))
            }
            other => {
                return Err(fault(
                    other.span(),
                    format!(
                        "expected a name to assign to, got a {}",
                        other.description()
                    ),
                ));
            }
        })
    }

    fn expression(&self, expression: &Expr<'a>) -> Result<Expr<'a>, Fault> {
        self.below(expression.span(), || self.computed(expression))
    }

    fn computed(&self, expression: &Expr<'a>) -> Result<Expr<'a>, Fault> {
        let span = expression.span();
        // `-x.a` is `-(x.a)` in Jinja, and `(-x).a` in minijinja.
        let of = match expression {
            Expr::GetAttr(of) => Some(&of.expr),
            Expr::GetItem(of) => Some(&of.expr),
            Expr::Slice(of) => Some(&of.expr),
            Expr::Call(of) => Some(&of.expr),
            _ => None,
        };
        if let Some(Expr::UnaryOp(negated)) = of
            && matches!(negated.op, UnaryOpKind::Neg)
        {
            return Err(fault(
                span,
                "expected parentheses around what a minus sign is for",
            ));
        }
        Ok(match expression {
            Expr::Var(var) if ["self", "super"].contains(&var.id) => {
                return Err(unsupported(span, var.id));
            }
            Expr::Var(var) => Expr::Var(Spanned::new(ast::Var { id: var.id }, span)),
            Expr::Const(of) => constant(self.literal(&of.value, span)?, span),
            Expr::Slice(of) => {
                let bound = |bound: &Option<Expr<'a>>| match bound {
                    Some(bound) => self.expression(bound),
                    None => Ok(constant(Value::from(()), span)),
                };
                let bounds = vec![bound(&of.start)?, bound(&of.stop)?, bound(&of.step)?];
                filtered("·slice", self.expression(&of.expr)?, bounds, span)
            }
            Expr::UnaryOp(of) => {
                let value = self.expression(&of.expr)?;
                match of.op {
                    UnaryOpKind::Not => not(value, span),
                    UnaryOpKind::Neg => filtered("·negate", value, vec![], span),
                }
            }
            Expr::BinOp(of) => self.binary(of.op, &of.left, &of.right, span)?,
            Expr::Compare(of) => self.comparison(of)?,
            Expr::IfExpr(of) => Expr::IfExpr(Spanned::new(
                IfExpr {
                    test_expr: self.expression(&of.test_expr)?,
                    true_expr: self.expression(&of.true_expr)?,
                    false_expr: of
                        .false_expr
                        .as_ref()
                        .map(|other| self.expression(other))
                        .transpose()?,
                },
                span,
            )),
            Expr::Filter(of) => {
                if !filters::NAMES.contains(&of.name) {
                    return Err(fault(
                        span,
                        format!("expected a filter that is supported, got {:?}", of.name),
                    ));
                }
                Expr::Filter(Spanned::new(
                    ast::Filter {
                        name: of.name,
                        expr: of
                            .expr
                            .as_ref()
                            .map(|value| self.expression(value))
                            .transpose()?,
                        args: self.arguments(&of.args)?,
                    },
                    span,
                ))
            }
            Expr::Test(of) => {
                if !predicates::NAMES.contains(&of.name) {
                    return Err(fault(
                        span,
                        format!("expected a test that is supported, got {:?}", of.name),
                    ));
                }
                Expr::Test(Spanned::new(
                    Test {
                        name: of.name,
                        expr: self.expression(&of.expr)?,
                        args: self.arguments(&of.args)?,
                    },
                    span,
                ))
            }
            Expr::GetAttr(of) => {
                let name = constant(Value::from(of.name), span);
                let mut arguments = vec![name];
                arguments.extend(self.shown(&of.expr));
                filtered("·attribute", self.expression(&of.expr)?, arguments, span)
            }
            Expr::GetItem(of) => {
                let mut arguments = vec![self.expression(&of.subscript_expr)?];
                arguments.extend(self.shown(&of.expr));
                filtered("·item", self.expression(&of.expr)?, arguments, span)
            }
            Expr::Call(of) => Expr::Call(Spanned::new(self.call_of(of)?, span)),
            Expr::List(of) => {
                let items: Result<Vec<_>, _> =
                    of.items.iter().map(|item| self.expression(item)).collect();
                let list = Expr::List(Spanned::new(List { items: items? }, span));
                match self.source.as_bytes().get(span.start_offset as usize) {
                    Some(b'[') => filtered("·checked", list, vec![], span),
                    _ => filtered("·tuple", list, vec![], span),
                }
            }
            Expr::Map(of) => {
                let mut parts = Vec::new();
                for (key, value) in of.keys.iter().zip(&of.values) {
                    parts.push(self.expression(key)?);
                    parts.push(self.expression(value)?);
                }
                let parts = Expr::List(Spanned::new(List { items: parts }, span));
                filtered("·dict", parts, vec![], span)
            }
        })
    }

    /// What a lookup is in, for error messages.
    fn shown(&self, expression: &Expr<'a>) -> Option<Expr<'a>> {
        let path = path(expression)?;
        Some(constant(Value::from(path), expression.span()))
    }

    fn text(&self, span: Span) -> &'a str {
        let (start, end) = (span.start_offset as usize, span.end_offset as usize);
        self.source.get(start..end).unwrap_or_default()
    }

    fn arguments(&self, arguments: &[CallArg<'a>]) -> Result<Vec<CallArg<'a>>, Fault> {
        let one = |argument: &CallArg<'a>| {
            Ok(match argument {
                CallArg::Pos(value) => CallArg::Pos(self.expression(value)?),
                CallArg::Kwarg(name, value) => CallArg::Kwarg(name, self.expression(value)?),
                CallArg::PosSplat(value) => {
                    let list = filtered("·iterate", self.expression(value)?, vec![], value.span());
                    CallArg::PosSplat(list)
                }
                CallArg::KwargSplat(value) => CallArg::KwargSplat(self.expression(value)?),
            })
        };
        arguments.iter().map(one).collect()
    }

    fn call_of(&self, call: &Spanned<Call<'a>>) -> Result<Call<'a>, Fault> {
        let mut args = self.arguments(&call.args)?;
        if let Expr::Var(var) = &call.expr
            && var.id == "loop"
        {
            let [CallArg::Pos(_)] = args.as_slice() else {
                return Err(fault(call.span(), "expected loop() to have one argument"));
            };
            if let Some(CallArg::Pos(value)) = args.pop() {
                args.push(CallArg::Pos(filtered(
                    "·iterate",
                    value,
                    vec![],
                    call.span(),
                )));
            }
        }
        if let Expr::GetAttr(of) = &call.expr
            && let Expr::Var(var) = &of.expr
            && var.id == "loop"
        {
            // minijinja computes these itself; without arguments, `cycle` would fail.
            let positional = args
                .iter()
                .all(|argument| matches!(argument, CallArg::Pos(_)));
            if of.name != "cycle" || args.is_empty() || !positional {
                return Err(unsupported(
                    call.span(),
                    &format!("loop.{}() in this form", of.name),
                ));
            }
            let expr = Expr::Var(Spanned::new(ast::Var { id: "loop" }, var.span()));
            let expr = Expr::GetAttr(Spanned::new(
                ast::GetAttr {
                    expr,
                    name: of.name,
                },
                of.span(),
            ));
            return Ok(Call { expr, args });
        }
        Ok(Call {
            expr: self.expression(&call.expr)?,
            args,
        })
    }

    fn binary(
        &self,
        op: BinOpKind,
        left: &Expr<'a>,
        right: &Expr<'a>,
        span: Span,
    ) -> Result<Expr<'a>, Fault> {
        let (left, right) = (self.expression(left)?, self.expression(right)?);
        let name = match op {
            BinOpKind::ScAnd | BinOpKind::ScOr => {
                // minijinja computes constants in advance, and gives `false` where Python gives the operand.
                if let Expr::Const(of) = &left {
                    let right_counts = of.value.is_true() == matches!(op, BinOpKind::ScAnd);
                    return Ok(if right_counts { right } else { left });
                }
                return Ok(Expr::BinOp(Spanned::new(
                    ast::BinOp { op, left, right },
                    span,
                )));
            }
            BinOpKind::Add => "·add",
            BinOpKind::Sub => "·subtract",
            BinOpKind::Mul => "·multiply",
            BinOpKind::Div => "·divide",
            BinOpKind::FloorDiv => "·floor_divide",
            BinOpKind::Rem => "·remainder",
            BinOpKind::Pow => "·power",
            BinOpKind::Concat => "·concatenate",
            BinOpKind::Eq => return Ok(compared(CompareOpKind::Eq, left, right, span)),
            BinOpKind::Ne => return Ok(compared(CompareOpKind::Ne, left, right, span)),
            BinOpKind::Lt => return Ok(compared(CompareOpKind::Lt, left, right, span)),
            BinOpKind::Lte => return Ok(compared(CompareOpKind::Lte, left, right, span)),
            BinOpKind::Gt => return Ok(compared(CompareOpKind::Gt, left, right, span)),
            BinOpKind::Gte => return Ok(compared(CompareOpKind::Gte, left, right, span)),
            BinOpKind::In => return Ok(compared(CompareOpKind::In, left, right, span)),
        };
        Ok(filtered(name, left, vec![right], span))
    }

    /// A comparison; `a < b < c` is `a < b and b < c`.
    fn comparison(&self, of: &Spanned<ast::Compare<'a>>) -> Result<Expr<'a>, Fault> {
        let span = of.span();
        let mut left = &of.expr;
        let mut all: Option<Expr<'a>> = None;
        for (i, operation) in of.ops.iter().enumerate() {
            let simple = matches!(operation.expr, Expr::Var(_) | Expr::Const(_));
            if i + 1 < of.ops.len() && !simple {
                return Err(fault(
                    span,
                    "expected a name or a literal between two comparisons",
                ));
            }
            let pair = compared(
                operation.op,
                self.expression(left)?,
                self.expression(&operation.expr)?,
                span,
            );
            all = Some(match all {
                None => pair,
                Some(before) => {
                    let both = ast::BinOp {
                        op: BinOpKind::ScAnd,
                        left: before,
                        right: pair,
                    };
                    Expr::BinOp(Spanned::new(both, span))
                }
            });
            left = &operation.expr;
        }
        match all {
            Some(all) => Ok(all),
            None => self.expression(left),
        }
    }

    /// The value of a literal. minijinja reads some escapes of strings in its own way.
    fn literal(&self, value: &Value, span: Span) -> Result<Value, Fault> {
        let text = self.text(span);
        if value.as_str().is_none() || !text.contains('\\') {
            return Ok(value.clone());
        }
        let read = strings(text).map_err(|what| fault(span, what))?;
        match read.contains([START, END]) {
            true => Err(fault(
                span,
                "expected a text without the characters U+FFFFE and U+FFFFF",
            )),
            false => Ok(Value::from(read)),
        }
    }
}

/// A lookup as it is written, such as `messages[0].content`.
fn path(expression: &Expr<'_>) -> Option<String> {
    let path = match expression {
        Expr::Var(var) => var.id.to_owned(),
        Expr::GetAttr(of) => format!("{}.{}", path(&of.expr)?, of.name),
        Expr::GetItem(of) => match &of.subscript_expr {
            Expr::Const(key) => format!("{}[{:?}]", path(&of.expr)?, key.value),
            Expr::Var(key) => format!("{}[{}]", path(&of.expr)?, key.id),
            _ => return None,
        },
        _ => return None,
    };
    // Longer ones are not shown.
    (path.len() <= 60).then_some(path)
}

/// Where a statement stands that may hold others.
fn stated_at(statement: &Stmt<'_>) -> Span {
    match statement {
        Stmt::IfCond(of) => of.span(),
        Stmt::ForLoop(of) => of.span(),
        Stmt::EmitExpr(of) => of.span(),
        _ => Span::default(),
    }
}

fn unsupported(span: Span, what: &str) -> Fault {
    fault(
        span,
        format!("expected what chat templates use, got {what:?}, which is not supported"),
    )
}

fn emit<'a>(expr: Expr<'a>, span: Span) -> Stmt<'a> {
    Stmt::EmitExpr(Spanned::new(EmitExpr { expr }, span))
}

fn constant<'a>(value: Value, span: Span) -> Expr<'a> {
    Expr::Const(Spanned::new(ast::Const { value }, span))
}

fn not(expr: Expr<'_>, span: Span) -> Expr<'_> {
    Expr::UnaryOp(Spanned::new(
        UnaryOp {
            op: UnaryOpKind::Not,
            expr,
        },
        span,
    ))
}

fn filtered<'a>(
    name: &'static str,
    value: Expr<'a>,
    arguments: Vec<Expr<'a>>,
    span: Span,
) -> Expr<'a> {
    let args = arguments.into_iter().map(CallArg::Pos).collect();
    Expr::Filter(Spanned::new(
        ast::Filter {
            name,
            expr: Some(value),
            args,
        },
        span,
    ))
}

fn compared<'a>(op: CompareOpKind, left: Expr<'a>, right: Expr<'a>, span: Span) -> Expr<'a> {
    match op {
        CompareOpKind::Eq => filtered("·equal", left, vec![right], span),
        CompareOpKind::Ne => not(filtered("·equal", left, vec![right], span), span),
        CompareOpKind::Lt => filtered("·less", left, vec![right], span),
        CompareOpKind::Lte => filtered("·less_equal", left, vec![right], span),
        CompareOpKind::Gt => filtered("·greater", left, vec![right], span),
        CompareOpKind::Gte => filtered("·greater_equal", left, vec![right], span),
        CompareOpKind::In => filtered("·in", left, vec![right], span),
        CompareOpKind::NotIn => not(filtered("·in", left, vec![right], span), span),
    }
}

/// The names that an assignment sets.
fn names<'a>(target: &Expr<'a>, all: &mut Vec<&'a str>) {
    match target {
        Expr::Var(var) => all.push(var.id),
        Expr::List(list) => list.items.iter().for_each(|item| names(item, all)),
        _ => {}
    }
}

/// The names that `set` sets in these statements.
fn assigned<'a>(statements: &[Stmt<'a>], all: &mut Vec<&'a str>) {
    for statement in statements {
        match statement {
            Stmt::Set(of) => names(&of.target, all),
            Stmt::SetBlock(of) => names(&of.target, all),
            Stmt::IfCond(of) => {
                assigned(&of.true_body, all);
                assigned(&of.false_body, all);
            }
            Stmt::ForLoop(of) => {
                assigned(&of.body, all);
                assigned(&of.else_body, all);
            }
            Stmt::WithBlock(of) => assigned(&of.body, all),
            Stmt::FilterBlock(of) => assigned(&of.body, all),
            _ => {}
        }
    }
}

/// The macros and call blocks in these statements.
fn definitions<'s, 'a>(statements: &'s [Stmt<'a>], all: &mut Vec<&'s Spanned<Macro<'a>>>) {
    for statement in statements {
        match statement {
            Stmt::Macro(of) => all.push(of),
            Stmt::CallBlock(of) => all.push(&of.macro_decl),
            Stmt::IfCond(of) => {
                definitions(&of.true_body, all);
                definitions(&of.false_body, all);
            }
            Stmt::ForLoop(of) => {
                definitions(&of.body, all);
                definitions(&of.else_body, all);
            }
            Stmt::WithBlock(of) => definitions(&of.body, all),
            Stmt::SetBlock(of) => definitions(&of.body, all),
            Stmt::FilterBlock(of) => definitions(&of.body, all),
            _ => {}
        }
    }
}

/// The text of string literals side by side, with the escapes of Python.
fn strings(literals: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = literals.chars();
    while let Some(quote) = chars.next() {
        if quote.is_whitespace() {
            continue;
        }
        if quote != '"' && quote != '\'' {
            return Err("expected a string literal".to_owned());
        }
        loop {
            match chars.next() {
                None => return Err("expected the end of a string literal".to_owned()),
                Some(c) if c == quote => break,
                Some('\\') => escape(&mut chars, &mut out)?,
                Some(c) => out.push(c),
            }
        }
    }
    Ok(out)
}

/// One escape, after its backslash.
fn escape(chars: &mut std::str::Chars<'_>, out: &mut String) -> Result<(), String> {
    let wrong = || "expected an escape that Python knows in a string literal".to_owned();
    let c = match chars.next().ok_or_else(wrong)? {
        '\n' => return Ok(()),
        c @ ('\\' | '\'' | '"') => c,
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        c @ ('x' | 'u' | 'U') => {
            let digits = match c {
                'x' => 2,
                'u' => 4,
                _ => 8,
            };
            let text: String = chars.by_ref().take(digits).collect();
            let whole = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            let code = u32::from_str_radix(&text, 16).ok().filter(|_| whole);
            code.and_then(char::from_u32).ok_or_else(wrong)?
        }
        c @ '0'..='7' => {
            let mut code = u32::from(c) - u32::from('0');
            for _ in 0..2 {
                let Some(digit) = chars.clone().next().and_then(|c| c.to_digit(8)) else {
                    break;
                };
                chars.next();
                code = code * 8 + digit;
            }
            char::from_u32(code).ok_or_else(wrong)?
        }
        'N' => return Err(wrong()),
        other => {
            out.push('\\');
            other
        }
    };
    out.push(c);
    Ok(())
}
