//! Takes an address, yields the store that it names and the key in it. Credentials, regions and endpoints of object
//! stores come from the environment.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore};
use url::Url;

use super::address::Address;
use super::client::Connector;
use super::error::{RemoteError, RemoteErrorKind};
use super::hosts::must_be_allowed;

/// The longest time without a byte from a web server. There is no limit for a whole file, which may be large.
const SILENCE: Duration = Duration::from_secs(60);

/// The store that an address names, and the key in it.
pub(super) fn store(address: &Address) -> Result<(Arc<dyn ObjectStore>, Path), RemoteError> {
    // There is one per process; an embedding program may have installed its own.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = address.url();
    let failed = |error: &object_store::Error| RemoteError::of(error, address);
    let wrong = |message: String| RemoteError::new(RemoteErrorKind::Address, message);
    let path = Path::from_url_path(url.path()).map_err(|error| wrong(error.to_string()))?;
    let connector = Connector {
        web: address.is_web().then(|| address.clone()),
    };
    let text = url.as_str();
    let store: Arc<dyn ObjectStore> = match url.scheme() {
        "s3" | "s3a" => {
            let builder = AmazonS3Builder::from_env().with_url(text);
            let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
            must_be_an_endpoint(endpoint, "AWS_ENDPOINT_URL")?;
            let store = builder.with_http_connector(connector).build();
            Arc::new(store.map_err(|error| failed(&error))?)
        }
        "gs" => {
            let builder = GoogleCloudStorageBuilder::from_env().with_url(text);
            let store = builder.with_http_connector(connector).build();
            Arc::new(store.map_err(|error| failed(&error))?)
        }
        "az" | "abfs" | "abfss" => {
            let builder = MicrosoftAzureBuilder::from_env().with_url(text);
            let endpoint = builder.get_config_value(&AzureConfigKey::Endpoint);
            must_be_an_endpoint(endpoint, "AZURE_STORAGE_ENDPOINT")?;
            let store = builder.with_http_connector(connector).build();
            Arc::new(store.map_err(|error| failed(&error))?)
        }
        "http" | "https" => {
            must_be_allowed(url).map_err(refused)?;
            let options = ClientOptions::new()
                .with_allow_http(true)
                .with_timeout_disabled()
                .with_read_timeout(SILENCE);
            let store = HttpBuilder::new()
                .with_url(url.origin().ascii_serialization())
                .with_client_options(options)
                .with_http_connector(connector)
                .build();
            Arc::new(store.map_err(|error| failed(&error))?)
        }
        scheme => {
            let message = format!("expected s3, gs, az, http, https or hf, got {scheme}");
            return Err(wrong(message));
        }
    };
    Ok((store, path))
}

/// Checks that an endpoint is an address: the client does not check it, and panics later.
fn must_be_an_endpoint(endpoint: Option<String>, variable: &str) -> Result<(), RemoteError> {
    let Some(endpoint) = endpoint else {
        return Ok(());
    };
    match Url::parse(&endpoint) {
        Ok(url) => must_be_allowed(&url).map_err(refused),
        // Not displayed: it may hold a password.
        Err(error) => Err(RemoteError::new(
            RemoteErrorKind::Address,
            format!("expected an address in {variable}, got none: {error}"),
        )),
    }
}

fn refused(refused: super::hosts::Refused) -> RemoteError {
    RemoteError::new(RemoteErrorKind::Refused, refused.to_string())
}
