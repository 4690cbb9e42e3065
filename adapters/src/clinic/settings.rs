//! What can be set of organisations, and of what the server says of itself.

use std::net::SocketAddr;

use fhir_app::{Error, ModuleSetting, ModuleSettings, Result, SettingKind};

pub(super) const MANUFACTURER: &str = "clinic.manufacturer";
pub(super) const MANUFACTURER_ADDRESS: &str = "clinic.manufacturer_address";
pub(super) const UDI_DI: &str = "clinic.udi_di";
pub(super) const UDI_PI: &str = "clinic.udi_pi";
pub(super) const MDR_CLASS: &str = "clinic.mdr_class";
const DNS_SERVER: &str = "clinic.dns_server";

pub(super) const SETTINGS: &[ModuleSetting] = &[
    ModuleSetting::new(
        MANUFACTURER,
        SettingKind::Text,
        "",
        "Who made this server available as a medical device, as `/v1/public/system-info` says it. Unset: nobody is named.",
    ),
    ModuleSetting::new(
        MANUFACTURER_ADDRESS,
        SettingKind::Text,
        "",
        "The manufacturer's postal address, as the label has it.",
    ),
    ModuleSetting::new(
        UDI_DI,
        SettingKind::Text,
        "",
        "The device identifier of the Unique Device Identification.",
    ),
    ModuleSetting::new(
        UDI_PI,
        SettingKind::Text,
        "",
        "The production identifier of the Unique Device Identification.",
    ),
    ModuleSetting::new(
        MDR_CLASS,
        SettingKind::Text,
        "",
        "The class of the device by Regulation (EU) 2017/745: `IIa`.",
    ),
    ModuleSetting::new(
        DNS_SERVER,
        SettingKind::Text,
        "",
        "Address and port of the resolver that is asked for records of organisations' domains: `192.0.2.53:53`. Unset: the system's.",
    ),
];

/// The resolver that is asked; `None`: the system's.
///
/// # Errors
///
/// When it is no address with a port.
pub(super) fn dns_server(settings: &ModuleSettings) -> Result<Option<SocketAddr>> {
    let Some(text) = settings.text(DNS_SERVER) else { return Ok(None) };
    let wrong =
        |_| Error::internal(format!("`{DNS_SERVER}` is an address with a port, such as 192.0.2.53:53"));
    text.parse().map(Some).map_err(wrong)
}
