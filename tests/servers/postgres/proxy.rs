//! A way to the server that can fail at the worst moment: around a commit.
//!
//! It understands nothing of the protocol but that a commit is a message with that word in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tempfile::TempDir;
use tests_servers::postgres::SOCKET;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

/// When the way fails next.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failing {
    /// Not at all.
    Never = 0,
    /// The next commit does not reach the server.
    BeforeCommit = 1,
    /// The next commit reaches the server, and its answer does not come back.
    AfterCommit = 2,
}

/// Carries connections until dropped.
pub(crate) struct Proxy {
    folder: TempDir,
    failing: Arc<AtomicU8>,
    carrying: JoinHandle<()>,
}

impl Proxy {
    pub(crate) fn to(server: PathBuf) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join(SOCKET)).expect("a socket");
        let failing = Arc::new(AtomicU8::new(Failing::Never as u8));
        let armed = failing.clone();
        let carrying = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, armed) = (server.clone(), armed.clone());
                tokio::spawn(async move { carry(client, &server, &armed).await });
            }
        });
        Self {
            folder,
            failing,
            carrying,
        }
    }

    pub(crate) fn address(&self, database: &str) -> String {
        format!(
            "host={} user=postgres dbname={database}",
            self.folder.path().display()
        )
    }

    /// Fails once.
    pub(crate) fn fail(&self, when: Failing) {
        self.failing.store(when as u8, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.carrying.abort();
    }
}

async fn carry(mut client: UnixStream, server: &Path, failing: &AtomicU8) {
    let Ok(mut server) = UnixStream::connect(server).await else {
        return;
    };
    let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            count = client.read(&mut asked) => {
                let Ok(count @ 1..) = count else { return };
                let message = &asked[..count];
                let is_commit = message.windows(6).any(|word| word == b"COMMIT");
                let when = if is_commit { failing.swap(Failing::Never as u8, Ordering::SeqCst) } else { 0 };
                if when == Failing::BeforeCommit as u8 || server.write_all(message).await.is_err() {
                    return;
                }
                if when == Failing::AfterCommit as u8 {
                    // The answer says that it is committed. Nobody else will hear it.
                    let _ = server.read(&mut answered).await;
                    return;
                }
            }
            count = server.read(&mut answered) => {
                let Ok(count @ 1..) = count else { return };
                if client.write_all(&answered[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}
