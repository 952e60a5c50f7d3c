//! `send_push`: one notification for one browser.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::media::check_url;
#[cfg(feature = "schema")]
use super::webhook::MAX_URL;
use crate::payload::{Invalid, Payload, SecretFields};

/// Longest notification as JSON, in bytes: encrypted it is the 4,096 bytes that every push service takes (RFC 8030
/// section 7.2, less 86 of header, 16 of the tag and 1 of the end mark of RFC 8188).
const MAX_CONTENT: usize = 3_993;
/// Longest time that push services keep a notification: four weeks, in seconds.
const MAX_TTL: u32 = 2_419_200;
/// How long a push service keeps a notification unless the job says otherwise: a day, in seconds.
const DEFAULT_TTL: u32 = 86_400;
/// Longest topic, RFC 8030 section 5.4.
const MAX_TOPIC: usize = 32;

/// Sends one notification by Web Push. A browser's subscription can be given as it came (`JSON.stringify(subscription)`).
///
/// ```
/// use flota_producer::{Payload, PushKeys, PushSubscription, SendPush};
///
/// let subscription = PushSubscription {
///     endpoint: "https://updates.push.services.mozilla.com/wpush/v2/abc".into(),
///     expiration_time: None,
///     keys: PushKeys {
///         p256dh: "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4".into(),
///         auth: "BTBZMqHH6r4Tts7J_aSIgg".into(),
///     },
/// };
/// assert!(SendPush::new(subscription, "Order 42", "It is on its way.").validate().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SendPush {
    /// Which browser.
    pub subscription: PushSubscription,
    /// First line of the notification.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub title: String,
    /// The text below it.
    pub body: String,
    /// Page that a click opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Picture beside the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
    /// Anything else that the page's service worker understands.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub data: Value,
    /// How long the notification is worth delivering, in seconds from enqueueing; a day unless given.
    #[serde(default = "default_ttl", skip_serializing_if = "is_default_ttl")]
    #[cfg_attr(feature = "schema", schemars(range(max = MAX_TTL)))]
    pub ttl: u32,
    /// How soon a sleeping device is woken.
    #[serde(default, skip_serializing_if = "PushUrgency::is_normal")]
    pub urgency: PushUrgency,
    /// A later notification with the same topic replaces this one while it waits at the push service. Each job has a
    /// topic of its own unless given, so that a repeat replaces what it repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_TOPIC)))]
    pub topic: Option<String>,
}

/// What a browser answers when a user allows notifications.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PushSubscription {
    /// Where its push service takes notifications.
    #[cfg_attr(feature = "schema", schemars(length(max = MAX_URL)))]
    pub endpoint: String,
    /// When the subscription ends; browsers write it, and nothing here needs it.
    #[serde(default, rename = "expirationTime", skip_serializing_if = "Option::is_none")]
    pub expiration_time: Option<f64>,
    /// For whom notifications are encrypted.
    pub keys: PushKeys,
}

/// Keys of one subscription, base64url.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PushKeys {
    /// The browser's public key: a point on P-256, 65 bytes.
    pub p256dh: String,
    /// The secret shared with it: 16 bytes.
    pub auth: String,
}

/// How soon a sleeping device is woken, RFC 8030 section 5.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum PushUrgency {
    /// On power and Wi-Fi.
    VeryLow,
    /// On power or Wi-Fi.
    Low,
    /// On neither.
    #[default]
    Normal,
    /// Even when the battery is low.
    High,
}

impl PushUrgency {
    /// The word of the header.
    pub fn word(self) -> &'static str {
        match self {
            Self::VeryLow => "very-low",
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }

    fn is_normal(&self) -> bool {
        *self == Self::Normal
    }
}

fn default_ttl() -> u32 {
    DEFAULT_TTL
}

fn is_default_ttl(ttl: &u32) -> bool {
    *ttl == DEFAULT_TTL
}

impl SendPush {
    /// A title and a text for one browser.
    pub fn new(subscription: PushSubscription, title: impl Into<String>, body: impl Into<String>) -> Self {
        Self {
            subscription,
            title: title.into(),
            body: body.into(),
            url: None,
            icon: None,
            data: Value::Null,
            ttl: DEFAULT_TTL,
            urgency: PushUrgency::Normal,
            topic: None,
        }
    }

    /// What the page's service worker is given: JSON with `title`, `body`, `url`, `icon` and `data`.
    pub fn content(&self) -> Vec<u8> {
        let mut content = serde_json::json!({ "title": self.title, "body": self.body });
        for (name, value) in [("url", &self.url), ("icon", &self.icon)] {
            if let Some(value) = value {
                content[name] = value.as_str().into();
            }
        }
        if !self.data.is_null() {
            content["data"] = self.data.clone();
        }
        content.to_string().into_bytes()
    }
}

impl Payload for SendPush {
    const KIND: &'static str = "send_push";
    const QUEUE: &'static str = "notification";
    const SECRET: SecretFields = SecretFields {
        payload: &["subscription.endpoint", "subscription.keys", "title", "body", "url", "data"],
        result: &[],
    };

    #[cfg(feature = "schema")]
    fn schema() -> Option<serde_json::Value> {
        Some(crate::payload::schema_of::<Self>())
    }

    fn validate(&self) -> Result<(), Invalid> {
        let PushSubscription { endpoint, keys, .. } = &self.subscription;
        check_url("subscription.endpoint", endpoint)?;
        let is_base64url = |text: &str| {
            text.trim_end_matches('=')
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        // 65 bytes are 87 characters, 16 bytes are 22.
        let length = |text: &str| text.trim_end_matches('=').len();
        let point = is_base64url(&keys.p256dh) && length(&keys.p256dh) == 87;
        Invalid::unless(point, "subscription.keys.p256dh", "must be 65 bytes in base64url")?;
        let auth = is_base64url(&keys.auth) && length(&keys.auth) == 22;
        Invalid::unless(auth, "subscription.keys.auth", "must be 16 bytes in base64url")?;
        Invalid::unless(!self.title.is_empty(), "title", "must not be empty")?;
        let fits = self.content().len() <= MAX_CONTENT;
        Invalid::unless(fits, "body", "makes the notification longer than 3,993 bytes")?;
        Invalid::unless(self.ttl <= MAX_TTL, "ttl", "must be at most 2419200 seconds, four weeks")?;
        let topic = self.topic.as_deref().is_none_or(|topic| {
            (1..=MAX_TOPIC).contains(&topic.len()) && !topic.contains('=') && is_base64url(topic)
        });
        Invalid::unless(topic, "topic", "must be 1 to 32 letters, digits, `-` or `_`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push() -> SendPush {
        let subscription = serde_json::from_str(
            r#"{"endpoint":"https://push.example.com/abc","expirationTime":null,"keys":{
                "p256dh":"BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
                "auth":"BTBZMqHH6r4Tts7J_aSIgg"}}"#,
        );
        SendPush::new(subscription.unwrap(), "Order 42", "It is on its way.")
    }

    #[test]
    fn a_subscription_is_taken_as_browsers_write_it() {
        assert_eq!(push().validate(), Ok(()));
    }

    #[test]
    fn what_no_push_service_takes_is_refused_by_field() {
        type Change = fn(&mut SendPush);
        let cases: [(Change, &str); 7] = [
            (|push| push.subscription.endpoint = "ftp://x".into(), "subscription.endpoint"),
            (|push| push.subscription.keys.p256dh = "BCVx".into(), "subscription.keys.p256dh"),
            (|push| push.subscription.keys.auth = "BTBZMqHH6r4Tts7J/aSIgg".into(), "subscription.keys.auth"),
            (|push| push.title.clear(), "title"),
            (|push| push.body = "x".repeat(4_000), "body"),
            (|push| push.ttl = MAX_TTL + 1, "ttl"),
            (|push| push.topic = Some("order 42".into()), "topic"),
        ];

        for (change, field) in cases {
            let mut push = push();
            change(&mut push);
            assert_eq!(push.validate().unwrap_err().field, field);
        }
    }
}
