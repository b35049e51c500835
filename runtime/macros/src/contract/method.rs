//! One method of a trait: checked, and taken apart.

use super::model::{Answer, Argument, LIFE_CYCLE, Method, Mode, camel_case};
use super::{owned, read};
use crate::problems::Problems;
use syn::ext::IdentExt;
use syn::{
    Attribute, FnArg, GenericArgument, Ident, Meta, Pat, PatType, PathArguments, Receiver, ReturnType,
    Signature, TraitItemFn, Type,
};

const CONTEXT: &str = "the second parameter of a contract method is its context: write `cx: &Cx`";

/// Checks one method. None if so much is wrong that there is no model of it; then problems were noted.
pub(crate) fn read(function: TraitItemFn, problems: &mut Problems) -> Option<Method> {
    let TraitItemFn { mut attrs, sig, default, .. } = function;
    if let Some(body) = default {
        let text =
            "a contract says what there is, not how: end the method with `;` and move the body to a service";
        problems.push(syn::Error::new(body.brace_token.span.join(), text));
    }
    check_signature(&sig, problems);
    read::refuse_conditions(&attrs, problems);
    let mode = take_mode(&mut attrs, problems);
    let begins_with_self = matches!(sig.inputs.first(), Some(FnArg::Receiver(_)));
    let mut inputs = sig.inputs.into_iter();
    let receiver = receiver(inputs.next(), &sig.ident, problems);
    if let (Mode::Read, Some(receiver)) = (mode, &receiver)
        && receiver.mutability.is_some()
    {
        problems.add(receiver, "a `#[read]` may run twice, so it must not change anything: take `&self`");
    }
    // without a receiver, what comes next is no context
    let context = if begins_with_self { context(inputs.next(), &sig.ident, problems) } else { None };
    let arguments: Vec<_> = inputs.filter_map(|input| argument(input, problems)).collect();
    refuse_namesakes(context.as_ref(), &arguments, problems);
    let answer = answer(sig.output, mode, problems);
    let (receiver, context) = (receiver?, context?);
    Some(Method {
        variant: camel_case(&sig.ident),
        ident: sig.ident,
        attributes: attrs,
        exclusive: receiver.mutability.is_some(),
        receiver,
        context,
        mode,
        arguments,
        answer,
    })
}

fn check_signature(sig: &Signature, problems: &mut Problems) {
    let name = sig.ident.unraw().to_string();
    if LIFE_CYCLE.contains(&name.as_str()) {
        let text = format!("`{name}` belongs to the life-cycle of services: give the method another name");
        problems.add(&sig.ident, text);
    }
    if name.starts_with("__") {
        problems.add(&sig.ident, "names that begin with `__` are for generated code: use another");
    }
    if let Some(token) = &sig.constness {
        problems.add(token, "a method of a contract cannot be const: remove this word");
    }
    if let Some(token) = &sig.unsafety {
        problems.add(token, "a method of a contract cannot be unsafe: remove this word");
    }
    if let Some(token) = &sig.abi {
        problems.add(token, "a method of a contract has no ABI: remove this");
    }
    if let Some(token) = &sig.variadic {
        problems.add(token, "a method of a contract has a fixed number of arguments");
    }
    if sig.asyncness.is_none() {
        problems.add(sig.fn_token, "a method of a contract may have to wait: write `async fn`");
    }
    if !sig.generics.params.is_empty() {
        let text = "arguments travel as they are: use owned types only, without type parameters or lifetimes";
        problems.add(&sig.generics, text);
    }
    if let Some(clause) = &sig.generics.where_clause {
        problems.add(clause, "a method of a contract has no where clause");
    }
}

/// Takes `#[cast]` and `#[read]` off.
fn take_mode(attributes: &mut Vec<Attribute>, problems: &mut Problems) -> Mode {
    let mut mode = Mode::Call;
    attributes.retain(|attribute| {
        let meaning = match attribute.path() {
            path if path.is_ident("cast") => Mode::Cast,
            path if path.is_ident("read") => Mode::Read,
            _ => return true,
        };
        if !matches!(attribute.meta, Meta::Path(_)) {
            let name = if meaning == Mode::Cast { "cast" } else { "read" };
            problems.add(attribute, format!("`#[{name}]` takes no arguments"));
        } else if mode == meaning {
            problems.add(attribute, "this attribute stands here twice");
        } else if mode != Mode::Call {
            let text = "a method is `#[cast]` (no reply) or `#[read]` (a reply that may be asked for again), not both";
            problems.add(attribute, text);
        }
        mode = meaning;
        false
    });
    mode
}

fn receiver(input: Option<FnArg>, name: &Ident, problems: &mut Problems) -> Option<Receiver> {
    let Some(FnArg::Receiver(receiver)) = input else {
        let text =
            "a method of a contract begins with `&self` (runs beside others) or `&mut self` (runs alone)";
        match input {
            Some(FnArg::Typed(first)) => problems.add(first, text),
            _ => problems.add(name, text),
        }
        return None;
    };
    match &receiver.reference {
        Some((_, None)) if receiver.colon_token.is_none() => Some(receiver),
        Some((_, Some(lifetime))) => {
            problems.add(lifetime, "the receiver needs no lifetime: write `&self` or `&mut self`");
            None
        }
        _ => {
            let text = "a message does not consume its service: write `&self` (runs beside others) or \
                        `&mut self` (runs alone)";
            problems.add(receiver, text);
            None
        }
    }
}

fn context(input: Option<FnArg>, name: &Ident, problems: &mut Problems) -> Option<PatType> {
    let context = match input {
        Some(FnArg::Typed(context)) => context,
        Some(FnArg::Receiver(receiver)) => {
            problems.add(receiver, CONTEXT);
            return None;
        }
        None => {
            problems.add(name, "the context is missing: write `cx: &Cx` behind the receiver");
            return None;
        }
    };
    let plain = match &*context.ty {
        Type::Reference(reference) if reference.mutability.is_none() && reference.lifetime.is_none() => {
            matches!(&*reference.elem, Type::Path(path) if path.path.segments.last().is_some_and(|s| s.ident == "Cx"))
        }
        _ => false,
    };
    if !plain || !matches!(&*context.pat, Pat::Ident(_) | Pat::Wild(_)) {
        problems.add(context, CONTEXT);
        return None;
    }
    Some(context)
}

fn argument(input: FnArg, problems: &mut Problems) -> Option<Argument> {
    let FnArg::Typed(PatType { attrs, pat, ty, .. }) = input else {
        problems.add(input, "the receiver comes first");
        return None;
    };
    let plain = match *pat {
        Pat::Ident(pat) if pat.by_ref.is_none() && pat.mutability.is_none() && pat.subpat.is_none() => {
            Ok(pat.ident)
        }
        other => Err(other),
    };
    let ident = match plain {
        Ok(ident) => ident,
        Err(pattern) => {
            let text = "the name of an argument is its name on the wire: write one plain name, such as `order: Order`";
            problems.add(pattern, text);
            return None;
        }
    };
    if ident.to_string().starts_with("__") {
        problems.add(&ident, "names that begin with `__` are for generated code: use another");
    }
    owned::check(&ty, "an argument", problems);
    for attribute in &attrs {
        check_argument_attribute(attribute, problems);
    }
    Some(Argument { ident, kind: *ty, attributes: attrs })
}

fn check_argument_attribute(attribute: &Attribute, problems: &mut Problems) {
    let path = attribute.path();
    if !["serde", "schemars", "doc"].iter().any(|known| path.is_ident(known)) {
        let text = "only `#[serde(…)]`, `#[schemars(…)]` and documentation may stand on an argument";
        problems.add(attribute, text);
    }
    let Meta::List(list) = &attribute.meta else { return };
    for token in list.tokens.clone() {
        let proc_macro2::TokenTree::Ident(word) = &token else { continue };
        match word.to_string().as_str() {
            "rename" | "flatten" => {
                let text = "the name of an argument is its name on the wire: rename the argument itself, \
                            with `#[serde(alias = \"…\")]` for the old name";
                problems.add(word, text);
            }
            "skip" | "skip_serializing" | "skip_deserializing" => {
                let text =
                    "an argument travels: remove it from the method, or let it have a `#[serde(default)]`";
                problems.add(word, text);
            }
            _ => {}
        }
    }
}

/// Two parameters with the same name would be told by the compiler once for each thing that is generated.
fn refuse_namesakes(context: Option<&PatType>, arguments: &[Argument], problems: &mut Problems) {
    for (at, Argument { ident, .. }) in arguments.iter().enumerate() {
        let is_context = context.is_some_and(
            |context| matches!(&*context.pat, Pat::Ident(pat) if pat.ident.unraw() == ident.unraw()),
        );
        if is_context {
            let text = format!("`{}` is the context already: give the argument another name", ident.unraw());
            problems.add(ident, text);
        } else if arguments[..at].iter().any(|earlier| earlier.ident.unraw() == ident.unraw()) {
            problems.add(ident, format!("two arguments are called `{}`: rename one", ident.unraw()));
        }
    }
}

fn answer(output: ReturnType, mode: Mode, problems: &mut Problems) -> Answer {
    let ReturnType::Type(_, whole) = output else {
        return Answer::Nothing;
    };
    if mode == Mode::Cast {
        problems.add(whole, "a `#[cast]` has no reply: remove the return type, or remove `#[cast]`");
        return Answer::Nothing;
    }
    owned::check(&whole, "an answer", problems);
    let Some(types) = result_types(&whole) else { return Answer::Value(whole) };
    if let [value, error] = types.as_slice() {
        let (value, error) = (Box::new(value.clone()), Box::new(error.clone()));
        return Answer::Fallible { whole, value, error };
    }
    let text = "write the error type too: `Result<T, E>` with `E: ContractError`; callers decide by it";
    problems.add(whole, text);
    Answer::Nothing
}

/// The type arguments if it is a `Result`.
fn result_types(whole: &Type) -> Option<Vec<Type>> {
    let Type::Path(path) = whole else { return None };
    let last = path.path.segments.last().filter(|s| s.ident == "Result")?;
    let PathArguments::AngleBracketed(list) = &last.arguments else { return Some(Vec::new()) };
    let types = list.args.iter().map(|argument| match argument {
        GenericArgument::Type(kind) => Some(kind.clone()),
        _ => None,
    });
    Some(types.collect::<Option<_>>().unwrap_or_default())
}
