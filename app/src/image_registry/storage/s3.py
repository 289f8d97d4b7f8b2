"""Amazon S3 and everything that speaks like it, through boto3.

Stores that are not Amazon's understand less: checksums of the newer kinds are sent only where they are required, and
what is written on condition carries a mark, so that an answer that got lost is told from somebody else's object.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from io import BytesIO
from itertools import islice
from typing import Any, BinaryIO

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from urllib3.exceptions import HTTPError

from image_registry import measures
from image_registry.proxies import Proxies
from image_registry.storage.blob_store import OutOfSpace, StorageFault
from image_registry.storage.choice import S3
from image_registry.storage.cloudfront import CloudFront
from image_registry.storage.joining import LARGEST, Part, plan
from image_registry.storage.object_client import Entry, Incoming, ObjectExists, ObjectMissing

CONNECT, READ, ATTEMPTS = 5.0, 60.0, 4
"""Seconds to wait for a connection and for a byte, and tries with growing pauses of random length."""

CONNECTIONS = 64
TOGETHER = 4
"""Parts that are joined at once."""

BATCH = 1000
"""Keys that one request can remove."""

_MISSING = {"404", "NoSuchKey", "NotFound", "NoSuchUpload"}
"""Codes, the status only where there is none: a store may answer 404 because it does not know who asks."""
_EXISTS = {"412", "PreconditionFailed", "409", "ConditionalRequestConflict"}
_FULL = {"507", "QuotaExceeded", "QuotaExceededException", "InsufficientStorage", "XMinioStorageFull"}
_DENIED = {"403", "401", "404", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"}


class S3Client:
    """An :class:`~image_registry.storage.object_client.ObjectClient` for one bucket."""

    listing_lags = False

    def __init__(self, settings: S3) -> None:
        self._bucket = settings.bucket
        self._prefix = f"{settings.rootdirectory.strip('/')}/".lstrip("/")
        self._place = str(settings)
        self._conditions = True
        self._cloudfront: CloudFront | None = None
        if settings.cloudfrontbaseurl and settings.cloudfrontprivatekey:
            lasting = measures.seconds(settings.cloudfrontduration)
            pair, file = settings.cloudfrontkeypairid, settings.cloudfrontprivatekey
            self._cloudfront = CloudFront(settings.cloudfrontbaseurl, pair, file, lasting)
        self._encryption: dict[str, str] = {}
        if settings.encrypt:
            self._encryption["ServerSideEncryption"] = "aws:kms" if settings.keyid else "AES256"
        if settings.keyid:
            self._encryption["SSEKMSKeyId"] = settings.keyid
        verify: bool | str = str(settings.trustedca) if settings.trustedca else not settings.skipverify
        session = botocore.session.get_session()  # its other client asks for the identity of the Pod
        session.set_default_client_config(Config(proxies=_through(settings.proxies, _amazon("sts", settings.region))))
        self._s3: Any = boto3.session.Session(botocore_session=session).client(
            "s3",
            region_name=settings.region,
            endpoint_url=settings.regionendpoint or None,
            aws_access_key_id=settings.accesskey or None,
            aws_secret_access_key=settings.secretkey or None,
            verify=verify,
            config=Config(
                signature_version="s3v4",
                connect_timeout=CONNECT,
                read_timeout=READ,
                retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                max_pool_connections=CONNECTIONS,
                proxies=_through(settings.proxies, _address(settings)),
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                s3={"addressing_style": "path" if settings.forcepathstyle else "virtual"},
            ),
        )

    def size(self, key: str) -> int | None:
        try:
            with self._faults("look at", key):
                return int(self._s3.head_object(Bucket=self._bucket, Key=self._prefix + key)["ContentLength"])
        except ObjectMissing:
            return None

    def get(self, key: str, start: int = 0) -> Incoming:
        part = {"Range": f"bytes={start}-"} if start else {}
        with self._faults("read", key):
            answer = self._s3.get_object(Bucket=self._bucket, Key=self._prefix + key, **part)
            return _Body(answer["Body"], lambda: self._faults("read", key))

    def put(self, key: str, data: BinaryIO, length: int, *, new: bool = False) -> None:
        mark = uuid.uuid4().hex
        what = {"Bucket": self._bucket, "Key": self._prefix + key, "ContentLength": length, **self._encryption}
        condition: dict[str, Any] = {"IfNoneMatch": "*"} if self._conditions else {}
        if new:
            what |= {**condition, "Metadata": {"writer": mark}}
        try:
            with self._faults("write", key):
                self._s3.put_object(**what, Body=data)
        except _NotImplemented:
            self._conditions = False  # whoever relies on conditions finds out by himself
            data.seek(0)
            self.put(key, data, length, new=new)
        except ObjectExists:
            if self._marked(key) != mark:  # else it is ours, and the answer to the first try got lost
                raise

    def delete(self, keys: Iterable[str]) -> None:
        left = iter(keys)
        while batch := list(islice(left, BATCH)):
            if len(batch) == 1:
                with self._faults("remove", batch[0]), suppress(ObjectMissing):
                    self._s3.delete_object(Bucket=self._bucket, Key=self._prefix + batch[0])
                continue
            with self._faults("remove", batch[0]):
                objects = [{"Key": self._prefix + key} for key in batch]
                answer = self._s3.delete_objects(Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True})
            failed = [error for error in answer.get("Errors", ()) if error.get("Code") not in _MISSING]
            if failed:
                raise StorageFault(f"cannot remove {failed[0].get('Key')} from {self._place}: {failed[0].get('Code')}")

    def entries(self, prefix: str) -> Iterator[Entry]:
        for page in self._pages(prefix):
            for found in page.get("Contents", ()):
                yield Entry(found["Key"][len(self._prefix) :], found["Size"], found["LastModified"])

    def folders(self, prefix: str) -> Iterator[str]:
        for page in self._pages(prefix, Delimiter="/"):
            for found in page.get("CommonPrefixes", ()):
                yield found["Prefix"][len(self._prefix) + len(prefix) :].rstrip("/")

    def join(self, key: str, pieces: Sequence[Entry]) -> None:
        target = {"Bucket": self._bucket, "Key": self._prefix + key}
        if len(pieces) == 1 and pieces[0].size <= LARGEST:
            with self._faults("copy to", key):
                self._s3.copy_object(**target, CopySource=self._source(pieces[0]), **self._encryption)
            return
        with self._faults("join", key):
            target["UploadId"] = self._s3.create_multipart_upload(**target, **self._encryption)["UploadId"]
            try:
                with ThreadPoolExecutor(TOGETHER, thread_name_prefix="join") as pool:
                    numbered = enumerate(plan([piece.size for piece in pieces]), 1)
                    parts = list(pool.map(lambda part: self._part(target, pieces, *part), numbered))
                self._s3.complete_multipart_upload(**target, MultipartUpload={"Parts": parts})
            except BaseException:
                with suppress(ClientError, BotoCoreError):  # what stays is swept
                    self._s3.abort_multipart_upload(**target)
                raise

    def signed(self, key: str, seconds: int) -> str | None:
        if self._cloudfront is not None:
            return self._cloudfront.signed(self._prefix + key)
        with self._faults("sign", key):
            what = {"Bucket": self._bucket, "Key": self._prefix + key}
            return str(self._s3.generate_presigned_url("get_object", Params=what, ExpiresIn=seconds))

    def sweep(self, before: datetime) -> int:
        count = 0
        with self._faults("sweep", self._prefix):
            pages = self._s3.get_paginator("list_multipart_uploads")
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix):
                for found in page.get("Uploads", ()):
                    if found["Initiated"] < before:
                        with suppress(ObjectMissing), self._faults("sweep", found["Key"]):
                            self._s3.abort_multipart_upload(
                                Bucket=self._bucket, Key=found["Key"], UploadId=found["UploadId"]
                            )
                            count += 1
        return count

    # what the methods above share

    def _part(self, target: dict[str, str], pieces: Sequence[Entry], number: int, part: Part) -> dict[str, Any]:
        numbered: dict[str, Any] = {**target, "PartNumber": number}
        section = part.sections[0]
        if part.inside:
            source = self._source(pieces[section.piece])
            extent = {} if section.whole else {"CopySourceRange": f"bytes={section.start}-{section.stop - 1}"}
            answer = self._s3.upload_part_copy(**numbered, CopySource=source, **extent)["CopyPartResult"]
        else:
            answer = self._s3.upload_part(**numbered, Body=self._gathered(pieces, part))
        return {"PartNumber": number, "ETag": answer["ETag"]}

    def _gathered(self, pieces: Sequence[Entry], part: Part) -> bytes:
        """The bytes of sections that are too small to be joined; no more than 5 MiB together."""
        gathered = BytesIO()
        for section in part.sections:
            left = section.size
            with closing(self.get(pieces[section.piece].key, section.start)) as incoming:
                while left and (data := incoming.read(left)):
                    gathered.write(data)
                    left -= len(data)
            if left:
                raise StorageFault(f"{pieces[section.piece].key} ends before its time at {self._place}")
        return gathered.getvalue()

    def _source(self, piece: Entry) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + piece.key}

    def _marked(self, key: str) -> str | None:
        with self._faults("look at", key):
            answer = self._s3.head_object(Bucket=self._bucket, Key=self._prefix + key)
        return dict(answer.get("Metadata", {})).get("writer")

    def _pages(self, prefix: str, **more: str) -> Iterator[dict[str, Any]]:
        pages = self._s3.get_paginator("list_objects_v2")
        with self._faults("list", prefix):
            yield from pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix, **more)

    @contextmanager
    def _faults(self, action: str, key: str) -> Iterator[None]:
        """Say of a failure what could not be done where; never what was sent."""
        try:
            yield
        except ClientError as error:
            raise self._fault(action, key, error) from error
        except NoCredentialsError as error:
            raise StorageFault(
                f"cannot {action} {key} in {self._place}: no credentials; put REGISTRY_STORAGE_S3_ACCESSKEY and "
                "REGISTRY_STORAGE_S3_SECRETKEY into the Secret image-registry-private-configuration-user"
            ) from error
        except (BotoCoreError, HTTPError, OSError) as error:
            raise StorageFault(f"cannot {action} {key} in {self._place}: {error}") from error

    def _fault(self, action: str, key: str, error: ClientError) -> Exception:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
        said = {code, status}
        if code == "NoSuchBucket":
            return StorageFault(f"there is no {self._place}: make the bucket, or correct its name")
        if (code or status) in _MISSING:
            return ObjectMissing(key)
        if said & _EXISTS:
            return ObjectExists(key)
        where = f"cannot {action} {key} in {self._place}: {code or status}"
        if code == "NotImplemented" and self._conditions:
            return _NotImplemented(where)
        if said & _FULL:
            return OutOfSpace(where)
        if said & _DENIED:
            return StorageFault(f"{where}; check the credentials and what they may do with the bucket")
        return StorageFault(where)


class _NotImplemented(StorageFault):
    """The store does not know something of the request."""


class _Body:
    """Bytes that arrive, with failures in our words."""

    def __init__(self, body: Any, faults: Any) -> None:
        self._body = body
        self._faults = faults

    def read(self, size: int, /) -> bytes:
        with self._faults():
            return bytes(self._body.read(size))

    def close(self) -> None:
        self._body.close()


def _amazon(service: str, region: str) -> str:
    """Amazon's own address of a service; regions of China have a domain of theirs."""
    return f"https://{service}.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}"


def _address(settings: S3) -> str:
    """Where the requests for the bucket go."""
    address = settings.regionendpoint or _amazon("s3", settings.region)
    scheme, _, host = address.partition("://")
    return address if settings.forcepathstyle else f"{scheme}://{settings.bucket}.{host}"


def _through(proxies: Proxies, address: str) -> dict[str, str] | None:
    """The proxy for an address, as botocore wants it; ``None`` leaves that to the environment."""
    if not proxies:
        return None
    proxy = proxies.of(address)
    return {} if proxy is None else dict.fromkeys(("http", "https"), proxy.url_with_credentials)
