//! Everything that is wrong with an item, so that its author sees all of it at once.

use quote::ToTokens;
use std::fmt::Display;

/// Collects errors. Nothing is generated if there is one.
#[derive(Default)]
pub(crate) struct Problems(Option<syn::Error>);

impl Problems {
    /// Notes what is wrong with these tokens, and what to do.
    pub(crate) fn add(&mut self, guilty: impl ToTokens, text: impl Display) {
        self.push(syn::Error::new_spanned(guilty, text));
    }

    /// Notes an error.
    pub(crate) fn push(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(first) => first.combine(error),
            None => self.0 = Some(error),
        }
    }

    /// The value if nothing is wrong.
    pub(crate) fn or<T>(self, value: T) -> syn::Result<T> {
        match self.0 {
            Some(error) => Err(error),
            None => Ok(value),
        }
    }
}
