# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the fields of Config and ImagePruner.

Made from the chart by charts/derive_schemas.py; do not edit. Private to this collection.
"""

from __future__ import annotations


class ModuleDocFragment:
    """Read by ansible-doc."""

    CONFIG = r"""
options:
  spec:
    description: The registry, C(Config.spec) of the operator. What is not named stays as it is.
    type: dict
    suboptions:
      managementState:
        description: C(Managed) runs the registry; C(Removed) takes the Image API, both Deployments
          and their Services away and keeps every image.
        type: str
        choices:
          - Managed
          - Unmanaged
          - Removed
      replicas:
        description: Pods of the data plane. More than one needs a claim that many nodes can mount
          (ReadWriteMany).
        type: int
      rolloutStrategy:
        description: 'C(RollingUpdate) or C(Recreate); empty: RollingUpdate for a ReadWriteMany
          claim, else Recreate.'
        type: str
        choices:
          - ''
          - RollingUpdate
          - Recreate
      readOnly:
        description: Refuse pushes and deletes; pulls go on. Entered and left within seconds,
          without a restart.
        type: bool
      requests:
        description: Requests over /v2/ that a Pod serves at once; what is too much is answered
          with 429 and Retry-After.
        type: dict
        suboptions:
          read:
            description: 'Pulls, lists and tokens: GET, HEAD and OPTIONS.'
            type: dict
            suboptions:
              maxRunning:
                description: 'Requests served at once; 0: as many as there are threads.'
                type: int
              maxInQueue:
                description: Requests that wait for a place.
                type: int
              maxWaitInQueue:
                description: 'How long they wait, for example C(10s); C(0s): as long as it takes.'
                type: str
          write:
            description: Pushes and deletes.
            type: dict
            suboptions:
              maxRunning:
                description: 'Requests served at once; 0: as many as there are threads.'
                type: int
              maxInQueue:
                description: Requests that wait for a place.
                type: int
              maxWaitInQueue:
                description: 'How long they wait, for example C(10s); C(0s): as long as it takes.'
                type: str
      logLevel:
        description: C(Normal), C(Debug), C(Trace) or C(TraceAll).
        type: str
        choices:
          - Normal
          - Debug
          - Trace
          - TraceAll
      operatorLogLevel:
        description: 'How much the operator itself tells, followed without a restart: C(Normal),
          C(Debug), C(Trace) or C(TraceAll); empty: what its chart says. Without an operator it
          has no meaning.'
        type: str
        choices:
          - ''
          - Normal
          - Debug
          - Trace
          - TraceAll
      disableRedirect:
        description: Let layers come through the registry; otherwise readers of an object store
          are sent to it by signed addresses.
        type: bool
      storage:
        description: 'Where the bytes lie: exactly one member besides managementState.'
        type: dict
        suboptions:
          managementState:
            description: 'C(Managed): a claim made by this chart is deleted with the release;
              by the operator it is, with the bundled database, when the registry is Removed.
              C(Unmanaged) or empty: it is kept.'
            type: str
            choices:
              - ''
              - Managed
              - Unmanaged
          pvc:
            description: A PersistentVolumeClaim.
            type: dict
            suboptions:
              claim:
                description: 'Name of an existing claim; empty: the chart makes C(image-registry-storage).'
                type: str
              size:
                description: Size of the claim that the chart makes.
                type: str
              storageClassName:
                description: 'StorageClass of the claim that the chart makes; empty: the cluster''s
                  default class.'
                type: str
              accessMode:
                description: C(ReadWriteOnce), C(ReadWriteOncePod) or C(ReadWriteMany); state
                  it for an existing claim too.
                type: str
                choices:
                  - ReadWriteOnce
                  - ReadWriteOncePod
                  - ReadWriteMany
          emptyDir:
            description: 'C({}) keeps images in the Pod only: for tests, everything is lost with
              the Pod.'
            type: dict
          s3:
            description: 'Amazon S3 and stores that speak like it: C({bucket, region, regionEndpoint,
              virtualHostedStyle, trustedCA: {name}, skipVerify, encrypt, keyID, chunkSizeMiB,
              rootDirectory, cloudFront: {baseURL, keypairID, privateKey: {name, key}, duration}}).'
            type: dict
            suboptions:
              bucket:
                description: The name of a bucket, without a scheme or a path.
                type: str
                required: true
              region:
                description: Region of the bucket.
                type: str
              regionEndpoint:
                description: 'Address of the store: with its scheme, without the bucket; empty
                  for Amazon.'
                type: str
              virtualHostedStyle:
                description: Name the bucket in the host instead of the path.
                type: bool
              trustedCA:
                description: A ConfigMap of the release's namespace with the key ca-bundle.crt.
                type: dict
                suboptions:
                  name:
                    description: Name of the ConfigMap.
                    type: str
              skipVerify:
                description: 'Believe any certificate of the store: whoever is in between reads
                  and changes images.'
                type: bool
              encrypt:
                description: Let the store encrypt what it keeps.
                type: bool
              keyID:
                description: 'Key for that in AWS KMS; empty: a key of S3.'
                type: str
              chunkSizeMiB:
                description: Size of a piece of an upload.
                type: int
              rootDirectory:
                description: Prefix of every key.
                type: str
              cloudFront:
                description: 'A distribution of Amazon CloudFront in front of the bucket: readers
                  are sent to it by signed addresses.'
                type: dict
                suboptions:
                  baseURL:
                    description: 'Address of the distribution: with its scheme, and the path under
                      which the bucket is there.'
                    type: str
                    required: true
                  keypairID:
                    description: Id of the public key that the distribution trusts.
                    type: str
                    required: true
                  privateKey:
                    description: The private key of that pair, RSA in PEM, in a Secret of the
                      release's namespace.
                    type: dict
                    required: true
                    suboptions:
                      name:
                        description: Name of the Secret.
                        type: str
                        required: true
                      key:
                        description: Key in the Secret.
                        type: str
                        required: true
                  duration:
                    description: How long an address is good, for example C(20m), which it is
                      if nothing is said.
                    type: str
          gcs:
            description: 'Google Cloud Storage: C({bucket, keyID, chunkSizeMiB, rootDirectory}).'
            type: dict
            suboptions:
              bucket:
                description: The name of a bucket, without a scheme or a path.
                type: str
                required: true
              keyID:
                description: 'Key in Cloud KMS that encrypts; empty: a key of Google.'
                type: str
              chunkSizeMiB:
                description: Size of a piece of an upload.
                type: int
              rootDirectory:
                description: Prefix of every key.
                type: str
          azure:
            description: 'Azure Blob Storage: C({accountName, container, cloudName, chunkSizeMiB,
              rootDirectory}).'
            type: dict
            suboptions:
              accountName:
                description: Storage account.
                type: str
                required: true
              container:
                description: Container of the account.
                type: str
                required: true
              cloudName:
                description: 'Cloud of Azure; empty: the public one.'
                type: str
                choices:
                  - ''
                  - AzurePublicCloud
                  - AzureUSGovernmentCloud
                  - AzureChinaCloud
              chunkSizeMiB:
                description: Size of a piece of an upload.
                type: int
              rootDirectory:
                description: Prefix of every key.
                type: str
          swift:
            description: 'OpenStack Swift: C({authURL, authVersion, container, domain, domainID,
              tenant, tenantID, regionName, trustedCA: {name}, chunkSizeMiB, rootDirectory}).'
            type: dict
            suboptions:
              authURL:
                description: Address of the identity service.
                type: str
                required: true
              authVersion:
                description: 'Version of the identity service; empty: taken from its address.'
                type: str
                choices:
                  - ''
                  - '1'
                  - '3'
              container:
                description: Container.
                type: str
                required: true
              domain:
                description: Name of the domain.
                type: str
              domainID:
                description: Identifier of the domain.
                type: str
              tenant:
                description: Name of the project.
                type: str
              tenantID:
                description: Identifier of the project.
                type: str
              regionName:
                description: Region.
                type: str
              trustedCA:
                description: A ConfigMap of the release's namespace with the key ca-bundle.crt.
                type: dict
                suboptions:
                  name:
                    description: Name of the ConfigMap.
                    type: str
              chunkSizeMiB:
                description: Size of a piece of an upload.
                type: int
              rootDirectory:
                description: Prefix of every key.
                type: str
          ibmcos:
            description: 'IBM Cloud Object Storage, by its S3 interface: C({bucket, location,
              chunkSizeMiB, rootDirectory}).'
            type: dict
            suboptions:
              bucket:
                description: The name of a bucket, without a scheme or a path.
                type: str
                required: true
              location:
                description: Location of the bucket, for example eu-de.
                type: str
                required: true
              chunkSizeMiB:
                description: Size of a piece of an upload.
                type: int
              rootDirectory:
                description: Prefix of every key.
                type: str
          oss:
            description: 'Alibaba Cloud OSS, by its S3 interface: C({bucket, region, endpointAccessibility,
              encryption: {method, kms: {keyID}}, chunkSizeMiB, rootDirectory}).'
            type: dict
            suboptions:
              bucket:
                description: The name of a bucket, without a scheme or a path.
                type: str
                required: true
              region:
                description: Region of the bucket, for example cn-hangzhou.
                type: str
                required: true
              endpointAccessibility:
                description: Internal (default) or Public address of the region.
                type: str
                choices:
                  - ''
                  - Internal
                  - Public
              encryption:
                description: Encryption by the store.
                type: dict
                suboptions:
                  method:
                    description: AES256 or KMS.
                    type: str
                    choices:
                      - ''
                      - AES256
                      - KMS
                  kms:
                    description: Settings of KMS.
                    type: dict
                    suboptions:
                      keyID:
                        description: Key of KMS.
                        type: str
              chunkSizeMiB:
                description: Size of a piece of an upload.
                type: int
              rootDirectory:
                description: Prefix of every key.
                type: str
      metadata:
        description: Where the metadata lies.
        type: dict
        suboptions:
          postgresql:
            description: Exactly one of managed and secretName.
            type: dict
            suboptions:
              managed:
                description: The bundled PostgreSQL.
                type: dict
                suboptions:
                  size:
                    description: Size of the database's claim.
                    type: str
                  storageClassName:
                    description: 'StorageClass of the database''s claim; empty: the cluster''s
                      default class.'
                    type: str
                  emptyDir:
                    description: 'C({}) keeps the database in its Pod only: for tests, every image
                      name is lost with the Pod.'
                    type: dict
                  resources:
                    description: Compute resources of the database Pod.
                    type: dict
                    suboptions:
                      requests:
                        description: What is reserved for the container.
                        type: dict
                      limits:
                        description: What the container may not exceed.
                        type: dict
                      claims:
                        description: Devices claimed by the Pod that the container uses.
                        type: list
                        elements: dict
              secretName:
                description: Secret of an external PostgreSQL with the keys host, port, database,
                  username, password, sslmode and, optionally, ca.crt.
                type: str
      defaultRoute:
        description: Serve the registry outside of the cluster by the Ingress C(default-route);
          needs routeDefaults.domain.
        type: bool
      routes:
        description: 'Further ways in: a list of C({name, hostname, secretName, ingressClassName,
          annotations, gateway: {name, namespace, sectionName}}), each an Ingress or, with a gateway,
          an HTTPRoute.'
        type: list
        elements: dict
        suboptions:
          name:
            description: Name of the Ingress or HTTPRoute.
            type: str
            required: true
          hostname:
            description: Host that it serves.
            type: str
            required: true
          secretName:
            description: Secret of type kubernetes.io/tls with the certificate of the host.
            type: str
          ingressClassName:
            description: 'Ingress class; empty: that of routeDefaults.'
            type: str
          annotations:
            description: Annotations of this route, over those of routeDefaults.
            type: dict
          gateway:
            description: 'A Gateway instead of an Ingress; without a name: that of routeDefaults.'
            type: dict
            suboptions:
              name:
                description: Name of the Gateway.
                type: str
              namespace:
                description: 'Its namespace; empty: that of the registry.'
                type: str
              sectionName:
                description: 'Its listener; empty: every listener that takes the host.'
                type: str
      routeDefaults:
        description: Settings that all routes share.
        type: dict
        suboptions:
          domain:
            description: Domain of the default route, whose host is C(default-route-<namespace>.<domain>).
            type: str
          ingressClassName:
            description: 'Ingress class; empty: the cluster''s default class.'
            type: str
          annotations:
            description: Annotations of every route, over those for HTTPS backends and unlimited
              uploads.
            type: dict
          gateway:
            description: A Gateway by which routes come in; without one they are Ingresses.
            type: dict
            suboptions:
              name:
                description: Name of the Gateway.
                type: str
              namespace:
                description: 'Its namespace; empty: that of the registry.'
                type: str
              sectionName:
                description: 'Its listener; empty: every listener that takes the host.'
                type: str
      proxy:
        description: Proxies through which other registries and an object store are asked; nothing
          else goes through them.
        type: dict
        suboptions:
          http:
            description: Proxy for requests without TLS, C(http://<host>:<port>).
            type: str
          https:
            description: Proxy for requests with TLS, by CONNECT.
            type: str
          noProxy:
            description: 'Hosts that are asked without a proxy, with commas between them: C(host),
              C(.domain), C(10.0.0.0/8), each perhaps with a port, or C(*); an object store of
              your own network belongs here, and so do addresses of Services and a cluster domain
              of your own. Names without a dot and those that end in C(.svc) or C(.cluster.local)
              always are.'
            type: str
          secretName:
            description: Secret with the keys C(username) and C(password) for the proxies.
            type: str
      certificates:
        description: Where the registry's serving certificates come from.
        type: dict
        suboptions:
          issuerRef:
            description: An issuer of cert-manager; without a name, certificates are made by the
              registry itself.
            type: dict
            suboptions:
              name:
                description: 'Name of the issuer that signs the certificates of the registry and
                  of the Image API; empty: an authority of our own does.'
                type: str
              kind:
                description: C(Issuer) or C(ClusterIssuer).
                type: str
              group:
                description: API group of the issuer.
                type: str
      additionalTrustedCA:
        description: Authorities that nodes trust beside our own.
        type: dict
        suboptions:
          name:
            description: ConfigMap with a PEM bundle for each host, under the key C(<host>) or
              C(<host>..<port>). A route whose TLS Secret has a C(ca.crt) needs no entry.
            type: str
      imagePullSecret:
        description: Pull Secrets that the operator makes for the ServiceAccounts of all namespaces;
          without the operator nobody makes them.
        type: dict
        suboptions:
          managementState:
            description: 'C(Managed): every ServiceAccount has a pull Secret for this registry,
              and may pull from its namespace. C(Unmanaged): what there is stays, and its tokens
              end within the hour. C(Removed): what the operator made is taken away.'
            type: str
            choices:
              - Managed
              - Unmanaged
              - Removed
          additionalRegistryHosts:
            description: Further names of the registry, C(host[:port]), beside those of its Service
              and its routes.
            type: list
            elements: str
          ignoredNamespaces:
            description: Namespaces whose ServiceAccounts get none; what was made there is taken
              away.
            type: list
            elements: str
          ignoreSystemNamespaces:
            description: 'Ignore the namespaces of the platform too: the operator''s own and those
              it was installed with as such (C(kube-system), C(kube-public), C(kube-node-lease),
              C(cpaas-system)).'
            type: bool
      imports:
        description: Images of other registries. Names of registries are C(host[:port]), perhaps
          with a path, or C(*.domain).
        type: dict
        suboptions:
          pullSecrets:
            description: 'Read the pull Secrets of all namespaces as credentials for imports:
              the Image API may then list Secrets everywhere. With C(false) it may where a RoleBinding
              gives it the ClusterRole C(<namespace>:pull-secret-reader), and nowhere else; the
              operator, where it runs, keeps the right, to be able to give it.'
            type: bool
          pullThrough:
            description: Fetch what was imported when somebody pulls it; the data plane may then
              get C(imagestreams/secrets) everywhere.
            type: bool
          allowedRegistries:
            description: If there are any, images come from these alone.
            type: list
            elements: str
          blockedRegistries:
            description: Nothing is asked of these, whatever else is said.
            type: list
            elements: str
          insecureRegistries:
            description: These may do without TLS or with certificates that nobody vouches for.
            type: list
            elements: str
          internalNetworks:
            description: Networks such as C(10.0.0.0/8) in which registries may be. Other addresses
              that are not public are closed, except for hosts that stand without C(*) in allowedRegistries,
              insecureRegistries or mirrors.
            type: list
            elements: str
          mirrors:
            description: 'Where images of a registry are looked for first: a list of C({source,
              mirrors, mirrorSourcePolicy, pull}) with C(AllowContactingSource) or C(NeverContactSource),
              and C(all), C(digest-only) or C(tag-only).'
            type: list
            elements: dict
            suboptions:
              source:
                description: Registry whose images are looked for elsewhere.
                type: str
                required: true
              mirrors:
                description: Where they are looked for, in this order.
                type: list
                required: true
                elements: str
              mirrorSourcePolicy:
                description: Whether the source itself is asked when no mirror has the image.
                type: str
                choices:
                  - AllowContactingSource
                  - NeverContactSource
              pull:
                description: References that the mirrors are asked for.
                type: str
                choices:
                  - all
                  - digest-only
                  - tag-only
          trustedCA:
            description: Certificates in PEM that are trusted beside those of the system.
            type: str
          maxTags:
            description: Tags of one repository import; -1 for all.
            type: int
          scheduledIntervalSeconds:
            description: Seconds between two imports of a scheduled tag; 0 for never.
            type: int
          scheduledPerMinute:
            description: Scheduled imports in a minute, at most, of each process of the Image
              API.
            type: int
      resources:
        description: Compute resources of the data plane's Pods.
        type: dict
        suboptions:
          requests:
            description: What is reserved for the container.
            type: dict
          limits:
            description: What the container may not exceed.
            type: dict
          claims:
            description: Devices claimed by the Pod that the container uses.
            type: list
            elements: dict
      nodeSelector:
        description: Nodes of the data plane.
        type: dict
      tolerations:
        description: Tolerations of the data plane.
        type: list
        elements: dict
      affinity:
        description: Affinity of the data plane.
        type: dict
      topologySpreadConstraints:
        description: 'Spread of the data plane; empty: over nodes and zones where possible.'
        type: list
        elements: dict
"""

    IMAGEPRUNER = r"""
options:
  spec:
    description: The schedule, C(ImagePruner.spec) of the operator. What is not named stays as
      it is.
    type: dict
    suboptions:
      schedule:
        description: 'When, in cron''s words, by the clock of kube-controller-manager: five fields,
          C(@daily) and its like, or C(@every 12h); empty: every midnight.'
        type: str
      suspend:
        description: Prune nothing for now. A migration is such a time, until it is verified.
        type: bool
      keepTagRevisions:
        description: Newest images of each tag that stay, whether they are used or not.
        type: int
      keepYoungerThan:
        description: 'Deprecated: nanoseconds. Use keepYoungerThanDuration.'
        type: int
      keepYoungerThanDuration:
        description: 'What is younger stays, for example C(60m), C(96h) or C(30d); empty: keepYoungerThan,
          else C(60m).'
        type: str
      exclude:
        description: 'Regular expressions: what one of them is found in stays. Names are C(<namespace>/<name>),
          C(<namespace>/<name>:<tag>) and C(<namespace>/<name>@<digest>).'
        type: list
        elements: str
      registryHosts:
        description: 'Further names of this registry, C(host[:port]), by which workloads name
          images: of the registry before this one, for example.'
        type: list
        elements: str
      imageFields:
        description: Where custom resources name images in use, C(<group>/<version>/<resource>=<path>);
          the ServiceAccount C(pruner) needs a role that lists them.
        type: list
        elements: str
      garbageAtMost:
        description: 'Refuse to collect garbage that is more than this percentage of all blobs;
          null: more than half goes only if what repositories hold shows that metadata and storage
          belong together.'
        type: int
      ignoreInvalidImageReferences:
        description: Accepted for objects of other pruners. What cannot be read is told, protects
          what it may mean, and never stops the rest.
        type: bool
      logLevel:
        description: 'C(Normal), or for the whole plan in the log, with the reason for each image:
          C(Debug), C(Trace) or C(TraceAll).'
        type: str
        choices:
          - Normal
          - Debug
          - Trace
          - TraceAll
      successfulJobsHistoryLimit:
        description: Jobs that are kept after they did well.
        type: int
      failedJobsHistoryLimit:
        description: Jobs that are kept after they failed.
        type: int
      resources:
        description: 'Compute resources of the Job. A large registry needs more memory: docs/explanation/pruning.md
          has figures.'
        type: dict
        suboptions:
          requests:
            description: What is reserved for the container.
            type: dict
          limits:
            description: What the container may not exceed.
            type: dict
          claims:
            description: Devices claimed by the Pod that the container uses.
            type: list
            elements: dict
      nodeSelector:
        description: Nodes of the Job.
        type: dict
      tolerations:
        description: Tolerations of the Job.
        type: list
        elements: dict
      affinity:
        description: Affinity of the Job.
        type: dict
"""
