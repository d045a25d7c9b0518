//! Addresses: read strictly, and masked wherever they could reach a log.

use lettre::Address;
use lettre::message::Mailbox;

/// How long the name beside an address may be, in characters.
const MAX_NAME_CHARS: usize = 255;

/// Reads one address: `ada@example.com`, `Ada <ada@example.com>` or `"Lovelace, Ada" <ada@example.com>`.
///
/// A quoted local part (`"a b"@example.com`) is refused: nobody has one, and many a server stumbles over what it can hold.
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

const NAME_TOO_LONG: &str = "must have a name of at most 255 characters";

fn parse_address(text: &str) -> Result<Address, &'static str> {
    let (user, domain) = text.rsplit_once('@').ok_or(NOT_AN_ADDRESS)?;
    if user.contains([' ', '<', '>', '"', ',', '@', '\\']) {
        return Err(NOT_AN_ADDRESS);
    }
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
    if name.chars().count() > MAX_NAME_CHARS {
        return Err(NAME_TOO_LONG);
    }
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

/// `text` with every one of `addresses` masked, in capitals or not: servers like to repeat them in their replies.
pub(super) fn mask_in<'a>(text: &str, addresses: impl IntoIterator<Item = &'a Address>) -> String {
    let mut addresses: Vec<&str> = addresses.into_iter().map(AsRef::as_ref).collect();
    // The longest first: a shorter one can be a part of it.
    addresses.sort_by_key(|address| std::cmp::Reverse(address.len()));
    addresses.into_iter().fold(text.to_owned(), |text, address| replace(&text, address, &mask(address)))
}

/// Like [`str::replace`], whatever the case of ASCII letters.
fn replace(text: &str, from: &str, to: &str) -> String {
    // These have the same lengths, and the same borders of characters.
    let (lower, from) = (text.to_ascii_lowercase(), from.to_ascii_lowercase());
    let mut replaced = String::with_capacity(text.len());
    let mut end = 0;
    for (start, found) in lower.match_indices(&from) {
        replaced.push_str(&text[end..start]);
        replaced.push_str(to);
        end = start + found.len();
    }
    replaced.push_str(&text[end..]);
    replaced
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
            ("Ada Lovelace <ada@example.com>", Some("Ada Lovelace"), "ada@example.com"),
            ("\"Lovelace, Ada \\\"A\\\"\" <ada@example.com>", Some("Lovelace, Ada \"A\""), "ada@example.com"),
            ("Ädä <ada+tag@example.com>", Some("Ädä"), "ada+tag@example.com"),
            ("ada@bücher.example", None, "ada@xn--bcher-kva.example"),
            ("ada@localhost", None, "ada@localhost"),
            ("ada@[127.0.0.1]", None, "ada@[127.0.0.1]"),
        ] {
            let mailbox = parse_mailbox(text).unwrap_or_else(|e| panic!("{text:?}: {e}"));
            assert_eq!((mailbox.name.as_deref(), mailbox.email.as_ref()), (name, address), "{text:?}");
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
            // RFC 5321 §4.1.2 lets a quoted local part hold what ends the path for many a server.
            "\"x> NOTIFY=NEVER <y@z\"@example.com",
            "Ada <\"x> NOTIFY=NEVER <y@z\"@example.com>",
            "\"a b\"@example.com",
            "\"ada\"@example.com",
            "\"a,b\"@example.com",
            "\"a@b\"@example.com",
            "\"a\\b\"@example.com",
        ] {
            let error = parse_mailbox(text).err().unwrap_or_else(|| panic!("{text:?} was accepted"));
            assert!(!error.contains("eve"));
        }
    }

    #[test]
    fn a_name_has_a_largest_length() {
        let named = |chars: usize| parse_mailbox(&format!("{} <ada@example.com>", "ä".repeat(chars)));
        assert!(named(255).is_ok());
        assert_eq!(named(256).unwrap_err(), "must have a name of at most 255 characters");
    }

    #[test]
    fn every_spelling_of_an_address_is_masked() {
        let all: Vec<Address> = ["a@b.example", "Ada.a@b.example", "a@b.example.com"]
            .map(|address| address.parse().unwrap())
            .to_vec();
        for (text, masked) in [
            ("<ADA.A@B.EXAMPLE> unknown", "<A***@b.example> unknown"),
            ("a@b.example.com, a@B.example", "a***@b.example.com, a***@b.example"),
            ("ä A@B.Example", "ä a***@b.example"),
        ] {
            assert_eq!(mask_in(text, &all), masked);
        }
    }

    #[test]
    fn masks_hide_the_person() {
        assert_eq!(mask("ada@example.com"), "a***@example.com");
        assert_eq!(mask("ö@example.com"), "ö***@example.com");
        assert_eq!(mask("nonsense"), "n***@");
        assert_eq!(mask(""), "***@");
        let ada: Address = "ada@example.com".parse().unwrap();
        assert_eq!(mask_in("5.1.1 <ada@example.com> unknown", [&ada]), "5.1.1 <a***@example.com> unknown");
    }
}
