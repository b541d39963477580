//! What was begun in a bucket under a key and not finished. A process may end between the beginning of an upload and the row that would
//! have its name, so the bucket itself is asked.

use std::sync::Arc;

use anyhow::Context as _;
use http::{Method, Request};
use object_store::ClientOptions;
use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::{HttpClient, HttpConnector as _, HttpRequestBody, ReqwestConnector};

use super::ObjectError;

/// A bucket's unfinished uploads.
#[derive(Clone)]
pub(super) struct Uploads {
    client: HttpClient,
    bucket: String,
    region: String,
    credential: Arc<AwsCredential>,
}

impl Uploads {
    /// `bucket` is where it answers.
    pub fn new(
        options: &ClientOptions,
        bucket: String,
        region: String,
        credential: Arc<AwsCredential>,
    ) -> anyhow::Result<Uploads> {
        let client = ReqwestConnector::default().connect(options).ok().context("can't make an HTTP client")?;
        Ok(Uploads { client, bucket, region, credential })
    }

    /// The ids of the uploads under this key. A store that can't list them has none that we could name; one that
    /// does not let us may have some, and later it may.
    pub async fn of(&self, key: &str) -> Result<Vec<String>, ObjectError> {
        let broken = |_| ObjectError::Unavailable("the list of uploads does not come".into());
        let uri = format!("{}?prefix={}&uploads=", self.bucket, key.replace('/', "%2F"));
        let mut request = Request::builder()
            .method(Method::GET)
            .uri(uri)
            .body(HttpRequestBody::empty())
            .map_err(|_| ObjectError::Unavailable("the bucket's address is none".into()))?;
        AwsAuthorizer::new(&self.credential, "s3", &self.region)
            .try_authorize(&mut request, None)
            .map_err(|_| ObjectError::Unavailable("the request can't be signed".into()))?;
        let response = self.client.execute(request).await.map_err(broken)?;
        if !can_list(response.status().as_u16())? {
            return Ok(Vec::new());
        }
        let body = response.into_body().bytes().await.map_err(broken)?;
        Ok(listed(&String::from_utf8_lossy(&body), key))
    }
}

/// Whether the answer is a list; false where the store knows none.
fn can_list(status: u16) -> Result<bool, ObjectError> {
    match status {
        200..300 => Ok(true),
        404 | 405 | 501 => Ok(false),
        status => Err(ObjectError::Unavailable(format!("the list of uploads is answered with {status}").into())),
    }
}

/// The ids in a `ListMultipartUploadsResult`. The key and the ids have no character that XML would write otherwise.
fn listed(body: &str, key: &str) -> Vec<String> {
    let uploads = body.split("<Upload>").skip(1);
    let of_key = uploads.filter(|upload| between(upload, "<Key>", "</Key>") == Some(key));
    of_key.filter_map(|upload| between(upload, "<UploadId>", "</UploadId>").map(str::to_owned)).collect()
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> Option<&'a str> {
    text.split_once(begin)?.1.split_once(end).map(|(found, _)| found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f16_a_list_that_is_refused_is_no_empty_one() {
        assert_eq!((can_list(200), can_list(501)), (Ok(true), Ok(false)));
        for status in [301, 400, 403, 429, 500, 503] {
            assert!(matches!(can_list(status), Err(ObjectError::Unavailable(_))), "{status}");
        }
    }

    #[test]
    fn f16_only_the_uploads_of_the_key_itself_are_taken() {
        let body = "<ListMultipartUploadsResult><Prefix>a</Prefix><Upload><Key>a</Key><UploadId>1</UploadId></Upload>\
                    <Upload><Key>ab</Key><UploadId>2</UploadId></Upload><Upload><UploadId>3</UploadId><Key>a</Key></Upload>\
                    </ListMultipartUploadsResult>";
        assert_eq!(listed(body, "a"), ["1", "3"]);
        assert!(listed("torn <Upload><Key>a</Key>", "a").is_empty());
    }
}
