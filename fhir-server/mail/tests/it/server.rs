//! A mail server with a script: what it answers to which command.

use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Answers by the beginning of a command; everything else is taken. `""` stands for the greeting, `.` for the message's end.
pub(crate) type Script = &'static [(&'static str, &'static str)];

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    task: JoinHandle<Vec<String>>,
}

impl Server {
    /// Takes one connection.
    pub(crate) async fn start(script: Script) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { serve(listener.accept().await.unwrap().0, script).await });
        Server { address, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// All lines that it was sent.
    pub(crate) async fn lines(self) -> Vec<String> {
        self.task.await.unwrap()
    }
}

async fn serve(stream: TcpStream, script: Script) -> Vec<String> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader).lines();
    let answer = |command: &str, usual: &str| {
        let scripted = script.iter().find(|(begin, _)| match *begin {
            "" => command.is_empty(),
            begin => command.starts_with(begin),
        });
        scripted.map_or(usual, |(_, answer)| answer).to_owned() + "\r\n"
    };
    let (mut lines, mut in_data) = (Vec::new(), false);
    let _ = writer.write_all(answer("", "220 test ESMTP").as_bytes()).await;
    while let Ok(Some(line)) = reader.next_line().await {
        lines.push(line.clone());
        let reply = match line.as_str() {
            "." => {
                in_data = false;
                answer(".", "250 2.0.0 queued")
            }
            _ if in_data => continue,
            line if line.starts_with("EHLO") => answer(line, "250-test\r\n250-8BITMIME\r\n250 AUTH PLAIN"),
            line if line.starts_with("AUTH") => answer(line, "235 2.7.0 welcome"),
            "DATA" => {
                let reply = answer("DATA", "354 go ahead");
                in_data = reply.starts_with('3');
                reply
            }
            "QUIT" => break,
            line => answer(line, "250 2.1.0 ok"),
        };
        if writer.write_all(reply.as_bytes()).await.is_err() {
            break;
        }
    }
    lines
}
