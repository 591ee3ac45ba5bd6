//! Redis servers of the tests' own, on sockets of their own, which end with whoever started them.

use crate::harness::{Done, Running, have, shared_memory, until};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// Databases of the server that tests share; each sandbox has one for itself.
const DATABASES: u32 = 10_000;

/// A server.
pub(crate) struct Server {
    directory: TempDir,
    options: Vec<String>,
    running: Option<Child>,
}

impl Server {
    /// Starts a server with these options, separated by blanks, that listens on a socket only. `None`: there is none.
    pub(crate) fn start(options: &str) -> Option<Self> {
        if !have("redis-server") {
            return None;
        }
        let options = options.split_whitespace().map(str::to_owned).collect();
        let mut server = Server { directory: shared_memory(), options, running: None };
        server.start_again();
        Some(server)
    }

    /// Starts it again after [`Server::kill`], on the data that it has saved.
    pub(crate) fn start_again(&mut self) {
        let directory = self.directory.path().to_str().expect("a temporary directory has a plain name");
        // In memory, where nobody waits for a disk: a server that is killed loses nothing there that it has saved.
        // The server ends when we do, however we end: then there is nothing more to read for the shell. Nobody else removes
        // the directory of the one that all share.
        let script = "redis-server \"$@\" < /dev/null > log 2>&1 & server=$!; echo $server > pid; \
            read -r _; is_over=$?; kill -KILL $server 2> /dev/null; [ $is_over = 0 ] || rm -r \"$PWD\"";
        let mut command = Command::new("sh");
        command
            .args(["-c", script, "sh", "--port", "0", "--unixsocket", "socket", "--save", "", "--dir", directory])
            .args(&self.options)
            .current_dir(directory)
            .stdin(Stdio::piped());
        self.running = Some(command.spawn().expect("sh starts"));
        until("the server answers", || self.answers());
    }

    /// Kills it as if the power had failed.
    pub(crate) fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            // A line says that its directory is still needed. A shell that is gone does nothing to it.
            let _ = running.stdin.take().map(|mut stdin| stdin.write_all(b"\n"));
            running.wait().expect("the shell can be waited for");
            until("the server is gone", || !self.answers());
        }
    }

    /// Ends it in good order: what it has not saved yet it saves.
    pub(crate) fn stop(&mut self) {
        self.signal("TERM");
        until("the server has ended", || !self.answers());
        self.kill();
    }

    /// Whether it answers, be it that it wants a password first.
    fn answers(&self) -> bool {
        ["PONG", "NOAUTH"].iter().any(|answer| self.ask("ping").contains(answer))
    }

    /// Sends the server itself the signal with that name.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = std::fs::read_to_string(self.directory.path().join("pid")).expect("the shell wrote it");
        let sent = Command::new("kill").args([&format!("-{signal}"), pid.trim()]).status();
        assert!(sent.expect("kill starts").success());
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    /// Has it listen on a port of this machine, too, and says which.
    pub(crate) fn listen(&self) -> u16 {
        // One that nobody has; until the server has it, somebody else may, which is then an error.
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = port.expect("there is a free port").port();
        assert!(self.ask(&format!("config set port {port}")).contains("OK"));
        port
    }

    /// The URL of a database.
    pub(crate) fn url(&self, database: u32) -> String {
        format!("redis+unix://{}/{database}", self.socket().display())
    }

    /// What the server answers to the words of a command.
    pub(crate) fn ask(&self, words: &str) -> String {
        ask(&self.socket(), words)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn ask(socket: &Path, words: &str) -> String {
    let done = cli(Command::new("redis-cli").arg("-s").arg(socket).args(words.split_whitespace()));
    String::from_utf8_lossy(&done.out).into_owned() + &done.err
}

/// What the server answers to the words of a command for the database with this URL.
pub(crate) fn ask_database(url: &str, words: &str) -> String {
    let (socket, database) = socket_and_database(url);
    ask(socket, &format!("-n {database} {words}"))
}

/// All keys of a queue and what they hold, as the server saves it.
pub(crate) fn contents(url: &str, queue: &str) -> Vec<u8> {
    let (socket, database) = socket_and_database(url);
    let script = "local all = redis.call('KEYS', '{ipcq:' .. ARGV[1] .. '}:*') table.sort(all)
        for i, key in ipairs(all) do all[i] = key .. redis.call('DUMP', key) end return all";
    let mut command = Command::new("redis-cli");
    command.arg("-s").arg(socket).args(["-n", database, "--raw", "eval", script, "0", queue]);
    let done = cli(&mut command);
    assert!(done.code == 0 && done.out.len() > 1, "{done:?}");
    done.out
}

/// What the URL of a database of ours is made of.
fn socket_and_database(url: &str) -> (&Path, &str) {
    let parts = url.strip_prefix("redis+unix://").and_then(|rest| rest.rsplit_once('/'));
    parts.map(|(socket, database)| (Path::new(socket), database)).expect("it is ours")
}

fn cli(command: &mut Command) -> Done {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    Running::from(child.expect("redis-cli starts")).end()
}

/// The URL of a database, on a server that all tests share, that nobody else has. `None`: there is no server.
pub(crate) fn new_database() -> Option<String> {
    static SHARED: OnceLock<Option<Server>> = OnceLock::new();
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let server = SHARED.get_or_init(|| Server::start(&format!("--databases {DATABASES}"))).as_ref()?;
    let database = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(database < DATABASES, "every sandbox has a database");
    Some(server.url(database))
}
