//! One received mail: envelope and content.

/// A mail that the server has accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The envelope sender; empty for a bounce (`MAIL FROM:<>`).
    pub from: String,
    /// The envelope recipients that were accepted, in order.
    pub to: Vec<String>,
    /// The message as sent, header and body, with CRLF line ends and without the dots added for transport.
    pub data: Vec<u8>,
}

impl Mail {
    /// The value of the first header field of this name, unfolded (RFC 5322 section 2.2.3) but not decoded.
    pub fn header(&self, name: &str) -> Option<String> {
        let (head, _) = self.parts();
        let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", "\t");
        unfolded.split("\r\n").find_map(|field| {
            let (field_name, value) = field.split_once(':')?;
            field_name.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }

    /// Everything behind the header, not decoded; bytes that are not UTF-8 are replaced.
    pub fn body(&self) -> String {
        self.parts().1
    }

    fn parts(&self) -> (String, String) {
        let text = String::from_utf8_lossy(&self.data);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        (head.to_owned(), body.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(data: &str) -> Mail {
        Mail { from: String::new(), to: Vec::new(), data: data.into() }
    }

    #[test]
    fn a_folded_header_is_read_as_one_line_whatever_the_case_of_its_name() {
        let mail = mail("Subject: a long\r\n subject\r\nTo: b@c\r\n\r\nSubject: not this\r\n");

        assert_eq!(mail.header("subject").as_deref(), Some("a long subject"));
        assert_eq!(mail.header("To").as_deref(), Some("b@c"));
        assert_eq!(mail.header("Cc"), None);
        assert_eq!(mail.body(), "Subject: not this\r\n");
    }

    #[test]
    fn a_mail_without_a_body_still_has_its_headers() {
        assert_eq!(mail("Subject: x\r\n").header("Subject").as_deref(), Some("x"));
    }
}
