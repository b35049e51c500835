//! From the model to code. One file for each thing that comes out.

mod dispatch;
mod encoded;
mod message;
mod mock;
mod reference;

pub(crate) use message::weighed;

use super::model::{Contract, Method, Mode};
use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};

/// Where generated code finds what authors need not see.
pub(crate) fn private() -> TokenStream {
    quote!(::odeon::service::private)
}

/// The same, for what the compiler shall complain about at a place in the author's text.
fn private_at(span: Span) -> TokenStream {
    quote_spanned!(span=> ::odeon::service::private)
}

/// Everything that a contract expands to.
pub(crate) fn all(contract: &Contract) -> TokenStream {
    let parts = [
        the_trait(contract),
        message::generate(contract),
        reference::generate(contract),
        dispatch::generate(contract),
        encoded::generate(contract),
        mock::generate(contract),
    ];
    quote!(#(#parts)*)
}

/// The trait, with methods whose futures may run on any thread.
fn the_trait(contract: &Contract) -> TokenStream {
    let Contract { attributes, visibility, ident, methods, .. } = contract;
    let methods = methods.iter().map(|method| {
        let Method { ident, attributes, receiver, context, .. } = method;
        let (names, kinds) = (method.names(), method.kinds());
        let whole = method.answer.whole();
        quote! {
            #(#attributes)*
            fn #ident(
                #receiver,
                #context,
                #(#names: #kinds),*
            ) -> impl ::core::future::Future<Output = #whole> + ::core::marker::Send;
        }
    });
    quote! {
        #(#attributes)*
        #[allow(clippy::too_many_arguments, clippy::type_complexity)]
        #visibility trait #ident:
            ::core::marker::Send + ::core::marker::Sync + 'static
        {
            #(#methods)*
        }
    }
}

/// Lints that would blame an author for what is generated.
fn allowances() -> TokenStream {
    quote! {
        #[allow(
            dead_code,
            deprecated,
            private_interfaces,
            clippy::large_enum_variant,
            clippy::too_many_arguments,
            clippy::type_complexity
        )]
    }
}

impl Method {
    fn is_cast(&self) -> bool {
        self.mode == Mode::Cast
    }
}
