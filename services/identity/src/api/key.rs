//! The keys that tokens are signed with.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quartet_chassis::auth::PublicKey;
use quartet_proto::identity::v1::key_service_server::KeyService;
use quartet_proto::identity::v1::*;
use tonic::{Request, Response, Status};

use super::administrator;
use crate::keys::Keys;
use crate::security::{self, Event, Outcome};

/// The rpcs of keys.
pub struct KeyApi {
    pub keys: Keys,
}

#[tonic::async_trait]
impl KeyService for KeyApi {
    async fn get_jwks(&self, _: Request<GetJwksRequest>) -> Result<Response<GetJwksResponse>, Status> {
        let keys = self.keys.public().await?.into_iter().map(jwk).collect();
        Ok(Response::new(GetJwksResponse { keys }))
    }

    async fn rotate_keys(&self, request: Request<RotateKeysRequest>) -> Result<Response<RotateKeysResponse>, Status> {
        let doer = administrator(&request)?;
        let kid = self.keys.rotate(request.into_inner().withdraw_now, Some(&doer)).await?;
        security::note_act(Event::KeysRotated, Outcome::Done, security::OPERATOR, None, &doer.client);
        Ok(Response::new(RotateKeysResponse { kid }))
    }
}

fn jwk(key: PublicKey) -> Jwk {
    Jwk {
        kid: key.kid,
        kty: "OKP".to_owned(),
        crv: "Ed25519".to_owned(),
        alg: "EdDSA".to_owned(),
        r#use: "sig".to_owned(),
        x: URL_SAFE_NO_PAD.encode(key.x),
    }
}
