//! Rules on the syntax: long functions, unwraps, unfinished code, clocks in pure crates.
//!
//! Invariant: what stands inside `#[cfg(test)]` or `#[test]` is a test and held to the rules of tests.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, Item, visit::Visit, visit_mut::VisitMut};

use crate::{Finding, Source};

const FUNCTION_LINES_MAX: usize = 70;

/// Functions of at most 70 lines, from their signature to their closing brace; tests, too.
pub(crate) fn function_length(source: &Source) -> Vec<Finding> {
    struct Lengths(Vec<(String, usize, usize)>);
    impl Lengths {
        fn add(&mut self, signature: &syn::Signature, block: &syn::Block) {
            let (start, end) = (signature.fn_token.span, block.brace_token.span.close());
            self.0.push((signature.ident.to_string(), start.start().line, end.end().line));
        }
    }
    impl<'a> Visit<'a> for Lengths {
        fn visit_item_fn(&mut self, item: &'a syn::ItemFn) {
            self.add(&item.sig, &item.block);
            syn::visit::visit_item_fn(self, item);
        }
        fn visit_impl_item_fn(&mut self, item: &'a syn::ImplItemFn) {
            self.add(&item.sig, &item.block);
            syn::visit::visit_impl_item_fn(self, item);
        }
        fn visit_trait_item_fn(&mut self, item: &'a syn::TraitItemFn) {
            if let Some(block) = &item.default {
                self.add(&item.sig, block);
            }
            syn::visit::visit_trait_item_fn(self, item);
        }
    }
    let mut lengths = Lengths(Vec::new());
    lengths.visit_file(&parse(source));
    let too_long = |(name, first, last): (String, usize, usize)| {
        let lines = last - first + 1;
        (lines > FUNCTION_LINES_MAX).then(|| {
            let what = format!("`{name}` has {lines} lines, {FUNCTION_LINES_MAX} fit a screen: split it");
            Finding::at_line(&source.path, first, what)
        })
    };
    lengths.0.into_iter().filter_map(too_long).collect()
}

/// No `.unwrap()`, `.expect(..)` and their `_err` twins outside tests.
pub(crate) fn unwraps(source: &Source) -> Vec<Finding> {
    find_in_code(source, |previous, token| {
        let name = token.to_string();
        let panics = matches!(name.as_str(), "unwrap" | "expect" | "unwrap_err" | "expect_err");
        // A method call, not the name in `clippy::unwrap_used` or `#[expect(..)]`.
        let called = matches!(previous, Some(TokenTree::Punct(punct)) if punct.as_char() == '.');
        (panics && called).then(|| format!("`.{name}()` can panic: return an error, or say why it cannot be"))
    })
}

/// No `todo!`, `unimplemented!`, `dbg!`: not in tests either.
pub(crate) fn unfinished(source: &Source) -> Vec<Finding> {
    find_in(source, parse(source).into_token_stream(), |previous, token| match (previous, token) {
        (Some(TokenTree::Ident(name)), TokenTree::Punct(punct)) if punct.as_char() == '!' => {
            ["todo", "unimplemented", "dbg"]
                .iter()
                .any(|word| name == word)
                .then(|| format!("`{name}!` is left over: finish it, or put it into the known gaps"))
        }
        _ => None,
    })
}

/// Pure crates are given the moment, and iterate in an order that is the same everywhere.
pub(crate) fn impure(source: &Source) -> Vec<Finding> {
    if !source.is_pure() {
        return Vec::new();
    }
    find_in_code(source, |_, token| {
        let name = token.to_string();
        let because = match name.as_str() {
            "SystemTime" | "Instant" => "a clock is an input here",
            "HashMap" | "HashSet" => "its order differs from run to run: take a BTreeMap or BTreeSet",
            "fs" | "net" | "stdin" | "stdout" => "I/O is done elsewhere",
            "thread_rng" | "now_v7" | "new_v4" => "randomness is an input here",
            _ => return None,
        };
        Some(format!("`{name}` in a pure crate: {because}"))
    })
}

/// What is there without the tests.
pub(crate) fn without_tests(source: &Source) -> TokenStream {
    struct Strip;
    impl VisitMut for Strip {
        fn visit_file_mut(&mut self, file: &mut syn::File) {
            file.items.retain(|item| !is_test(attributes(item)));
            syn::visit_mut::visit_file_mut(self, file);
        }
        fn visit_item_mod_mut(&mut self, module: &mut syn::ItemMod) {
            if let Some((_, items)) = &mut module.content {
                items.retain(|item| !is_test(attributes(item)));
            }
            syn::visit_mut::visit_item_mod_mut(self, module);
        }
        fn visit_item_impl_mut(&mut self, block: &mut syn::ItemImpl) {
            block
                .items
                .retain(|item| !matches!(item, syn::ImplItem::Fn(function) if is_test(&function.attrs)));
        }
    }
    if source.is_test() {
        return TokenStream::new();
    }
    let mut file = parse(source);
    Strip.visit_file_mut(&mut file);
    file.into_token_stream()
}

/// Calls `look` with each token of the code outside of tests and the one before it.
fn find_in_code(
    source: &Source,
    look: impl Fn(Option<&TokenTree>, &TokenTree) -> Option<String>,
) -> Vec<Finding> {
    find_in(source, without_tests(source), look)
}

fn find_in(
    source: &Source,
    tokens: TokenStream,
    look: impl Fn(Option<&TokenTree>, &TokenTree) -> Option<String>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    walk(tokens, &mut |previous, token| {
        if let Some(what) = look(previous, token) {
            findings.push(Finding::at_line(&source.path, line(token.span()), what));
        }
    });
    findings
}

/// Every token, inside of groups and macros, too, each with the one before it in its group.
/// Documentation, which is `#[doc = ".."]` here, is left out: it may say what it likes.
pub(crate) fn walk(tokens: TokenStream, look: &mut dyn FnMut(Option<&TokenTree>, &TokenTree)) {
    let mut previous = None;
    for token in tokens {
        look(previous.as_ref(), &token);
        if let TokenTree::Group(group) = &token {
            let stream = group.stream();
            let is_doc =
                matches!(stream.clone().into_iter().next(), Some(TokenTree::Ident(word)) if word == "doc");
            if !is_doc {
                walk(stream, look);
            }
        }
        previous = Some(token);
    }
}

pub(crate) fn line(span: Span) -> usize {
    span.start().line
}

fn parse(source: &Source) -> syn::File {
    syn::parse_file(&source.text).unwrap_or_else(|error| {
        panic!("{}:{}: {error}", source.path, error.span().start().line);
    })
}

/// `#[test]`, `#[tokio::test]`, or a `#[cfg(..)]` with the word `test` in it.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let last = attribute.path().segments.last().map(|segment| segment.ident.to_string());
        match last.as_deref() {
            Some("test") => true,
            Some("cfg") => {
                let condition = attribute.meta.to_token_stream().to_string().replace(' ', "");
                condition.contains("test") && !condition.contains("not(test)")
            }
            _ => false,
        }
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn count(rule: fn(&Source) -> Vec<Finding>, text: &str) -> usize {
    rule(&Source::new("orchestrator/engine/src/a.rs", text)).len()
}

#[test]
fn a_long_function_is_found() {
    let function = |lines: usize| format!("impl A {{ fn f() {{\n{}}}\n}}", "x();\n".repeat(lines - 2));
    assert_eq!(count(function_length, &function(70)), 0);
    assert_eq!(count(function_length, &function(71)), 1);
}

#[test]
fn an_unwrap_is_found_outside_of_tests_only() {
    assert_eq!(count(unwraps, "fn f() { a.unwrap(); println!(\"{}\", b.expect(\"c\")); }"), 2);
    assert_eq!(count(unwraps, "#[expect(dead_code)] fn f() { a.unwrap_or_default(); }"), 0);
    assert_eq!(count(unwraps, "#[test] fn f() { a.unwrap() }"), 0);
    assert_eq!(count(unwraps, "#[cfg(test)] mod tests { fn f() { a.unwrap() } }"), 0);
    assert_eq!(count(unwraps, "#[cfg(not(test))] mod real { fn f() { a.unwrap() } }"), 1);
}

#[test]
fn unfinished_code_is_found() {
    assert_eq!(
        count(unfinished, "fn f() { todo!() } fn g() { dbg!(1); } #[test] fn h() { unimplemented!() }"),
        3
    );
    assert_eq!(count(unfinished, "fn todo() { unreachable!() }"), 0);
}

#[test]
fn a_clock_in_a_pure_crate_is_found() {
    assert_eq!(count(impure, "fn f() { std::time::Instant::now(); } struct A(HashMap<u8, u8>);"), 2);
    assert_eq!(count(impure, "use std::{fs, net::TcpStream}; fn f() { fs::read(\"a\"); }"), 3);
    assert_eq!(count(impure, "fn f(now: Timestamp) -> BTreeMap<u8, u8> { g(now) }"), 0);
    let elsewhere = Source::new("shared/broker/src/a.rs", "fn f() { Instant::now(); }");
    assert_eq!(impure(&elsewhere).len(), 0);
}
