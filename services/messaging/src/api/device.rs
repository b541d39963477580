//! `DeviceService`.

use quartet_chassis::caller::Caller;
use quartet_chassis::clock::timestamp;
use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_chassis::line;
use quartet_proto::messaging::v1::device_service_server::DeviceService;
use quartet_proto::messaging::v1::register_device_request::Target as Given;
use quartet_proto::messaging::v1::*;
use tonic::{Request, Response, Status};

use super::ask;
use crate::error::Error;
use crate::push::note::{Note, Subscription, Target};
use crate::push::{Outcome, Push, SECRET, Step, Steps, is_key};
use crate::rates::Rates;
use crate::store::Store;
use crate::store::device::{DeviceRow, NewDevice};

/// The longest name of a device, and the longest token of Firebase, in characters.
const NAME: usize = 100;
const TOKEN: usize = 4096;
const FCM: &str = "FCM";
const WEB: &str = "WEB";

/// The rpcs of devices.
pub struct DeviceApi {
    pub store: Store,
    pub push: Push,
    pub rates: Rates,
}

#[tonic::async_trait]
impl DeviceService for DeviceApi {
    async fn register_device(
        &self,
        request: Request<RegisterDeviceRequest>,
    ) -> Result<Response<RegisterDeviceResponse>, Status> {
        let caller = Caller::of(&request)?;
        // The device would be the session's, and hear for longer than the token is good.
        ask::whole(&caller)?;
        let RegisterDeviceRequest { name, target } = request.into_inner();
        let mut fields = Fields::default();
        let name = fields.take("name", line::name(&name, NAME));
        let target = self.target(target, &mut fields);
        let (Some(name), Some(target)) = (name, target) else { return Err(Error::from(fields).into()) };
        let new = self.new_device(name, &target)?;
        self.rates.set(caller.account_id).await?;
        let row = self.store.register_device(caller.account_id, caller.session_id, &new).await?;
        Ok(Response::new(RegisterDeviceResponse { device: Some(view(row, caller.session_id)) }))
    }

    async fn unregister_device(
        &self,
        request: Request<UnregisterDeviceRequest>,
    ) -> Result<Response<UnregisterDeviceResponse>, Status> {
        let caller = Caller::of(&request)?;
        ask::whole(&caller)?;
        // What is no id is no device's.
        if let Ok(id) = request.into_inner().device_id.parse() {
            self.rates.set(caller.account_id).await?;
            self.store.unregister_device(caller.account_id, id).await?;
        }
        Ok(Response::new(UnregisterDeviceResponse {}))
    }

    async fn list_devices(
        &self,
        request: Request<ListDevicesRequest>,
    ) -> Result<Response<ListDevicesResponse>, Status> {
        let caller = Caller::of(&request)?;
        let rows = self.store.devices(caller.account_id).await.map_err(Error::from)?;
        let devices = rows.into_iter().map(|row| view(row, caller.session_id)).collect();
        Ok(Response::new(ListDevicesResponse { devices }))
    }

    async fn get_push_config(
        &self,
        _: Request<GetPushConfigRequest>,
    ) -> Result<Response<GetPushConfigResponse>, Status> {
        let web_push_public_key = self.push.public_key().unwrap_or_default().to_vec();
        Ok(Response::new(GetPushConfigResponse { fcm: self.push.has_fcm(), web_push_public_key }))
    }

    async fn test_push(&self, request: Request<TestPushRequest>) -> Result<Response<TestPushResponse>, Status> {
        let caller = Caller::of(&request)?;
        let TestPushRequest { device_id } = request.into_inner();
        self.rates.test_push(caller.account_id).await?;
        let steps = self.try_device(caller.account_id, device_id).await?;
        Ok(Response::new(TestPushResponse { steps: steps.0.into_iter().map(PushStep::from).collect() }))
    }
}

impl DeviceApi {
    fn new_device(&self, name: String, target: &Target) -> Result<NewDevice, Error> {
        let (kind, is_on) = match target {
            Target::Fcm(_) => (FCM, self.push.has_fcm()),
            Target::Web(_) => (WEB, self.push.public_key().is_some()),
        };
        if !is_on {
            return Err(Error::PushNotConfigured);
        }
        let target_tag = self.push.tag(target);
        let target = self.push.seal(&target_tag, target)?;
        Ok(NewDevice { name, kind, target, target_tag })
    }

    async fn try_device(&self, account: Id, device_id: String) -> Result<Steps, Error> {
        let row = match device_id.parse() {
            Ok(id) => self.store.device(account, id).await?,
            Err(_) => None,
        };
        let row = row.ok_or(Error::DeviceNotFound(device_id))?;
        let target = self.push.open(&row.target_tag, &row.target)?;
        let mut steps = Steps::default();
        match self.push.send(&target, &Note::trial(), &mut steps).await {
            Outcome::Sent => self.store.note_pushed(row.id).await?,
            Outcome::Gone => self.store.drop_device(&row).await?,
            Outcome::Refused(_) | Outcome::Misconfigured(_) | Outcome::Later(..) | Outcome::TooMany(..) => {}
        }
        Ok(steps)
    }

    fn target(&self, given: Option<Given>, fields: &mut Fields) -> Option<Target> {
        match given {
            None => {
                fields.refuse("target", "must have an `fcm_token` or a `web_push`");
                None
            }
            Some(Given::FcmToken(token)) => fields.take("fcm_token", fcm_token(token)).map(Target::Fcm),
            Some(Given::WebPush(WebPushSubscription { endpoint, p256dh, auth })) => {
                let endpoint = fields.take("web_push.endpoint", self.push.rules().endpoint(&endpoint));
                if !is_key(&p256dh) {
                    fields.refuse("web_push.p256dh", "must be a public key of 65 bytes, as the browser gives it");
                }
                if auth.len() != SECRET {
                    fields.refuse("web_push.auth", "must have 16 bytes");
                }
                let endpoint = endpoint.filter(|_| fields.is_empty())?.to_string();
                Some(Target::Web(Subscription { endpoint, p256dh, auth }))
            }
        }
    }
}

fn fcm_token(token: String) -> Result<String, &'static str> {
    let is_one = (1..=TOKEN).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
    if is_one { Ok(token) } else { Err("must have 1 to 4,096 characters of ASCII, without blanks") }
}

fn view(row: DeviceRow, session: Id) -> Device {
    let kind = if row.kind == FCM { PushKind::Fcm } else { PushKind::Web };
    Device {
        device_id: row.id.to_string(),
        name: row.name,
        kind: kind.into(),
        create_time: Some(timestamp(row.create_time)),
        push_time: row.push_time.map(timestamp),
        current: row.session_id == session,
    }
}

impl From<Step> for PushStep {
    fn from(step: Step) -> PushStep {
        PushStep { name: step.name.to_owned(), ok: step.is_ok, detail: step.detail }
    }
}
