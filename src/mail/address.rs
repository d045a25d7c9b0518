//! Addresses: read strictly, and masked wherever they could reach a log.

use lettre::Address;
use lettre::message::Mailbox;

/// Reads one address: `ada@example.com`, `Ada <ada@example.com>` or `"Lovelace, Ada" <ada@example.com>`.
///
/// The domain is turned into its ASCII form (`bücher.example` is `xn--bcher-kva.example`), so that every server can
/// take it.
///
/// # Errors
///
/// What is wrong, without the address.
pub fn parse_mailbox(text: &str) -> Result<Mailbox, &'static str> {
    if text.chars().any(char::is_control) {
        return Err("must not contain control characters");
    }
    let text = text.trim();
    let Some(rest) = text.strip_suffix('>') else {
        return Ok(Mailbox::new(None, parse_address(text)?));
    };
    let (name, address) = rest.rsplit_once('<').ok_or(NOT_AN_ADDRESS)?;
    let address = parse_address(address.trim())?;
    Ok(Mailbox::new(parse_name(name.trim())?, address))
}

const NOT_AN_ADDRESS: &str = "must be one address, such as ada@example.com or Ada <ada@example.com>";

fn parse_address(text: &str) -> Result<Address, &'static str> {
    let (user, domain) = text.rsplit_once('@').ok_or(NOT_AN_ADDRESS)?;
    let domain = match url::Host::parse(domain) {
        Ok(url::Host::Domain(ascii)) if !domain.is_ascii() => ascii,
        _ => domain.to_owned(),
    };
    Address::new(user, domain).map_err(|_| NOT_AN_ADDRESS)
}

fn parse_name(text: &str) -> Result<Option<String>, &'static str> {
    let name = match text.strip_prefix('"') {
        Some(rest) => unquote(rest.strip_suffix('"').ok_or(NOT_AN_ADDRESS)?)?,
        // RFC 5322 §3.2.3: these need quotes. Left alone, `a@x.example, Bob <b@x.example>` would lose its first half.
        None if text.contains(['"', '<', '>', '@', ',', ';', ':', '\\']) => return Err(NOT_AN_ADDRESS),
        None => text.to_owned(),
    };
    Ok(Some(name.trim().to_owned()).filter(|name| !name.is_empty()))
}

/// The text inside a quoted string (RFC 5322 §3.2.4).
fn unquote(text: &str) -> Result<String, &'static str> {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => plain.push(chars.next().ok_or(NOT_AN_ADDRESS)?),
            '"' => return Err(NOT_AN_ADDRESS),
            c => plain.push(c),
        }
    }
    Ok(plain)
}

/// Hides who an address belongs to: `ada@example.com` is `a***@example.com`. For everything that goes to a log.
pub fn mask(address: &str) -> String {
    let (user, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    let first: String = user.chars().take(1).filter(|c| !c.is_control()).collect();
    let domain: String = domain.chars().filter(|c| !c.is_control()).collect();
    format!("{first}***@{domain}")
}

/// `text` with every one of `addresses` masked: servers like to repeat them in their replies.
pub(super) fn mask_in<'a>(text: &str, addresses: impl IntoIterator<Item = &'a Address>) -> String {
    addresses.into_iter().fold(text.to_owned(), |text, address| {
        let address: &str = address.as_ref();
        text.replace(address, &mask(address))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_read_in_every_spelling() {
        for (text, name, address) in [
            ("ada@example.com", None, "ada@example.com"),
            ("  ada@example.com ", None, "ada@example.com"),
            ("<ada@example.com>", None, "ada@example.com"),
            (
                "Ada Lovelace <ada@example.com>",
                Some("Ada Lovelace"),
                "ada@example.com",
            ),
            (
                "\"Lovelace, Ada \\\"A\\\"\" <ada@example.com>",
                Some("Lovelace, Ada \"A\""),
                "ada@example.com",
            ),
            ("Ädä <ada+tag@example.com>", Some("Ädä"), "ada+tag@example.com"),
            ("ada@bücher.example", None, "ada@xn--bcher-kva.example"),
            ("ada@localhost", None, "ada@localhost"),
            ("ada@[127.0.0.1]", None, "ada@[127.0.0.1]"),
        ] {
            let mailbox = parse_mailbox(text).unwrap_or_else(|e| panic!("{text:?}: {e}"));
            assert_eq!(
                (mailbox.name.as_deref(), mailbox.email.as_ref()),
                (name, address),
                "{text:?}"
            );
        }
    }

    #[test]
    fn what_is_not_one_address_is_refused() {
        for text in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "a b@example.com",
            "ada@exa mple.com",
            "ada@example.com, bob@example.com",
            "ada@example.com, Bob <bob@example.com>",
            "Ada <ada@example.com> <bob@example.com>",
            "Ada <ada@example.com",
            "\"Ada <ada@example.com>",
            "\"A\"\" <ada@example.com>",
            "ada@example.com\r\nBcc: eve@example.com",
            "Ada\nBcc: eve@example.com <ada@example.com>",
            "ada@example.com\0",
        ] {
            let error = parse_mailbox(text)
                .err()
                .unwrap_or_else(|| panic!("{text:?} was accepted"));
            assert!(!error.contains("eve"));
        }
    }

    #[test]
    fn masks_hide_the_person() {
        assert_eq!(mask("ada@example.com"), "a***@example.com");
        assert_eq!(mask("ö@example.com"), "ö***@example.com");
        assert_eq!(mask("nonsense"), "n***@");
        assert_eq!(mask(""), "***@");
        let ada: Address = "ada@example.com".parse().unwrap();
        assert_eq!(
            mask_in("5.1.1 <ada@example.com> unknown", [&ada]),
            "5.1.1 <a***@example.com> unknown"
        );
    }
}
