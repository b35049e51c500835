//! What may stand in the parentheses of the attribute.

use syn::parse::{Parse, ParseStream};
use syn::{Ident, LitInt, Token};

/// Seeds that run when the attribute does not say: a second or so for a small cluster.
const SEEDS_DEFAULT: u64 = 50;
const LIMIT_SECONDS_DEFAULT: u64 = 30;
/// Hosts have few executors; more would only be a typing error.
const EXECUTORS_MAX: usize = 16;

const ALLOWED: &str = "`seeds = 200`, `executors = 2`, `limit_seconds = 30`, `calm`, `twice`, `keep_lines`";

/// The parsed arguments, defaults filled in.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) seeds: u64,
    pub(crate) executors: Option<usize>,
    pub(crate) calm: bool,
    pub(crate) twice: bool,
    pub(crate) keep_lines: bool,
    pub(crate) limit_seconds: u64,
}

impl Default for Arguments {
    fn default() -> Arguments {
        Arguments {
            seeds: SEEDS_DEFAULT,
            executors: None,
            calm: false,
            twice: false,
            keep_lines: false,
            limit_seconds: LIMIT_SECONDS_DEFAULT,
        }
    }
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> syn::Result<Arguments> {
        let mut arguments = Arguments::default();
        let mut seen: Vec<Ident> = Vec::new();
        while !input.is_empty() {
            let name: Ident = input.parse().map_err(|error| {
                syn::Error::new(error.span(), format!("expected an argument; allowed are {ALLOWED}"))
            })?;
            if seen.contains(&name) {
                return Err(syn::Error::new(name.span(), format!("`{name}` stands here twice")));
            }
            arguments.take(&name, input)?;
            seen.push(name);
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(arguments)
    }
}

impl Arguments {
    fn take(&mut self, name: &Ident, input: ParseStream<'_>) -> syn::Result<()> {
        match name.to_string().as_str() {
            "seeds" => self.seeds = number(name, input, 1, u64::from(u32::MAX))?,
            "executors" => self.executors = Some(number(name, input, 1, EXECUTORS_MAX as u64)? as usize),
            "limit_seconds" => self.limit_seconds = number(name, input, 1, 86_400)?,
            "calm" => self.calm = flag(name, input)?,
            "twice" => self.twice = flag(name, input)?,
            "keep_lines" => self.keep_lines = flag(name, input)?,
            _ => {
                let message = format!("unknown argument `{name}`; allowed are {ALLOWED}");
                return Err(syn::Error::new(name.span(), message));
            }
        }
        Ok(())
    }
}

fn number(name: &Ident, input: ParseStream<'_>, low: u64, high: u64) -> syn::Result<u64> {
    if !input.peek(Token![=]) {
        return Err(syn::Error::new(name.span(), format!("`{name}` needs a number: `{name} = {low}`")));
    }
    input.parse::<Token![=]>()?;
    let literal: LitInt = input.parse().map_err(|error| {
        syn::Error::new(error.span(), format!("`{name}` needs a whole number, such as `{name} = {low}`"))
    })?;
    let value: u64 = literal.base10_parse()?;
    if !(low..=high).contains(&value) {
        let message = format!("`{name}` must be from {low} to {high}");
        return Err(syn::Error::new(literal.span(), message));
    }
    Ok(value)
}

fn flag(name: &Ident, input: ParseStream<'_>) -> syn::Result<bool> {
    if input.peek(Token![=]) {
        return Err(syn::Error::new(name.span(), format!("`{name}` takes no value: write just `{name}`")));
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Arguments, String> {
        syn::parse_str::<Arguments>(text).map_err(|error| error.to_string())
    }

    fn refusal(text: &str) -> String {
        parse(text).expect_err("these arguments are wrong")
    }

    #[test]
    fn what_is_said_is_taken_and_the_rest_has_defaults() {
        let arguments = parse("seeds = 200, twice, executors = 2,").expect("these arguments are right");
        assert_eq!((arguments.seeds, arguments.twice, arguments.executors), (200, true, Some(2)));
        assert_eq!((arguments.calm, arguments.limit_seconds), (false, LIMIT_SECONDS_DEFAULT));
        assert_eq!(parse("").expect("no argument is fine").seeds, SEEDS_DEFAULT);
    }

    #[test]
    fn an_unknown_argument_names_the_allowed_ones() {
        let message = refusal("seed = 3");
        assert!(
            message.contains("unknown argument `seed`") && message.contains("`seeds = 200`"),
            "{message}"
        );
        assert!(refusal("= 3").contains(ALLOWED));
    }

    #[test]
    fn a_wrong_value_says_what_was_expected() {
        assert_eq!(refusal("seeds"), "`seeds` needs a number: `seeds = 1`");
        assert_eq!(refusal("seeds = 0"), "`seeds` must be from 1 to 4294967295");
        assert_eq!(refusal("seeds = \"9\""), "`seeds` needs a whole number, such as `seeds = 1`");
        assert_eq!(refusal("twice = true"), "`twice` takes no value: write just `twice`");
        assert_eq!(refusal("calm, calm"), "`calm` stands here twice");
    }
}
