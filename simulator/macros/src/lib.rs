//! The attribute `#[odeon_simulator::test]`: it turns the script of a simulation into an ordinary test.

mod arguments;

use arguments::Arguments;
use proc_macro::TokenStream;
use quote::quote;
use syn::{FnArg, ItemFn, ReturnType, parse_macro_input};

/// Runs a script under many seeds, each in a process of its own.
///
/// ```text
/// #[odeon_simulator::test(seeds = 200)]
/// fn a_lost_datagram_is_sent_again(sim: &mut Simulation) {
///     let host = sim.host("alone", |_| async {});
///     sim.start(host);
///     sim.run_for(Duration::from_secs(10));
/// }
/// ```
///
/// | argument | meaning | default |
/// |---|---|---|
/// | `seeds = 200` | how many seeds run, from 0 | 50 |
/// | `executors = 2` | executors of each host | drawn from the seed, one to three |
/// | `calm` | a world without faults, for scripts that bring their own | faults drawn from the seed |
/// | `twice` | each seed runs in two processes under other conditions, and both must agree | off |
/// | `keep_lines` | passing seeds keep their log too (slower; for scripts that read it) | off |
/// | `limit_seconds = 30` | wall time after which a seed is killed and reported as hung | 30 |
///
/// Environment: `ODEON_SEEDS=1000` or `ODEON_SEEDS=5..10` replaces the seeds, `ODEON_SEED=22` replays one with
/// its log, `ODEON_JOBS=4` sets how many run at once, `ODEON_TWICE=1` switches `twice` on everywhere.
///
/// Other attributes of the function, such as `#[should_panic]`, apply to the test.
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let arguments = parse_macro_input!(arguments as Arguments);
    let script = parse_macro_input!(item as ItemFn);
    match expand(&arguments, &script) {
        Ok(test) => test.into(),
        Err(error) => error.into_compile_error().into(),
    }
}

fn expand(arguments: &Arguments, script: &ItemFn) -> syn::Result<proc_macro2::TokenStream> {
    check(script)?;
    let attributes = &script.attrs;
    let name = &script.sig.ident;
    let inputs = &script.sig.inputs;
    let body = &script.block;
    let seeds = arguments.seeds;
    let executors = match arguments.executors {
        Some(count) => quote!(::core::option::Option::Some(#count)),
        None => quote!(::core::option::Option::None),
    };
    let Arguments { calm, twice, keep_lines, limit_seconds, .. } = arguments;
    Ok(quote! {
        #(#attributes)*
        #[::core::prelude::v1::test]
        fn #name() {
            fn script(#inputs) #body
            ::odeon_simulator::runner::test(::odeon_simulator::runner::TestCase {
                path: ::core::concat!(::core::module_path!(), "::", ::core::stringify!(#name)),
                package: ::core::env!("CARGO_PKG_NAME"),
                target: ::core::env!("CARGO_CRATE_NAME"),
                binary: ::core::option_env!("CARGO_BIN_NAME"),
                seeds: #seeds,
                executors: #executors,
                calm: #calm,
                twice: #twice,
                keep_lines: #keep_lines,
                limit: ::core::time::Duration::from_secs(#limit_seconds),
                script,
            });
        }
    })
}

/// Says what is wrong with the function in the words of its author, before the compiler says it in ours.
fn check(script: &ItemFn) -> syn::Result<()> {
    let signature = &script.sig;
    if let Some(token) = &signature.asyncness {
        return Err(syn::Error::new_spanned(
            token,
            "the script of a simulation is not async: it stands outside the simulated hosts and lets time pass \
             with `sim.run_for(…)`; the programs of the hosts are async",
        ));
    }
    if !signature.generics.params.is_empty() {
        return Err(syn::Error::new_spanned(&signature.generics, "a simulation test cannot be generic"));
    }
    if let ReturnType::Type(_, kind) = &signature.output {
        return Err(syn::Error::new_spanned(
            kind,
            "the script of a simulation returns nothing: say what went wrong with `sim.violation(…)` or an assertion",
        ));
    }
    let takes_one = signature.inputs.len() == 1 && matches!(signature.inputs.first(), Some(FnArg::Typed(_)));
    if !takes_one {
        return Err(syn::Error::new_spanned(
            &signature.ident,
            "a simulation test takes the world as its one argument: `fn name(sim: &mut Simulation)`",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;

    fn refusal(script: &str) -> String {
        let script = syn::parse_str(script).expect("a function");
        check(&script).expect_err("this script is wrong").to_string()
    }

    #[test]
    fn a_script_takes_the_world_and_returns_nothing() {
        let script = syn::parse_str("fn quiet(sim: &mut Simulation) {}").expect("a function");
        assert!(check(&script).is_ok());
        assert!(refusal("fn quiet() {}").contains("fn name(sim: &mut Simulation)"));
        assert!(refusal("fn quiet(sim: &mut Simulation, more: u8) {}").contains("one argument"));
        assert!(refusal("fn quiet(sim: &mut Simulation) -> u8 { 1 }").contains("returns nothing"));
    }

    #[test]
    fn an_async_or_generic_script_is_refused_with_the_reason() {
        assert!(refusal("async fn quiet(sim: &mut Simulation) {}").contains("not async"));
        assert!(refusal("fn quiet<T>(sim: &mut Simulation) {}").contains("cannot be generic"));
    }
}
