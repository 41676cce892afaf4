//! Who listens where on this machine, as the kernel tells it in `/proc/net/tcp` and `/proc/net/tcp6` (proc_pid_net(5)).

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// A socket that takes connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listening {
    /// Where it takes them.
    pub(super) at: SocketAddr,
    inode: u64,
}

/// What listens, in the network namespace of this process.
pub(super) fn listening() -> io::Result<Vec<Listening>> {
    let mut all = read(&fs::read_to_string("/proc/net/tcp")?);
    // Not there on a machine without IPv6.
    all.extend(read(&fs::read_to_string("/proc/net/tcp6").unwrap_or_default()));
    Ok(all)
}

fn read(table: &str) -> Vec<Listening> {
    table.lines().skip(1).filter_map(line).collect()
}

fn line(line: &str) -> Option<Listening> {
    const LISTEN: &str = "0A";
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (local, state, inode) = (fields.get(1)?, *fields.get(3)?, fields.get(9)?);
    if state != LISTEN {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    // The kernel writes words of 32 bits as numbers of its own byte order.
    let word = |at: usize| {
        let digits = address.get(at * 8..at * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let ip = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        _ => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
        }
    };
    Some(Listening { at: SocketAddr::new(ip, port), inode: inode.parse().ok()? })
}

impl Listening {
    /// Whether it takes what another socket at `address` would.
    pub(super) fn takes(&self, address: SocketAddr) -> bool {
        let (ip, other) = (self.at.ip(), address.ip().to_canonical());
        // `[::]` takes IPv4 too, unless somebody said otherwise for that socket.
        let meets = |any: IpAddr, one: IpAddr| any.is_unspecified() && (any.is_ipv6() || one.is_ipv4());
        self.at.port() == address.port() && (ip == other || meets(ip, other) || meets(other, ip))
    }

    /// The processes that have it open, as far as this user may see.
    pub(super) fn holders(&self) -> Vec<u32> {
        let link = format!("socket:[{}]", self.inode);
        let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.filter(|pid| {
            let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
            open.into_iter()
                .any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.as_os_str() == link.as_str()))
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn what_listens_is_found_with_its_process() {
        let rows = ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0"];
        for address in rows {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let at = listener.local_addr().unwrap();
            let found = listening().unwrap().into_iter().find(|each| each.at == at);
            assert_eq!(found.unwrap().holders(), [std::process::id()], "{at}");
        }
    }

    #[test]
    fn which_sockets_are_in_each_others_way() {
        let rows = [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "0.0.0.0:80", true),
            ("[::]:80", "127.0.0.1:80", true),
            ("0.0.0.0:80", "[::1]:80", false),
            ("[::1]:80", "127.0.0.1:80", false),
        ];
        for (one, other, takes) in rows {
            let one = Listening { at: one.parse().unwrap(), inode: 0 };
            assert_eq!(one.takes(other.parse().unwrap()), takes, "{} {other}", one.at);
        }
    }
}
