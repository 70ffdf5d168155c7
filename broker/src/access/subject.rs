//! Who a client is once it is let in: what conditions and placeholders of the access rules are read against.
//!
//! Not here: how that was proven (`password`, `token`, `hook`), and the rules themselves (`acl`).

use std::fmt;

use rivulet_core::input::Identity;

/// Most values that an attribute may have. More count as unusable, so that no certificate multiplies the rules.
pub const VALUES_MAX: usize = 16;

/// A client as the rules see it. Everything but the client identifier is proven.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Subject {
    /// Name of the listener through which it came.
    pub listener: String,
    /// What it calls itself; `None` where the broker is to assign a name.
    pub client_id: Option<String>,
    /// The user name that a password, a token or the hook has proven. A name that was merely sent is not here.
    pub username: Option<String>,
    /// What its certificate says.
    pub identity: Option<Identity>,
}

/// Something that a rule can ask about a client.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Attribute {
    /// The client identifier.
    ClientId,
    /// The proven user name.
    Username,
    /// Common name of the certificate's subject.
    CommonName,
    /// URIs among the certificate's alternative names.
    SanUri,
    /// DNS names among the certificate's alternative names.
    SanDns,
    /// Serial number of the certificate.
    Serial,
    /// Organizational unit of the certificate's subject.
    OrganizationalUnit,
}

impl Attribute {
    /// All of them, in the order in which the manual lists them.
    pub const ALL: [Self; 7] = [
        Self::ClientId,
        Self::Username,
        Self::CommonName,
        Self::SanUri,
        Self::SanDns,
        Self::Serial,
        Self::OrganizationalUnit,
    ];

    /// How it is written in a placeholder.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClientId => "client_id",
            Self::Username => "username",
            Self::CommonName => "cert.cn",
            Self::SanUri => "cert.san.uri",
            Self::SanDns => "cert.san.dns",
            Self::Serial => "cert.serial",
            Self::OrganizationalUnit => "cert.ou",
        }
    }

    /// The attribute of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|attribute| attribute.name() == name)
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Subject {
    /// Every value that the client has for an attribute; none if it has not proven one.
    pub fn values(&self, attribute: Attribute) -> Vec<&str> {
        let certificate = self.identity.as_ref();
        match attribute {
            Attribute::ClientId => self.client_id.as_deref().into_iter().collect(),
            Attribute::Username => self.username.as_deref().into_iter().collect(),
            Attribute::CommonName => certificate.and_then(|c| c.common_name.as_deref()).into_iter().collect(),
            Attribute::SanUri => certificate.map(|c| all(&c.san_uri)).unwrap_or_default(),
            Attribute::SanDns => certificate.map(|c| all(&c.san_dns)).unwrap_or_default(),
            Attribute::Serial => certificate.and_then(|c| c.serial.as_deref()).into_iter().collect(),
            Attribute::OrganizationalUnit => {
                certificate.and_then(|c| c.organizational_unit.as_deref()).into_iter().collect()
            }
        }
    }
}

fn all(values: &[String]) -> Vec<&str> {
    values.iter().map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attribute_is_found_by_its_own_name() {
        for attribute in Attribute::ALL {
            assert_eq!(Attribute::parse(attribute.name()), Some(attribute));
        }
        assert_eq!(Attribute::parse("cert"), None);
    }

    #[test]
    fn a_client_without_a_certificate_has_no_value_for_what_a_certificate_says() {
        let subject = Subject { client_id: Some("meter-1".into()), ..Subject::default() };
        let has_value: Vec<_> =
            Attribute::ALL.into_iter().filter(|a| !subject.values(*a).is_empty()).collect();
        assert_eq!(has_value, [Attribute::ClientId]);
    }
}
