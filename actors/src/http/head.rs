//! What the head of each request must be like, whatever it asks for. hyper has read it by then: its own bound holds for
//! heads that are not complete, and what it reads at once may be twice as much.

use super::connection::ConnectionLimits;
use super::problem::Problem;
use http::header::HOST;
use http::{HeaderValue, Request, StatusCode, Uri, Version};
use odeon::core::Retry;

/// Refuses a head with more bytes than granted, and one that does not name its host once (RFC 9112, section 3.2).
pub(crate) fn check<B>(request: &Request<B>, limits: &ConnectionLimits) -> Result<(), Problem> {
    let max = limits.head_bytes();
    // the version, two spaces and the ends of the first and of the last line
    let mut bytes = request.method().as_str().len() + target_bytes(request.uri()) + 14;
    let (mut hosts, mut host) = (0, None);
    for (name, value) in request.headers() {
        if name == HOST {
            (hosts, host) = (hosts + 1, Some(value));
        }
        // a colon, a space, and the end of the line
        bytes += name.as_str().len() + value.len() + 4;
    }
    if bytes > max {
        return Err(Problem::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "head-too-large",
            "The head of the request is too large",
        )
        .detail(format!("the path and the headers have {bytes} bytes: {max} at most"))
        .not_executed(Retry::Never));
    }
    // in HTTP/1.0 it may be missing
    let named = hosts == 1 || (hosts == 0 && request.version() < Version::HTTP_11);
    if named && host.is_none_or(is_host) { Ok(()) } else { Err(bad_host(hosts)) }
}

fn target_bytes(uri: &Uri) -> usize {
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    // "://"
    let scheme = uri.scheme_str().map_or(0, |scheme| scheme.len() + 3);
    path + scheme + uri.authority().map_or(0, |authority| authority.as_str().len())
}

/// Whether what is named may be a host with or without a port (RFC 3986, section 3.2.2); it may be empty.
fn is_host(host: &HeaderValue) -> bool {
    let fits = |b: &u8| {
        b.is_ascii_alphanumeric()
            || matches!(b, b'!' | b'$' | b'%'..=b'.' | b':' | b';' | b'=' | b'[' | b']' | b'_' | b'~')
    };
    host.as_bytes().iter().all(fits)
}

fn bad_host(hosts: usize) -> Problem {
    let detail = match hosts {
        0 => "the header Host is missing: each request of HTTP/1.1 has it".to_owned(),
        1 => "the header Host is no name or address with or without a port".to_owned(),
        _ => format!("the header Host is there {hosts} times: once is right"),
    };
    Problem::new(StatusCode::BAD_REQUEST, "bad-host", "The request does not name its host")
        .detail(detail)
        .not_executed(Retry::Never)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(version: Version, hosts: &[&str], filler: usize) -> Result<(), String> {
        let mut request = Request::get("/").version(version).header("x", "y".repeat(filler));
        for host in hosts {
            request = request.header("host", *host);
        }
        let limits = ConnectionLimits { head_bytes_max: 10_000, ..ConnectionLimits::default() };
        let request = request.body(()).expect("a request");
        check(&request, &limits).map_err(|problem| problem.body().kind.to_string())
    }

    #[test]
    fn a_host_is_named_once_as_the_standard_demands() {
        for (version, hosts) in [
            (Version::HTTP_11, &["a"][..]),
            (Version::HTTP_11, &["example.org:8080"]),
            (Version::HTTP_11, &["[::1]:8080"]),
            (Version::HTTP_11, &[""]),
            (Version::HTTP_10, &[]),
        ] {
            assert_eq!(checked(version, hosts, 1), Ok(()), "{version:?} {hosts:?}");
        }
        for (version, hosts) in [
            (Version::HTTP_11, &[][..]),
            (Version::HTTP_11, &["a", "a"]),
            (Version::HTTP_10, &["a", "b"]),
            (Version::HTTP_11, &["a b"]),
            (Version::HTTP_11, &["user@a"]),
            (Version::HTTP_11, &["a/b"]),
        ] {
            let refused = Err("urn:odeon:problem:bad-host".to_owned());
            assert_eq!(checked(version, hosts, 1), refused, "{version:?} {hosts:?}");
        }
    }

    #[test]
    fn the_bound_of_a_head_is_exact() {
        let fixed = "GET / HTTP/1.1\r\nx: \r\nhost: a\r\n\r\n".len();
        assert_eq!(checked(Version::HTTP_11, &["a"], 10_000 - fixed), Ok(()));
        let refused = Err("urn:odeon:problem:head-too-large".to_owned());
        assert_eq!(checked(Version::HTTP_11, &["a"], 10_001 - fixed), refused);
    }
}
