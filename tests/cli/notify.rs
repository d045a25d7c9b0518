//! What a supervisor is told (`sd_notify`).

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Stdio;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::process::PATIENCE;
use crate::rig::backroom;

async fn told(socket: UnixDatagram, name: &str) {
    socket.set_nonblocking(true).unwrap();
    let socket = tokio::net::UnixDatagram::from_std(socket).unwrap();
    let hear = async || {
        let mut bytes = [0; 4096];
        let size = tokio::time::timeout(PATIENCE, socket.recv(&mut bytes)).await.expect("it tells").unwrap();
        String::from_utf8(bytes[..size].to_vec()).unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    let serve = ["serve", "--set", "server.bind=127.0.0.1:0", "--set", "server.address_file=address.txt"];
    let mut command = backroom(folder.path(), "", &serve);
    let mut child = command.env("NOTIFY_SOCKET", name).stderr(Stdio::null()).spawn().unwrap();
    let ready = hear().await;
    let address = std::fs::read_to_string(folder.path().join("address.txt")).unwrap();
    let address = address.trim();
    assert_eq!(ready, format!("READY=1\nSTATUS=listening on http://{address}\n"));
    // It is: whoever was told can connect.
    let probe = backroom(folder.path(), &format!("http://{address}"), &["health"]).status().await.unwrap();
    assert!(probe.success());
    let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap());
    nix::sys::signal::kill(pid, Signal::SIGTERM).unwrap();
    assert_eq!(hear().await, "STOPPING=1\nSTATUS=draining\n");
    let status = tokio::time::timeout(PATIENCE, child.wait()).await.expect("it ends").unwrap();
    assert_eq!(status.code(), Some(0));
    // Nothing else was told.
    assert!(socket.try_recv(&mut [0; 64]).is_err());
}

#[tokio::test]
async fn the_supervisor_is_told_when_it_listens_and_when_it_drains() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    told(UnixDatagram::bind(&path).unwrap(), path.to_str().unwrap()).await;
}

#[tokio::test]
async fn the_socket_may_be_abstract() {
    let name = format!("backroom-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    told(UnixDatagram::bind_addr(&address).unwrap(), &format!("@{name}")).await;
}

#[tokio::test]
async fn a_socket_that_is_not_there_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let serve = ["serve", "--set", "server.bind=127.0.0.1:0", "--set", "server.address_file=address.txt"];
    let mut command = backroom(folder.path(), "", &serve);
    let mut child =
        command.env("NOTIFY_SOCKET", "/nonexistent/socket").stderr(Stdio::piped()).spawn().unwrap();
    let mut log = tokio::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("the supervisor could not be told") {
        line.clear();
        let reading = tokio::io::AsyncBufReadExt::read_line(&mut log, &mut line);
        assert!(tokio::time::timeout(PATIENCE, reading).await.expect("it logs").unwrap() > 0, "it has ended");
    }
    let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap());
    nix::sys::signal::kill(pid, Signal::SIGTERM).unwrap();
    let output = tokio::time::timeout(PATIENCE, child.wait()).await.expect("it ends").unwrap();
    assert_eq!(output.code(), Some(0));
}
