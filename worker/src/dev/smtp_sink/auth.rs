//! The AUTH command (RFC 4954): PLAIN and LOGIN against the one configured pair of user name and password.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    SmtpStep,
    line::{Line, read_line},
    session::{Ending, LONGEST_COMMAND, Session},
};

/// User name and password as the client gave them.
type Credentials = (String, String);

impl Session {
    pub(super) async fn auth(&mut self, argument: &str) -> Result<(), Ending> {
        if self.fault_at(SmtpStep::Auth).await? {
            return Ok(());
        }
        let Some(expected) = self.shared.options.credentials.clone() else {
            return self.reply("502 5.5.1 no authentication here").await;
        };
        if self.authenticated || self.from.is_some() {
            return self.reply("503 5.5.1 too late to authenticate").await;
        }
        let (mechanism, initial) = argument.split_once(' ').unwrap_or((argument, ""));
        let given = match mechanism.to_ascii_uppercase().as_str() {
            "PLAIN" => self.plain(initial).await?,
            "LOGIN" => self.login(initial).await?,
            _ => return self.reply("504 5.5.4 PLAIN or LOGIN").await,
        };
        self.authenticated = given.as_ref() == Some(&expected);
        match given {
            Some(_) if self.authenticated => self.reply("235 2.7.0 welcome").await,
            Some(_) => self.reply("535 5.7.8 wrong user name or password").await,
            None => self.reply("501 5.5.2 cancelled, or not base64").await,
        }
    }

    /// RFC 4616: authorization identity, user name and password, separated by NUL.
    async fn plain(&mut self, initial: &str) -> Result<Option<Credentials>, Ending> {
        let Some(message) = self.auth_answer(initial, "334 ").await? else { return Ok(None) };
        let mut parts = message.split('\0').skip(1).map(str::to_owned);
        Ok(parts.next().zip(parts.next()))
    }

    /// The two questions are `Username:` and `Password:` in base64.
    async fn login(&mut self, initial: &str) -> Result<Option<Credentials>, Ending> {
        let Some(user) = self.auth_answer(initial, "334 VXNlcm5hbWU6").await? else { return Ok(None) };
        let password = self.auth_answer("", "334 UGFzc3dvcmQ6").await?;
        Ok(password.map(|password| (user, password)))
    }

    /// The client's answer, decoded: what it sent along with the command, or else what it says when asked.
    async fn auth_answer(&mut self, initial: &str, question: &str) -> Result<Option<String>, Ending> {
        let mut answer = initial.as_bytes().to_vec();
        if answer.is_empty() {
            self.reply(question).await?;
            match read_line(&mut self.stream, LONGEST_COMMAND).await? {
                Line::Proper(line) => answer = line,
                Line::BareLineFeed(_) | Line::TooLong => return Ok(None),
                Line::Closed => return Err(Ending::Closed),
            }
        }
        Ok(STANDARD.decode(answer).ok().and_then(|decoded| String::from_utf8(decoded).ok()))
    }
}
