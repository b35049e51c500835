//! From a message to the method that handles it: exhaustive matches, used by `#[odeon::service]`.

use super::super::model::{Answer, Contract, Method};
use super::{allowances, private, private_at};
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

pub(super) fn generate(contract: &Contract) -> TokenStream {
    let private = private();
    let (reference, message) = (contract.reference(), contract.message());
    let the_trait = &contract.ident;
    let shared = arms(contract, false);
    let exclusive = arms(contract, true);
    let allowances = allowances();
    quote! {
        #[automatically_derived]
        #allowances
        impl #reference {
            #[doc(hidden)]
            pub async fn __shared<__S: #the_trait>(__service: &__S, __cx: &#private::Cx, __message: #message) {
                match __message { #shared }
            }

            #[doc(hidden)]
            pub async fn __exclusive<__S: #the_trait>(__service: &mut __S, __cx: &#private::Cx, __message: #message) {
                match __message { #exclusive }
            }
        }
    }
}

fn arms(contract: &Contract, exclusive: bool) -> TokenStream {
    let message = contract.message();
    let arms = contract.methods.iter().map(|method| {
        if method.exclusive == exclusive {
            return handled(contract, method);
        }
        let (private, variant, name) = (private(), &method.variant, method.wire_name());
        quote!(#message::#variant { .. } => #private::wrong_access(#name),)
    });
    quote!(#(#arms)*)
}

fn handled(contract: &Contract, method: &Method) -> TokenStream {
    let (message, the_trait) = (contract.message(), &contract.ident);
    let Method { ident, variant, .. } = method;
    let names = method.names();
    let handler = quote!(<__S as #the_trait>::#ident(__service, __cx, #(#names),*));
    let (private, wire_name) = (private(), method.wire_name());
    if method.is_cast() {
        let recorded = quote!(#private::recorded(__cx, #wire_name, #handler));
        return quote!(#message::#variant { #(#names,)* .. } => #recorded.await,);
    }
    let served = match method.answer {
        Answer::Fallible { .. } => handler,
        Answer::Nothing | Answer::Value(_) => {
            quote!(async move { ::core::result::Result::Ok(#handler.await) })
        }
    };
    let (blame, here) = (method.answer.blame(), private_at(method.answer.blame()));
    let serve = quote_spanned!(blame=> #here::Reply::serve(__reply, __cx, #served));
    let recorded = quote!(#private::recorded(__cx, #wire_name, #serve));
    quote!(#message::#variant { #(#names,)* __reply, .. } => #recorded.await,)
}
