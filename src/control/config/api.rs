//! Where the HTTP API listens over TLS.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::control::config::section::{Notes, Section};
use crate::control::config::{ApiTls, address};

/// Reads `[api]`.
pub(super) fn api(section: &Section<'_>, notes: &mut Notes) -> Option<ApiTls> {
    let listen = section.required("listen", "\"192.0.2.1:8443\"", notes);
    let certificate = section.required("certificate", "\"/etc/mitschnitt/api.crt.pem\"", notes);
    let private_key = section.required("private_key", "\"/etc/mitschnitt/api.key.pem\"", notes);
    let authorities = match section.line_of("authorities", notes) {
        None => Some(None),
        Some(_) => section
            .text("authorities", "\"/etc/mitschnitt/api-clients.pem\"", notes)
            .map(|found| Some(PathBuf::from(found.value))),
    };
    let found = listen?;
    // Nobody is told this address, so it may be all of the machine's.
    let listen = match found.value.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_unspecified() && address.port() != 0 => address,
        Ok(_) | Err(_) => address::socket(section, "listen", &found, notes)?.value,
    };
    let (certificate, private_key) = (certificate?.value.into(), private_key?.value.into());
    Some(ApiTls { listen, certificate, private_key, authorities: authorities?, line: section.line })
}
