//! From the trait that an author wrote to the model, or to everything that is wrong with it.

use super::attribute::Attribute as Arguments;
use super::method;
use super::model::{Contract, Method};
use crate::problems::Problems;
use syn::ext::IdentExt;
use syn::{Attribute, ItemTrait, TraitItem};

/// Checks a trait.
///
/// # Errors
/// All that is wrong with it.
pub(crate) fn contract(arguments: Arguments, item: ItemTrait) -> syn::Result<Contract> {
    let mut problems = Problems::default();
    check_head(&item, &mut problems);
    let mut methods: Vec<Method> = Vec::new();
    for member in item.items {
        let TraitItem::Fn(function) = member else {
            problems.add(member, "a contract has only methods: move this out of the trait");
            continue;
        };
        let Some(method) = method::read(function, &mut problems) else { continue };
        if let Some(other) = methods.iter().find(|m| m.variant == method.variant) {
            let (new, old) = (method.ident.unraw(), other.ident.unraw());
            let text =
                format!("`{new}` and `{old}` both become `{}` in the message: rename one", method.variant);
            problems.add(&method.ident, text);
        } else {
            methods.push(method);
        }
    }
    let (attributes, visibility, ident) = (item.attrs, item.vis, item.ident);
    problems.or(Contract { arguments, attributes, visibility, ident, methods })
}

fn check_head(item: &ItemTrait, problems: &mut Problems) {
    if item.items.is_empty() {
        problems.add(&item.ident, "a contract has at least one method");
    }
    if let Some(token) = &item.unsafety {
        problems.add(token, "a contract cannot be unsafe: remove this word");
    }
    if let Some(token) = &item.auto_token {
        problems.add(token, "a contract cannot be an auto trait: remove this word");
    }
    if !item.generics.params.is_empty() {
        let text = "a contract is the same for all its callers: it has no type parameters and no lifetimes";
        problems.add(&item.generics, text);
    }
    if let Some(clause) = &item.generics.where_clause {
        problems.add(clause, "a contract has no where clause");
    }
    if !item.supertraits.is_empty() {
        problems.add(&item.supertraits, "a contract has no supertraits: all it needs is its methods");
    }
    refuse_conditions(&item.attrs, problems);
}

/// A contract is the same wherever it is compiled.
pub(crate) fn refuse_conditions(attributes: &[Attribute], problems: &mut Problems) {
    for attribute in attributes {
        if attribute.path().is_ident("cfg") || attribute.path().is_ident("cfg_attr") {
            let text =
                "a contract is the same in every build: put the condition on a module around the trait";
            problems.add(attribute, text);
        }
    }
}
