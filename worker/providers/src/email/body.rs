//! The parts of a message below its header: text, HTML and files, each encoded so that no line of it can mean
//! something to a server.
//!
//! Bodies are normalised to CRLF and then encoded, always: lettre 0.11.23 passes a bare CR or LF on to the wire and
//! stuffs dots after CRLF only (RUSTSEC-2026-0561), so no part may travel as it is. Quoted-printable is preferred because
//! spam filters and people can read it; where its lines could start with a dot or a boundary, base64 takes its place.
//! Files are always base64, and are not composed with the rest: a byte that no header and no encoded body can hold keeps
//! the place of each, until the message is cut there and becomes [`Pieces`].
//!
//! ```text
//! mixed( related( alternative( text, html ), inline files ), other files )      what is not needed is left out
//! ```

use bytes::Bytes;
use lettre::{
    Message,
    message::{
        self, Body, MessageBuilder, MultiPart, SinglePart,
        header::{ContentTransferEncoding, ContentType},
    },
};

use super::{
    attachment::Attachment,
    message::{Email, invalid},
};
use crate::{
    ProviderError,
    content::{Lines, Pieces},
};

/// Keeps the place of a file. Header fields with it are refused, and both encodings write it as something else.
const PLACE: u8 = 0;
/// How a line with one of our boundaries starts. No encoded body of ours has such a line.
const OURS: &[u8] = b"--flota-";
/// Around text and HTML.
const ALTERNATIVE: &str = "flota-alternative";
/// Around HTML and the files that it shows.
const RELATED: &str = "flota-related";
/// Around the message and the files that go along.
const MIXED: &str = "flota-mixed";

/// A part, simple or not.
enum Part {
    Single(SinglePart),
    Multi(MultiPart),
}

/// Adds everything below the header but the content of files; that is for [`with_files`].
pub(super) fn add(builder: MessageBuilder, email: &Email) -> Result<Message, ProviderError> {
    let [inline, attached] = files(email);
    let content = wrapped(text_and_html(email)?, MultiPart::related().boundary(RELATED), &inline)?;
    let content = wrapped(content, MultiPart::mixed().boundary(MIXED), &attached)?;
    let built = match content {
        Part::Single(part) => builder.singlepart(part),
        Part::Multi(parts) => builder.multipart(parts),
    };
    built.map_err(|error| invalid("message", "it could not be composed").with_source(error))
}

/// The message with the content of its files in their places.
pub(super) fn with_files(message: Vec<u8>, email: &Email) -> Result<Pieces, ProviderError> {
    if email.attachments.is_empty() {
        return Ok(message.into());
    }
    let files = files(email).concat();
    let message = Bytes::from(message);
    let places: Vec<usize> =
        message.iter().enumerate().filter_map(|(at, byte)| (*byte == PLACE).then_some(at)).collect();
    if places.len() != files.len() {
        return Err(invalid("message", "it could not be composed"));
    }
    let (mut pieces, mut from) = (Pieces::default(), 0);
    for (place, file) in places.into_iter().zip(files) {
        pieces = pieces
            .then(message.slice(from..place))
            .then(Pieces::from(file.content.clone()).base64(Lines::OfMail));
        from = place + 1;
    }
    Ok(pieces.then(message.slice(from..)))
}

/// Those that the HTML part shows and the others: all of them in the order of their parts.
fn files(email: &Email) -> [Vec<&Attachment>; 2] {
    let (inline, attached) = email.attachments.iter().partition(|file| file.content_id.is_some());
    [inline, attached]
}

fn text_and_html(email: &Email) -> Result<Part, ProviderError> {
    let plain = email.text.as_deref().map(|text| part(text, ContentType::TEXT_PLAIN)).transpose()?;
    let html = email.html.as_deref().map(|html| part(html, ContentType::TEXT_HTML)).transpose()?;
    match (plain, html) {
        // Clients show the last part they can, so the plain one comes first (RFC 2046 5.1.4).
        (Some(plain), Some(html)) => {
            Ok(Part::Multi(MultiPart::alternative().boundary(ALTERNATIVE).singlepart(plain).singlepart(html)))
        }
        (Some(only), None) | (None, Some(only)) => Ok(Part::Single(only)),
        (None, None) => Err(invalid("text", "there is neither text nor HTML; give at least one")),
    }
}

/// `content` with `files` behind it, or alone when there are none.
fn wrapped(
    content: Part,
    around: message::MultiPartBuilder,
    files: &[&Attachment],
) -> Result<Part, ProviderError> {
    if files.is_empty() {
        return Ok(content);
    }
    let mut whole = match content {
        Part::Single(part) => around.singlepart(part),
        Part::Multi(parts) => around.multipart(parts),
    };
    for file in files {
        whole = whole.singlepart(file_part(file)?);
    }
    Ok(Part::Multi(whole))
}

fn file_part(file: &Attachment) -> Result<SinglePart, ProviderError> {
    file.check()?;
    let unknown = || invalid("attachments", "a content type is not of the form `type/subtype`");
    let content_type = ContentType::parse(&file.content_type()).map_err(|_| unknown())?;
    let body = Body::dangerous_pre_encoded(vec![PLACE], ContentTransferEncoding::Base64);
    let part = match &file.content_id {
        Some(id) => message::Attachment::new_inline_with_name(id.clone(), file.name.clone()),
        None => message::Attachment::new(file.name.clone()),
    };
    Ok(part.body(body, content_type))
}

fn part(text: &str, content_type: ContentType) -> Result<SinglePart, ProviderError> {
    Ok(SinglePart::builder().header(content_type).body(encoded(text)?))
}

/// Quoted-printable, or base64 where a line of it would start with a dot or look like one of our boundaries.
fn encoded(text: &str) -> Result<Body, ProviderError> {
    let normalised = crlf(text);
    let encode = |encoding| {
        Body::new_with_encoding(normalised.clone(), encoding)
            .map_err(|_| invalid("text", "it could not be encoded"))
    };
    let readable = encode(ContentTransferEncoding::QuotedPrintable)?;
    let risky = readable
        .as_ref()
        .split(|byte| *byte == b'\n')
        .any(|line| line.starts_with(b".") || line.starts_with(OURS));
    if risky { encode(ContentTransferEncoding::Base64) } else { Ok(readable) }
}

/// Every CR, LF and CRLF becomes CRLF.
fn crlf(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n")
}
