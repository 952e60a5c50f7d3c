//! `s3s-fs` with what it lacks for us: marked credentials, an answer for buckets that are not there (it would make them),
//! and rules for how long files are kept.
//!
//! The rules are remembered and shown, and nobody carries them out: a sandbox does not last for days.

use std::{
    path::{Path, PathBuf},
    sync::Mutex,
};

use async_trait::async_trait;
use s3s::{
    S3, S3Request, S3Response, S3Result,
    auth::{S3Auth, SecretKey},
    dto::{
        AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
        CompleteMultipartUploadOutput, CreateMultipartUploadInput, CreateMultipartUploadOutput,
        DeleteBucketLifecycleInput, DeleteBucketLifecycleOutput, DeleteObjectInput, DeleteObjectOutput,
        GetBucketLifecycleConfigurationInput, GetBucketLifecycleConfigurationOutput, GetObjectInput,
        GetObjectOutput, HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput,
        LifecycleRules, ListObjectsV2Input, ListObjectsV2Output, ListPartsInput, ListPartsOutput,
        PutBucketLifecycleConfigurationInput, PutBucketLifecycleConfigurationOutput, PutObjectInput,
        PutObjectOutput, UploadPartInput, UploadPartOutput,
    },
    s3_error,
    service::{S3Service, S3ServiceBuilder},
};
use s3s_fs::FileSystem;

use crate::sandbox::{
    credential::{STORAGE_SECRET, is_accepted},
    house::lock,
};

/// A bucket in a directory, and its rules.
struct Bucket {
    files: FileSystem,
    directory: PathBuf,
    rules: Mutex<Option<LifecycleRules>>,
}

/// Every marked access key is known, so that tenants can have one each; they have one secret.
struct MarkedKeys;

/// The service over a directory that is there.
pub(super) fn service(directory: &Path) -> Result<S3Service, String> {
    let files = FileSystem::new(directory).map_err(|error| format!("{error:?}"))?;
    let bucket = Bucket { files, directory: directory.to_owned(), rules: Mutex::default() };
    let mut builder = S3ServiceBuilder::new(bucket);
    builder.set_auth(MarkedKeys);
    Ok(builder.build())
}

#[async_trait]
impl S3Auth for MarkedKeys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        if is_accepted(access_key) {
            return Ok(STORAGE_SECRET.into());
        }
        Err(s3_error!(
            InvalidAccessKeyId,
            "The AWS Access Key Id you provided does not exist in our records."
        ))
    }
}

impl Bucket {
    fn check(&self, bucket: &str) -> S3Result<()> {
        if self.directory.join(bucket).is_dir() {
            return Ok(());
        }
        Err(s3_error!(NoSuchBucket, "The specified bucket does not exist"))
    }
}

/// Hands a request on to `s3s-fs`.
macro_rules! handed_on {
    ($($name:ident($input:ty) -> $output:ty;)*) => {
        #[async_trait]
        impl S3 for Bucket {
            $(async fn $name(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                self.check(&request.input.bucket)?;
                self.files.$name(request).await
            })*

            async fn get_bucket_lifecycle_configuration(
                &self,
                _: S3Request<GetBucketLifecycleConfigurationInput>,
            ) -> S3Result<S3Response<GetBucketLifecycleConfigurationOutput>> {
                let Some(rules) = lock(&self.rules).clone() else {
                    return Err(s3_error!(
                        NoSuchLifecycleConfiguration,
                        "The lifecycle configuration does not exist"
                    ));
                };
                let output = GetBucketLifecycleConfigurationOutput { rules: Some(rules), ..Default::default() };
                Ok(S3Response::new(output))
            }

            async fn put_bucket_lifecycle_configuration(
                &self,
                request: S3Request<PutBucketLifecycleConfigurationInput>,
            ) -> S3Result<S3Response<PutBucketLifecycleConfigurationOutput>> {
                let rules = request.input.lifecycle_configuration.map(|configuration| configuration.rules);
                *lock(&self.rules) = rules;
                Ok(S3Response::new(PutBucketLifecycleConfigurationOutput::default()))
            }

            async fn delete_bucket_lifecycle(
                &self,
                _: S3Request<DeleteBucketLifecycleInput>,
            ) -> S3Result<S3Response<DeleteBucketLifecycleOutput>> {
                *lock(&self.rules) = None;
                Ok(S3Response::new(DeleteBucketLifecycleOutput::default()))
            }
        }
    };
}

handed_on! {
    put_object(PutObjectInput) -> PutObjectOutput;
    get_object(GetObjectInput) -> GetObjectOutput;
    head_object(HeadObjectInput) -> HeadObjectOutput;
    delete_object(DeleteObjectInput) -> DeleteObjectOutput;
    head_bucket(HeadBucketInput) -> HeadBucketOutput;
    list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output;
    list_parts(ListPartsInput) -> ListPartsOutput;
    create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput;
    upload_part(UploadPartInput) -> UploadPartOutput;
    complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput;
    abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput;
}
