//! The end of an exchange as HTTP: the connection becomes a tunnel of another protocol.

use super::Exchange;
use crate::{answer::Answer, inbound::Inbound, tunnel::Tunnel, upload::Progress, upstream::Lease};
use bytes::Bytes;
use http::{Method, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::upgrade::OnUpgrade;
use std::sync::Arc;

impl Exchange<'_> {
    /// The application switched protocols: believed only if it was asked to, has the whole request and understood it.
    pub(super) fn switch(
        &self,
        response: Response<Inbound>,
        lease: Lease,
        progress: &Progress,
        client_upgrade: Option<OnUpgrade>,
    ) -> Answer {
        let believed = self.switch.as_ref().filter(|switch| {
            progress.read_whole() && switch.is_accepted_by(response.status(), response.headers())
        });
        let (Some(switch), Some(client_upgrade), Some(client_gate)) =
            (believed, client_upgrade, self.peer.outlet.connection())
        else {
            return self.bad_upgrade();
        };
        let Some(guarded) = self.guarded(switch.channel()) else { return self.bad_upgrade() };
        let Some((upstream_gate, place)) = lease.hand_over() else { return self.too_slow(&Method::GET) };
        let (mut head, body) = response.into_parts();
        let upstream_upgrade = hyper::upgrade::on(Response::from_parts(head.clone(), body));
        self.prepare_answer(&mut head, Some(&switch.protocol()));
        let client_gate = Arc::clone(client_gate);
        client_gate.hold(guarded.clone());
        upstream_gate.hold(guarded.clone());
        let seat = Arc::clone(&self.peer.seat);
        let framed = switch.is_websocket();
        let (activity, turn) = (self.frames, self.gateway.drain.turn());
        let afterwards = self.gateway.afterwards.clone();
        let tunnel =
            Tunnel { guarded, framed, activity, client_gate, upstream_gate, turn, afterwards, seat, place };
        tokio::spawn(async move {
            if let Ok((client, upstream)) = tokio::try_join!(client_upgrade, upstream_upgrade) {
                tunnel.run(client, upstream).await;
            }
        });
        let empty = http_body_util::Empty::<Bytes>::new().map_err(|never| match never {});
        Response::from_parts(head, empty.boxed_unsync())
    }

    fn bad_upgrade(&self) -> Answer {
        let detail = "The application switched protocols without having understood the request.".to_owned();
        self.obstacle(StatusCode::BAD_GATEWAY, "bad-upgrade", detail)
    }
}
