//! The mock: a service that answers with closures and remembers what it was asked.

use super::super::model::{Contract, Method};
use super::{allowances, private};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::Ident;
use syn::ext::IdentExt;

pub(super) fn generate(contract: &Contract) -> TokenStream {
    let mock = contract.mock();
    let (visibility, name) = (&contract.visibility, &contract.arguments.name);
    let fields = contract.methods.iter().map(|method| {
        let (slot, answer) = (slot(method), answer(method));
        quote!(#slot: ::odeon::test::Script<dyn #answer>)
    });
    let about = format!(
        "A service of the contract `{name}` that answers with closures, for tests.\n\nA call without a closure is \
         refused with its name; a cast without one is taken and forgotten. All clones share their closures and \
         the memory of what they were asked."
    );
    let setters = contract.methods.iter().map(setter);
    let (the_trait, service) = (implementation(contract), service(contract));
    let allowances = allowances();
    quote! {
        #[doc = #about]
        #allowances
        #[derive(Clone, Default)]
        #visibility struct #mock {
            asked: ::odeon::test::Calls,
            #(#fields,)*
        }

        #[automatically_derived]
        #allowances
        impl #mock {
            #(#setters)*

            /// What it has been asked so far, and will be.
            pub fn calls(&self) -> ::odeon::test::Calls {
                ::core::clone::Clone::clone(&self.asked)
            }
        }

        #the_trait
        #service
    }
}

/// Field and builder of a method's closure.
fn slot(method: &Method) -> Ident {
    format_ident!("on_{}", method.ident.unraw(), span = method.ident.span())
}

/// The type of a method's closure.
fn answer(method: &Method) -> TokenStream {
    let (kinds, whole) = (method.kinds(), method.answer.whole());
    quote!(::core::ops::FnMut(#(#kinds),*) -> #whole + ::core::marker::Send)
}

fn setter(method: &Method) -> TokenStream {
    let (slot, answer, name) = (slot(method), answer(method), method.wire_name());
    let about = if method.is_cast() {
        format!("Runs the closure for each `{name}`.")
    } else {
        format!("Answers each `{name}` with the closure.")
    };
    quote! {
        #[doc = #about]
        #[must_use]
        pub fn #slot(mut self, answer: impl #answer + 'static) -> Self {
            self.#slot = ::odeon::test::Script::new(::std::boxed::Box::new(answer));
            self
        }
    }
}

fn implementation(contract: &Contract) -> TokenStream {
    let (mock, the_trait, name) = (contract.mock(), &contract.ident, &contract.arguments.name);
    let methods = contract.methods.iter().map(|method| {
        let Method { ident, receiver, .. } = method;
        let (slot, method_name) = (slot(method), method.wire_name());
        let (names, kinds) = (method.names(), method.kinds());
        let whole = method.answer.whole();
        quote! {
            async fn #ident(#receiver, _: &::odeon::Cx, #(#names: #kinds),*) -> #whole {
                self.#slot.answer(#name, #method_name, |__answer| __answer(#(#names),*))
            }
        }
    });
    let allowances = allowances();
    quote! {
        #[automatically_derived]
        #allowances
        impl #the_trait for #mock {
            #(#methods)*
        }
    }
}

fn service(contract: &Contract) -> TokenStream {
    let private = private();
    let (mock, reference, message) = (contract.mock(), contract.reference(), contract.message());
    let name = &contract.arguments.name;
    let asked = contract.methods.iter().map(|method| {
        let (variant, slot, method_name) = (&method.variant, slot(method), method.wire_name());
        let names = method.names();
        let texts = names.iter().map(|name| name.unraw().to_string());
        quote! {
            #message::#variant { #(#names,)* .. } => {
                self.asked.record(#method_name, &[#((#texts, ::odeon::test::recorded(#names))),*]);
                (#method_name, self.#slot.is_set())
            }
        }
    });
    let run = |function: &str, receiver: TokenStream| {
        let (function, dispatch) = (format_ident!("{function}"), format_ident!("__{function}"));
        quote! {
            async fn #function(#receiver, cx: &::odeon::Cx, message: #message) {
                if let ::core::option::Option::Some(message) = self.__admitted(message) {
                    #reference::#dispatch(self, cx, message).await;
                }
            }
        }
    };
    let (shared, exclusive) = (run("shared", quote!(&self)), run("exclusive", quote!(&mut self)));
    let allowances = allowances();
    quote! {
        #[automatically_derived]
        #allowances
        impl #mock {
            /// Records a message, and refuses it if nobody said what to answer.
            fn __admitted(&self, message: #message) -> ::core::option::Option<#message> {
                let (method, set) = match &message { #(#asked)* };
                if set {
                    return ::core::option::Option::Some(message);
                }
                #private::Message::refuse(message, ::odeon::test::unanswered(#name, method));
                ::core::option::Option::None
            }
        }

        #[automatically_derived]
        impl #private::Service for #mock {
            type Contract = #reference;
            #shared
            #exclusive
        }
    }
}
