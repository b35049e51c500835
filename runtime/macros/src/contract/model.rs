//! A contract that has been checked: what code is generated from.

use super::attribute::Attribute as Arguments;
use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, Ident, Type, Visibility};

/// Names that mean something else in a service. No method of a contract may have one.
pub(crate) const LIFE_CYCLE: [&str; 4] = ["start", "ready", "stop", "passivate"];

/// A contract that has been checked.
pub(crate) struct Contract {
    /// Name on the wire and version.
    pub(crate) arguments: Arguments,
    /// Attributes of the trait, documentation included.
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    /// The trait.
    pub(crate) ident: Ident,
    pub(crate) methods: Vec<Method>,
}

/// How a method is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// One reply, at most once.
    Call,
    /// One reply; may be repeated.
    Read,
    /// No reply.
    Cast,
}

/// One method of a contract.
pub(crate) struct Method {
    pub(crate) ident: Ident,
    /// Its variant in the message.
    pub(crate) variant: Ident,
    /// Attributes without `#[cast]` and `#[read]`, documentation included.
    pub(crate) attributes: Vec<Attribute>,
    /// Whether the receiver is `&mut self`.
    pub(crate) exclusive: bool,
    /// The receiver and the context, as written.
    pub(crate) receiver: syn::Receiver,
    pub(crate) context: syn::PatType,
    pub(crate) mode: Mode,
    pub(crate) arguments: Vec<Argument>,
    pub(crate) answer: Answer,
}

/// One argument.
pub(crate) struct Argument {
    pub(crate) ident: Ident,
    pub(crate) kind: Type,
    /// What moves to the field of the arguments' struct: serde, schemars, documentation.
    pub(crate) attributes: Vec<Attribute>,
}

/// What a method returns.
pub(crate) enum Answer {
    /// Nothing was written.
    Nothing,
    /// A type that is not `Result<T, E>`.
    Value(Box<Type>),
    /// `Result<T, E>`.
    Fallible { whole: Box<Type>, value: Box<Type>, error: Box<Type> },
}

impl Contract {
    pub(crate) fn reference(&self) -> Ident {
        reference_name(&self.ident)
    }

    pub(crate) fn message(&self) -> Ident {
        format_ident!("{}Message", self.ident)
    }

    pub(crate) fn mock(&self) -> Ident {
        format_ident!("{}Mock", self.ident)
    }
}

/// The reference type of the contract with this trait.
pub(crate) fn reference_name(contract: &Ident) -> Ident {
    format_ident!("{}Ref", contract, span = contract.span())
}

impl Method {
    /// Its name on the wire.
    pub(crate) fn wire_name(&self) -> String {
        self.ident.unraw().to_string()
    }

    /// The struct of its arguments.
    pub(crate) fn arguments_struct(&self) -> Ident {
        format_ident!("__{}Arguments", self.variant)
    }

    /// The names of its arguments.
    pub(crate) fn names(&self) -> Vec<&Ident> {
        self.arguments.iter().map(|a| &a.ident).collect()
    }

    /// The types of its arguments.
    pub(crate) fn kinds(&self) -> Vec<&Type> {
        self.arguments.iter().map(|a| &a.kind).collect()
    }

    /// Attributes that also belong on what is generated beside the trait.
    pub(crate) fn shared_attributes(&self) -> impl Iterator<Item = &Attribute> {
        self.attributes.iter().filter(|a| a.path().is_ident("doc") || a.path().is_ident("deprecated"))
    }

    /// The first paragraph of its documentation, on one line.
    pub(crate) fn about(&self) -> String {
        let lines = documentation(&self.attributes);
        let paragraph = lines.iter().map(|l| l.trim()).skip_while(|l| l.is_empty());
        paragraph.take_while(|l| !l.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

impl Answer {
    /// What the handler returns.
    pub(crate) fn whole(&self) -> TokenStream {
        match self {
            Self::Nothing => quote!(()),
            Self::Value(whole) | Self::Fallible { whole, .. } => quote!(#whole),
        }
    }

    /// What a successful caller gets.
    pub(crate) fn value(&self) -> TokenStream {
        match self {
            Self::Nothing => quote!(()),
            Self::Value(value) | Self::Fallible { value, .. } => quote!(#value),
        }
    }

    /// Where the compiler shall point when a type of the answer cannot be one.
    pub(crate) fn blame(&self) -> Span {
        match self {
            Self::Nothing => Span::call_site(),
            Self::Value(value) => place_of(value),
            Self::Fallible { error, .. } => place_of(error),
        }
    }

    /// The handler's own error.
    pub(crate) fn error(&self) -> TokenStream {
        match self {
            Self::Nothing | Self::Value(_) => quote!(::odeon::Never),
            Self::Fallible { error, .. } => quote!(#error),
        }
    }
}

/// Where a type stands in the author's text, for code that sees the names of generated code.
pub(crate) fn place_of(kind: &Type) -> Span {
    kind.span().resolved_at(Span::call_site())
}

/// The lines of documentation comments.
fn documentation(attributes: &[Attribute]) -> Vec<String> {
    let mut lines = Vec::new();
    for attribute in attributes.iter().filter(|a| a.path().is_ident("doc")) {
        if let syn::Meta::NameValue(pair) = &attribute.meta
            && let syn::Expr::Lit(literal) = &pair.value
            && let syn::Lit::Str(text) = &literal.lit
        {
            lines.extend(text.value().lines().map(str::to_owned));
            // an empty comment line has no lines of its own
            if text.value().is_empty() {
                lines.push(String::new());
            }
        }
    }
    lines
}

/// `pay_later` becomes `PayLater`.
pub(crate) fn camel_case(ident: &Ident) -> Ident {
    let plain = ident.unraw().to_string();
    let mut name = String::with_capacity(plain.len());
    for part in plain.split('_') {
        let mut letters = part.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    // `_` or `_1` would leave nothing that can begin a name, and `self_` one that is taken
    if name == "Self" || !name.starts_with(|c: char| c.is_alphabetic()) {
        name.insert(0, 'M');
    }
    Ident::new(&name, ident.span())
}
