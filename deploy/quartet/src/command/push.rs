//! `quartet push test`: a push to a device of one's own, hop by hop.

use anyhow::bail;
use quartet_proto::messaging::v1::device_service_client::DeviceServiceClient;
use quartet_proto::messaging::v1::{Device, ListDevicesRequest, PushKind, TestPushRequest};

use super::media::as_account;
use super::media::session::Session;
use super::say;
use crate::reach::failed;
use crate::settings::Options;

pub async fn test(options: &Options, device: Option<String>) -> anyhow::Result<()> {
    as_account(options, async |session| match device {
        Some(device) => try_device(session, device).await,
        None => list(session).await,
    })
    .await
}

async fn try_device(session: &mut Session, device_id: String) -> anyhow::Result<()> {
    let asked = TestPushRequest { device_id };
    let answer = session.call(asked, async |channel, asked| DeviceServiceClient::new(channel).test_push(asked).await);
    let steps = answer.await.map_err(failed)?.steps;
    for step in &steps {
        let mark = if step.ok { "ok" } else { "FAILED" };
        say(format_args!("{:<8} {mark:<6} {}", step.name, step.detail));
    }
    match steps.last() {
        Some(last) if last.ok => Ok(()),
        _ => bail!("the push has not reached its service"),
    }
}

async fn list(session: &mut Session) -> anyhow::Result<()> {
    let call = async |channel, asked| DeviceServiceClient::new(channel).list_devices(asked).await;
    let devices = session.call(ListDevicesRequest {}, call).await.map_err(failed)?.devices;
    for device in &devices {
        say(line(device));
    }
    match devices.is_empty() {
        true => bail!("the account has no devices: a program registers one with `DeviceService.RegisterDevice`"),
        false => Ok(()),
    }
}

fn line(device: &Device) -> String {
    let kind = if device.kind() == PushKind::Fcm { "Firebase" } else { "Web Push" };
    let reached = if device.push_time.is_some() { "" } else { ", never reached" };
    format!("{} {} ({kind}{reached})", device.device_id, device.name)
}
