//! The servers that no request and no redirect may reach: the link-local and metadata addresses of clouds, which give
//! credentials to everybody who can send a request from this machine; in every spelling, and through every name.
//!
//! Names are checked when they are resolved, by [`GuardedResolver`], so that the address that is checked is the address
//! that is used. The parser of URLs has already brought numbers such as `0xa9fea9fe` and `2852039166` into one form.
//! The clients of object stores ask these addresses themselves for the credentials of the machine; they name them
//! directly, and follow no redirect from there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// A server or a redirect that is not allowed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refused {
    /// A link-local or metadata address.
    #[error(
        "{host}: expected a server of files, got a link-local or metadata address, which is refused"
    )]
    Host {
        /// The name or address.
        host: String,
    },
    /// A name with such an address.
    #[error(
        "{name}: expected a server of files, got a name of {address}, a link-local or metadata address, which is refused"
    )]
    Name {
        /// The name.
        name: String,
        /// Its address.
        address: IpAddr,
    },
    /// From https to http.
    #[error("{from}: expected a redirect to https, got one to {to} with http, which is refused")]
    Downgrade {
        /// The server that redirects.
        from: String,
        /// The server that it names.
        to: String,
    },
    /// To an address that is no web server.
    #[error("{from}: expected a redirect to a web server, got one to something else")]
    Target {
        /// The server that redirects.
        from: String,
    },
    /// In a circle, or nearly.
    #[error("{from}: expected a file, got {count} redirects in a row")]
    TooMany {
        /// The server that was asked first.
        from: String,
        /// Their number.
        count: usize,
    },
}

/// Metadata servers outside 169.254.0.0/16: of Azure, Alibaba and Oracle.
const METADATA: [Ipv4Addr; 3] = [
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
];
/// fd00:ec2::254 and its neighbours at Amazon, fd20:ce::254 at Google.
const METADATA_V6: [([u16; 2], u16); 3] = [
    ([0xfd00, 0xec2], 0x254),
    ([0xfd00, 0xec2], 0x23),
    ([0xfd20, 0xce], 0x254),
];
/// Names that only metadata servers have.
const NAMES: [&str; 4] = [
    CREDENTIALS,
    "metadata.goog",
    "instance-data",
    "instance-data.ec2.internal",
];
/// The name that the client of Google's store asks for the credentials of the machine.
const CREDENTIALS: &str = "metadata.google.internal";

/// Host and port, for messages.
pub fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// Refuses a URL of a link-local or metadata server.
///
/// # Errors
/// If its host is such an address or name.
pub fn must_be_allowed(url: &Url) -> Result<(), Refused> {
    let refused = match url.host() {
        Some(Host::Ipv4(address)) => is_refused(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => is_refused(IpAddr::V6(address)),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            let address = name.parse::<IpAddr>();
            NAMES.contains(&name.as_str()) || address.is_ok_and(is_refused)
        }
        None => false,
    };
    match refused {
        true => Err(Refused::Host { host: host(url) }),
        false => Ok(()),
    }
}

/// The target of a redirect, without a login.
///
/// # Errors
/// If it may not be followed.
pub fn redirect_target(from: &Url, location: &str) -> Result<Url, Refused> {
    let target = || Refused::Target { from: host(from) };
    // An empty one would lead back to the same address.
    if location.is_empty() {
        return Err(target());
    }
    let mut to = from.join(location).map_err(|_| target())?;
    if !["http", "https"].contains(&to.scheme()) || !to.has_host() {
        return Err(target());
    }
    if from.scheme() == "https" && to.scheme() == "http" {
        let (from, to) = (host(from), host(&to));
        return Err(Refused::Downgrade { from, to });
    }
    must_be_allowed(&to)?;
    // Fails only without a host.
    let _ = to.set_username("");
    let _ = to.set_password(None);
    to.set_fragment(None);
    Ok(to)
}

/// Whether no request may go to an address.
fn is_refused(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local() || METADATA.contains(&address),
        IpAddr::V6(address) => {
            let parts = address.segments();
            let [first, second, .., last] = parts;
            let is_metadata = METADATA_V6
                .iter()
                .any(|(start, end)| [first, second] == *start && last == *end);
            address.is_unicast_link_local()
                || is_metadata
                || embedded(address).is_some_and(|address| is_refused(IpAddr::V4(address)))
        }
    }
}

/// The IPv4 address inside an IPv6 address: mapped, compatible, of NAT64, of 6to4.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let of = |high: u16, low: u16| Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0 | 0xffff] | [0, 0, 0, 0, 0xffff, 0] | [0x64, 0xff9b, 0, 0, 0, 0] => {
            of(g, h)
        }
        [0x64, 0xff9b, 1, ..] => of(g, h),
        [0x2002, high, low, ..] => of(high, low),
        _ => None,
    }
}

/// Resolves names as the system does, and refuses those with a link-local or metadata address.
#[derive(Debug, Clone, Copy, Default)]
pub struct GuardedResolver;

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        Box::pin(async move {
            let asked = name.clone();
            let found = tokio::task::spawn_blocking(move || {
                // The client puts in the port.
                (asked.as_str(), 0).to_socket_addrs()
            });
            let addresses: Vec<SocketAddr> = found.await??.collect();
            let refused = addresses
                .iter()
                .map(SocketAddr::ip)
                .find(|&ip| is_refused(ip));
            match refused {
                // Only the client of the store itself gets here with this name: URLs with it were refused before.
                Some(address) if name != CREDENTIALS => Err(Refused::Name { name, address }.into()),
                _ => Ok(Box::new(addresses.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> bool {
        must_be_allowed(&Url::parse(text).unwrap()).is_err()
    }

    #[test]
    fn link_local_and_metadata_addresses_in_every_spelling() {
        for url in [
            "http://169.254.169.254/latest/meta-data/",
            "http://169.254.0.1:8080/",
            "http://0xa9fea9fe/",
            "http://2852039166/",
            "http://0251.0376.0251.0376/",
            "http://169.254.43518/",
            "http://169.254.169.254./",
            "http://[fe80::1]/",
            "http://[febf::1]/",
            "http://[fd00:ec2::254]/",
            "http://[FD00:0EC2:0:0:0:0:0:254]/",
            "http://[::ffff:169.254.169.254]/",
            "http://[::ffff:a9fe:a9fe]/",
            "http://[::169.254.169.254]/",
            "http://[64:ff9b::169.254.169.254]/",
            "http://[2002:a9fe:a9fe::]/",
            "http://metadata.google.internal/",
            "http://METADATA.google.internal./",
            "http://168.63.129.16/",
            "http://100.100.100.200/",
            "http://\u{ff11}69.254.169.254/",
        ] {
            assert!(refused(url), "{url}");
        }
        for url in [
            "http://127.0.0.1/",
            "http://10.0.0.1/",
            "http://169.253.1.1/",
            "http://[::1]/",
            "http://[fd00::254]/",
            "http://[fec0::1]/",
            "http://host/",
        ] {
            assert!(!refused(url), "{url}");
        }
    }

    #[test]
    fn names_are_refused_by_their_addresses() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let resolved = |name: &str| {
            let name = name.parse::<Name>().unwrap();
            runtime
                .block_on(GuardedResolver.resolve(name))
                .map(|found| found.count())
        };
        assert!(resolved("localhost").unwrap() > 0);
        // The system resolves these like names.
        for name in ["169.254.169.254", "0xa9fea9fe"] {
            let Err(error) = resolved(name) else {
                panic!("{name}")
            };
            assert!(error.downcast_ref::<Refused>().is_some(), "{name}: {error}");
        }
    }

    #[test]
    fn redirects_lead_to_web_servers_and_never_to_http_from_https() {
        let https = Url::parse("https://a:b@host/folder/file").unwrap();
        let to = |location: &str| redirect_target(&https, location).map(|url| url.to_string());
        assert_eq!(to("other").unwrap(), "https://host/folder/other");
        assert_eq!(to("//x:y@else/f#g").unwrap(), "https://else/f");
        assert_eq!(
            to("http://host/file"),
            Err(Refused::Downgrade {
                from: "host".to_owned(),
                to: "host".to_owned()
            })
        );
        for other in [
            "file:///etc/passwd",
            "ftp://host/",
            "",
            "javascript:1",
            "http://",
            "data:,x",
        ] {
            assert!(to(other).is_err(), "{other}");
        }
        assert!(matches!(
            to("https://0xA9FEA9FE/"),
            Err(Refused::Host { .. })
        ));
        let http = Url::parse("http://host/").unwrap();
        assert!(redirect_target(&http, "https://host/").is_ok());
    }
}
