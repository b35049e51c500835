//! `#[odeon::service]`: the methods of an `impl` go to the contract, the life-cycle functions to the runtime.

use crate::contract::{LIFE_CYCLE, private, reference_name};
use crate::problems::Problems;
use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{FnArg, ImplItem, ImplItemFn, Item, ItemImpl, Path, PathArguments, ReturnType, Type};

/// A function that the runtime calls.
struct Hook {
    name: &'static str,
    exclusive: bool,
    parameters: usize,
    returns: Option<&'static str>,
    signature: &'static str,
}

const HOOKS: [Hook; 3] = [
    Hook {
        name: "ready",
        exclusive: false,
        parameters: 2,
        returns: Some("bool"),
        signature: "async fn ready(&self, cx: &Cx) -> bool",
    },
    Hook {
        name: "stop",
        exclusive: true,
        parameters: 3,
        returns: None,
        signature: "async fn stop(&mut self, cx: &Cx, reason: StopReason)",
    },
    Hook {
        name: "passivate",
        exclusive: true,
        parameters: 2,
        returns: Some("Vec"),
        signature: "async fn passivate(&mut self, cx: &Cx) -> Vec<u8>",
    },
];

/// What the attribute expands to.
///
/// # Errors
/// What is wrong with the block.
pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    if !arguments.is_empty() {
        let text = "this attribute takes no arguments: name, version and options belong to the contract and to \
                    the registration";
        return Err(syn::Error::new_spanned(arguments, text));
    }
    let not_a_service = "a service is the implementation of a contract: write this attribute above \
                         `impl Greeter for Polite { … }`";
    let Item::Impl(mut block) = syn::parse2(item)? else {
        return Err(syn::Error::new(Span::call_site(), not_a_service));
    };
    let Some((negation, the_trait, _)) = block.trait_.clone() else {
        return Err(syn::Error::new_spanned(&block.self_ty, not_a_service));
    };
    let mut problems = Problems::default();
    if let Some(token) = negation {
        problems.add(token, not_a_service);
    }
    let reference = reference(&the_trait, &mut problems);
    let hooks = take_hooks(&mut block, &mut problems);
    let service = service(&block, &reference, &hooks);
    problems.or(quote!(#block #service))
}

/// `a::b::Greeter` becomes `a::b::GreeterRef`.
fn reference(the_trait: &Path, problems: &mut Problems) -> Path {
    let mut path = the_trait.clone();
    if let Some(last) = path.segments.last_mut() {
        if !matches!(last.arguments, PathArguments::None) {
            problems.add(&last.arguments, "a contract has no type parameters: remove these");
        }
        last.ident = reference_name(&last.ident);
    }
    path
}

/// Takes the life-cycle functions out of the block.
fn take_hooks(block: &mut ItemImpl, problems: &mut Problems) -> Vec<ImplItemFn> {
    let mut hooks = Vec::new();
    for item in std::mem::take(&mut block.items) {
        match item {
            ImplItem::Fn(function) if function.sig.ident == LIFE_CYCLE[0] => {
                let text = "`start` makes the service, so it cannot be a part of it: move it to a block of its own \
                            and name it where the service is registered: `app.service(\"name\", Type::start)`";
                problems.add(&function.sig.ident, text);
            }
            ImplItem::Fn(function) => match HOOKS.iter().find(|hook| function.sig.ident == hook.name) {
                Some(hook) => {
                    hook.check(&function, problems);
                    hooks.push(function);
                }
                None => block.items.push(ImplItem::Fn(function)),
            },
            other => block.items.push(other),
        }
    }
    hooks
}

impl Hook {
    fn check(&self, function: &ImplItemFn, problems: &mut Problems) {
        let sig = &function.sig;
        let receiver = match sig.inputs.first() {
            Some(FnArg::Receiver(receiver)) => {
                receiver.reference.is_some()
                    && receiver.colon_token.is_none()
                    && receiver.mutability.is_some() == self.exclusive
            }
            _ => false,
        };
        let returns = match (&sig.output, self.returns) {
            (ReturnType::Default, None) => true,
            (ReturnType::Type(_, kind), Some(wanted)) => {
                matches!(&**kind, Type::Path(path) if path.path.segments.last().is_some_and(|s| s.ident == wanted))
            }
            _ => false,
        };
        let fits = sig.asyncness.is_some()
            && sig.unsafety.is_none()
            && sig.generics.params.is_empty()
            && sig.inputs.len() == self.parameters;
        if !(fits && receiver && returns) {
            let text = format!("the life-cycle function `{}` is written `{}`", self.name, self.signature);
            problems.add(sig, text);
        }
    }
}

/// What the runtime calls.
fn service(block: &ItemImpl, reference: &Path, hooks: &[ImplItemFn]) -> TokenStream {
    let private = private();
    let kind = &block.self_ty;
    let (parameters, _, clause) = block.generics.split_for_impl();
    let attributes =
        block.attrs.iter().filter(|a| ["cfg", "allow"].iter().any(|known| a.path().is_ident(known)));
    quote! {
        #(#attributes)*
        impl #parameters #private::Service for #kind #clause {
            type Contract = #reference;

            #[inline]
            fn shared(
                &self,
                cx: &#private::Cx,
                message: <#reference as #private::Contract>::Message,
            ) -> impl ::core::future::Future<Output = ()> + ::core::marker::Send {
                <#reference>::__shared(self, cx, message)
            }

            #[inline]
            fn exclusive(
                &mut self,
                cx: &#private::Cx,
                message: <#reference as #private::Contract>::Message,
            ) -> impl ::core::future::Future<Output = ()> + ::core::marker::Send {
                <#reference>::__exclusive(self, cx, message)
            }

            #(#hooks)*
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(arguments: &str, item: &str) -> Result<String, String> {
        let arguments = arguments.parse().expect("tokens");
        let item = item.parse().expect("tokens");
        expand(arguments, item).map(|tokens| tokens.to_string().replace(' ', "")).map_err(|e| e.to_string())
    }

    fn refusal(item: &str) -> String {
        expanded("", item).expect_err("this is wrong")
    }

    #[test]
    fn the_contract_is_named_by_the_path_of_its_trait() {
        let code = expanded("", "impl shop::api::Greeter for Polite {}").expect("fine");
        assert!(code.contains("typeContract=shop::api::GreeterRef;"), "{code}");
    }

    #[test]
    fn life_cycle_functions_move_and_methods_stay() {
        let code = expanded(
            "",
            "impl<T: Speech> Greeter for Polite<T> where T: Send {
                async fn greet(&self, _: &Cx) {}
                async fn stop(&mut self, cx: &Cx, _: StopReason) {}
            }",
        )
        .expect("fine");
        let (contract, service) = code.split_once("Servicefor").expect("two blocks");
        assert!(contract.contains("greet") && !contract.contains("stop"), "{contract}");
        assert!(service.contains("asyncfnstop(&mutself"), "{service}");
        assert!(service.starts_with("Polite<T>whereT:Send"), "{service}");
    }

    #[test]
    fn a_wrong_life_cycle_function_is_told_its_signature() {
        for wrong in [
            "fn ready(&self, cx: &Cx) -> bool { true }",
            "async fn ready(&mut self, cx: &Cx) -> bool { true }",
            "async fn ready(&self) -> bool { true }",
            "async fn ready(&self, cx: &Cx) {}",
            "async fn ready(cx: &Cx, me: &Self) -> bool { true }",
        ] {
            let text = refusal(&format!("impl Greeter for Polite {{ {wrong} }}"));
            assert!(text.contains("`async fn ready(&self, cx: &Cx) -> bool`"), "{wrong}: {text}");
        }
    }

    #[test]
    fn what_is_no_service_is_told_what_to_write() {
        assert!(refusal("impl Polite {}").contains("impl Greeter for Polite"));
        assert!(refusal("struct Polite;").contains("impl Greeter for Polite"));
        assert!(refusal("impl Greeter for Polite { fn start() {} }").contains("app.service"));
        assert!(refusal("impl Greeter<u8> for Polite {}").contains("no type parameters"));
        assert!(expanded("name = 1", "impl Greeter for Polite {}").is_err());
    }
}
