//! What stands in the parentheses of `#[odeon::contract(…)]`: the name on the wire and the version.

use proc_macro2::Span;
use syn::parse::{Parse, ParseStream};
use syn::{Ident, Lit, LitStr, Token};

/// Longest name, in bytes; the same as for services.
const NAME_MAX: usize = 63;

const EXAMPLE: &str = "`#[odeon::contract(name = \"greeter\", version = \"1.0\")]`";

/// The parsed arguments.
#[derive(Debug)]
pub(crate) struct Attribute {
    pub(crate) name: String,
    pub(crate) major: u16,
    pub(crate) minor: u16,
}

impl Parse for Attribute {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let (mut name, mut version) = (None, None);
        while !input.is_empty() {
            let key: Ident = input.parse().map_err(|e| {
                syn::Error::new(e.span(), format!("expected `name` or `version`, as in {EXAMPLE}"))
            })?;
            let known = match key.to_string().as_str() {
                "name" => &mut name,
                "version" => &mut version,
                _ => {
                    let text = format!("unknown argument `{key}`: a contract takes `name` and `version`");
                    return Err(syn::Error::new(key.span(), text));
                }
            };
            if known.is_some() {
                return Err(syn::Error::new(key.span(), format!("`{key}` stands here twice")));
            }
            *known = Some(text(&key, input)?);
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        let missing = |what: &str| {
            syn::Error::new(Span::call_site(), format!("the contract has no {what}: write {EXAMPLE}"))
        };
        let name = checked_name(&name.ok_or_else(|| missing("name"))?)?;
        let (major, minor) = numbers(&version.ok_or_else(|| missing("version"))?)?;
        Ok(Self { name, major, minor })
    }
}

fn text(key: &Ident, input: ParseStream<'_>) -> syn::Result<LitStr> {
    let example = if key == "name" { "name = \"greeter\"" } else { "version = \"1.0\"" };
    if !input.peek(Token![=]) {
        return Err(syn::Error::new(key.span(), format!("`{key}` needs a value: `{example}`")));
    }
    input.parse::<Token![=]>()?;
    let wrong = |span| syn::Error::new(span, format!("`{key}` is a text in quotes: `{example}`"));
    match input.parse::<Lit>() {
        Ok(Lit::Str(text)) => Ok(text),
        Ok(other) => Err(wrong(other.span())),
        Err(error) => Err(wrong(error.span())),
    }
}

fn checked_name(literal: &LitStr) -> syn::Result<String> {
    let name = literal.value();
    let error = |text: String| Err(syn::Error::new(literal.span(), text));
    if name.is_empty() {
        return error("the name of a contract cannot be empty".into());
    }
    if name.len() > NAME_MAX {
        return error(format!("the name has {} bytes: {NAME_MAX} at most", name.len()));
    }
    for (at, c) in name.chars().enumerate() {
        let fits = c.is_ascii_lowercase() || at > 0 && (c.is_ascii_digit() || c == '-' || c == '_');
        if !fits {
            return error(format!(
                "{c:?} at position {} is not allowed in the name of a contract: use a-z, 0-9, '-' and '_', \
                 beginning with a letter",
                at + 1
            ));
        }
    }
    Ok(name)
}

fn numbers(literal: &LitStr) -> syn::Result<(u16, u16)> {
    let text = literal.value();
    let number = |part: &str| {
        let plain = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if plain { part.parse::<u16>().ok() } else { None }
    };
    let parts = text.split_once('.').and_then(|(major, minor)| Some((number(major)?, number(minor)?)));
    parts.ok_or_else(|| {
        let text =
            format!("{text:?} is no version: write major.minor, such as \"1.0\" (numbers up to 65535)");
        syn::Error::new(literal.span(), text)
    })
}
