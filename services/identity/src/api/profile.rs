//! `ProfileService`.

use quartet_chassis::caller::Caller;
use quartet_chassis::clock::timestamp;
use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_proto::identity::v1::profile_service_server::ProfileService;
use quartet_proto::identity::v1::*;
use tonic::{Request, Response, Status};

use super::directory::is_open_to;
use crate::config::Audience;
use crate::error::Error;
use crate::store::Store;
use crate::store::profile::{ProfileChange, ProfileRow};
use crate::{profile, role};

/// What its owner may change of a profile.
const OWNERS: [&str; 5] = ["first_name", "last_name", "gender", "date_of_birth", "info"];

/// The rpcs of profiles.
pub struct ProfileApi {
    pub store: Store,
    /// Who may see others.
    pub open_to: Audience,
}

#[tonic::async_trait]
impl ProfileService for ProfileApi {
    async fn get_profile(&self, request: Request<GetProfileRequest>) -> Result<Response<GetProfileResponse>, Status> {
        let caller = Caller::of(&request)?;
        // Ids are opaque: what is none names nobody.
        let id = match request.into_inner().account_id.as_str() {
            "" => caller.account_id,
            id => id.parse().map_err(|_| Error::AccountNotFound)?,
        };
        let row = self.store.profile(id).await.map_err(Error::from)?.ok_or(Error::AccountNotFound)?;
        let profile = if id == caller.account_id || caller.roles.iter().any(|role| role == role::ADMIN) {
            whole(row)
        } else if row.listed && is_open_to(self.open_to, &caller) {
            public(row)
        } else {
            return Err(Error::AccountNotFound.into());
        };
        Ok(Response::new(GetProfileResponse { profile: Some(profile) }))
    }

    async fn update_profile(
        &self,
        request: Request<UpdateProfileRequest>,
    ) -> Result<Response<UpdateProfileResponse>, Status> {
        let caller = Caller::of(&request)?;
        let change = self.parse(request.into_inner(), caller.account_id)?;
        let row = self.store.change_profile(caller.account_id, &change).await.map_err(Error::from)?;
        let profile = whole(row.ok_or(Error::AccountNotFound)?);
        Ok(Response::new(UpdateProfileResponse { profile: Some(profile) }))
    }

    async fn set_avatar(&self, request: Request<SetAvatarRequest>) -> Result<Response<SetAvatarResponse>, Status> {
        use set_avatar_request::Avatar;
        let caller = Caller::of(&request)?;
        let mut fields = Fields::default();
        let (url, media_id) = match request.into_inner().avatar {
            Some(Avatar::Url(url)) => (fields.take("url", profile::avatar_url(&url).map(str::to_owned)), None),
            Some(Avatar::MediaId(id)) => (None, fields.take("media_id", id.parse::<Id>()).map(|id| id.to_string())),
            None => (None, None),
        };
        fields.finish()?;

        let (avatar_url, avatar_media_id) = (Some(url.unwrap_or_default()), Some(media_id.unwrap_or_default()));
        let change = ProfileChange { avatar_url, avatar_media_id, ..Default::default() };
        let row = self.store.change_profile(caller.account_id, &change).await.map_err(Error::from)?;
        let profile = whole(row.ok_or(Error::AccountNotFound)?);
        Ok(Response::new(SetAvatarResponse { profile: Some(profile) }))
    }
}

impl ProfileApi {
    /// Reads what is to be changed. A field that is not its owner's to set is refused, whether the mask names it or not (S-33).
    fn parse(&self, request: UpdateProfileRequest, owner: Id) -> Result<ProfileChange, Error> {
        let mut fields = Fields::default();
        let paths = request.update_mask.unwrap_or_default().paths;
        if paths.is_empty() {
            fields.refuse("update_mask", "must not be empty");
        }
        if paths.iter().any(|path| path != "*" && !OWNERS.contains(&path.as_str())) {
            fields.refuse("update_mask", format!("must name only `{}` or `*`", OWNERS.join("`, `")));
        }
        let given = request.profile.unwrap_or_default();
        refuse_servers(&given, owner, &mut fields);

        let named = |name: &str| paths.iter().any(|path| path == "*" || path == name);
        let today = self.store.now().date();
        let mut take = |name: &str, parsed: fn(&str) -> Result<String, String>, text: &str| {
            named(name).then(|| fields.take(&format!("profile.{name}"), parsed(text))).flatten()
        };
        let first_name = take("first_name", profile::name, &given.first_name);
        let last_name = take("last_name", profile::name, &given.last_name);
        let info = take("info", profile::info, &given.info);
        let gender = named("gender").then(|| fields.take("profile.gender", profile::gender(given.gender))).flatten();
        let birth = || profile::date_of_birth(&given.date_of_birth, today);
        let date_of_birth = named("date_of_birth").then(|| fields.take("profile.date_of_birth", birth())).flatten();
        fields.finish()?;
        Ok(ProfileChange { first_name, last_name, gender, date_of_birth, info, ..Default::default() })
    }
}

/// Notes what a request sets that is not its owner's to set.
fn refuse_servers(given: &Profile, owner: Id, fields: &mut Fields) {
    if !given.account_id.is_empty() && given.account_id != owner.to_string() {
        fields.refuse("profile.account_id", "must be empty or your own");
    }
    let by_set_avatar =
        [("profile.avatar_url", &given.avatar_url), ("profile.avatar_media_id", &given.avatar_media_id)];
    for (field, _) in by_set_avatar.into_iter().filter(|(_, value)| !value.is_empty()) {
        fields.refuse(field, "is changed by `SetAvatar`: must be empty");
    }
    if given.update_time.is_some() {
        fields.refuse("profile.update_time", "is the server's: must be empty");
    }
}

/// All of it, for its owner and administrators.
fn whole(row: ProfileRow) -> Profile {
    Profile {
        gender: profile::gender_of(&row.gender).into(),
        date_of_birth: row.date_of_birth.clone(),
        update_time: Some(timestamp(row.update_time)),
        ..public(row)
    }
}

/// What everybody may see who may see somebody.
fn public(row: ProfileRow) -> Profile {
    Profile {
        account_id: row.account_id.to_string(),
        first_name: row.first_name,
        last_name: row.last_name,
        info: row.info,
        avatar_url: row.avatar_url,
        avatar_media_id: row.avatar_media_id,
        ..Default::default()
    }
}
