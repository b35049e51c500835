//! `#[odeon::contract]`: from a trait to everything that callers and providers of the contract need.

mod attribute;
mod generate;
mod method;
mod model;
mod owned;
mod read;
#[cfg(test)]
mod tests;

use proc_macro2::{Span, TokenStream};
use syn::Item;

pub(crate) use generate::{private, weighed};
pub(crate) use model::{LIFE_CYCLE, reference_name};

/// What the attribute expands to.
///
/// # Errors
/// What is wrong with the attribute or the trait.
pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let Item::Trait(item) = syn::parse2(item)? else {
        let text = "a contract is a trait: write this attribute above `pub trait Name { … }`";
        return Err(syn::Error::new(Span::call_site(), text));
    };
    let contract = read::contract(syn::parse2(arguments)?, item)?;
    Ok(generate::all(&contract))
}
