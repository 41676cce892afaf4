//! The floor: a proxy of the same HTTP library that does nothing but forward. No session, no check, no record, no field changed.

use http_body_util::BodyExt;
use hyper::{Request, Uri, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tokio::net::TcpListener;

/// Listens on `port` and forwards to `application`, for ever.
pub(crate) fn serve(port: u16, application: u16) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build::<_, Incoming>(connector);
        while let Ok((connection, _)) = listener.accept().await {
            let _ = connection.set_nodelay(true);
            let client = client.clone();
            let forward = service_fn(move |mut request: Request<Incoming>| {
                let client = client.clone();
                async move {
                    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
                    *request.uri_mut() =
                        format!("http://127.0.0.1:{application}{path}").parse::<Uri>().unwrap();
                    let answer = client.request(request).await;
                    answer.map(|answer| answer.map(BodyExt::boxed))
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(connection), forward));
        }
    });
}
