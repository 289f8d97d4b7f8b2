# Copyright: (c) 2026, Alauda Container Platform
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which fields Config and ImagePruner have, as argument specs.

Made from the chart by charts/derive_schemas.py; do not edit. Private to this collection.
"""

from __future__ import annotations

from typing import Any

CONFIG: dict[str, Any] = {
    "managementState": {"type": "str", "choices": ["Managed", "Unmanaged", "Removed"]},
    "replicas": {"type": "int"},
    "rolloutStrategy": {"type": "str", "choices": ["", "RollingUpdate", "Recreate"]},
    "readOnly": {"type": "bool"},
    "requests": {
        "type": "dict",
        "options": {
            "read": {
                "type": "dict",
                "options": {
                    "maxRunning": {"type": "int"},
                    "maxInQueue": {"type": "int"},
                    "maxWaitInQueue": {"type": "str"},
                },
            },
            "write": {
                "type": "dict",
                "options": {
                    "maxRunning": {"type": "int"},
                    "maxInQueue": {"type": "int"},
                    "maxWaitInQueue": {"type": "str"},
                },
            },
        },
    },
    "logLevel": {"type": "str", "choices": ["Normal", "Debug", "Trace", "TraceAll"]},
    "operatorLogLevel": {"type": "str", "choices": ["", "Normal", "Debug", "Trace", "TraceAll"]},
    "disableRedirect": {"type": "bool"},
    "storage": {
        "type": "dict",
        "options": {
            "managementState": {"type": "str", "choices": ["", "Managed", "Unmanaged"]},
            "pvc": {
                "type": "dict",
                "options": {
                    "claim": {"type": "str"},
                    "size": {"type": "str"},
                    "storageClassName": {"type": "str"},
                    "accessMode": {"type": "str", "choices": ["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"]},
                },
            },
            "emptyDir": {"type": "dict"},
            "s3": {
                "type": "dict",
                "options": {
                    "bucket": {"type": "str", "required": True},
                    "region": {"type": "str"},
                    "regionEndpoint": {"type": "str"},
                    "virtualHostedStyle": {"type": "bool"},
                    "trustedCA": {"type": "dict", "options": {"name": {"type": "str"}}},
                    "skipVerify": {"type": "bool"},
                    "encrypt": {"type": "bool"},
                    "keyID": {"type": "str", "no_log": False},
                    "chunkSizeMiB": {"type": "int"},
                    "rootDirectory": {"type": "str"},
                    "cloudFront": {
                        "type": "dict",
                        "options": {
                            "baseURL": {"type": "str", "required": True},
                            "keypairID": {"type": "str", "required": True, "no_log": False},
                            "privateKey": {
                                "type": "dict",
                                "required": True,
                                "no_log": False,
                                "options": {
                                    "name": {"type": "str", "required": True},
                                    "key": {"type": "str", "required": True, "no_log": False},
                                },
                            },
                            "duration": {"type": "str"},
                        },
                    },
                },
            },
            "gcs": {
                "type": "dict",
                "options": {
                    "bucket": {"type": "str", "required": True},
                    "keyID": {"type": "str", "no_log": False},
                    "chunkSizeMiB": {"type": "int"},
                    "rootDirectory": {"type": "str"},
                },
            },
            "azure": {
                "type": "dict",
                "options": {
                    "accountName": {"type": "str", "required": True},
                    "container": {"type": "str", "required": True},
                    "cloudName": {
                        "type": "str",
                        "choices": ["", "AzurePublicCloud", "AzureUSGovernmentCloud", "AzureChinaCloud"],
                    },
                    "chunkSizeMiB": {"type": "int"},
                    "rootDirectory": {"type": "str"},
                },
            },
            "swift": {
                "type": "dict",
                "options": {
                    "authURL": {"type": "str", "required": True},
                    "authVersion": {"type": "str", "choices": ["", "1", "3"]},
                    "container": {"type": "str", "required": True},
                    "domain": {"type": "str"},
                    "domainID": {"type": "str"},
                    "tenant": {"type": "str"},
                    "tenantID": {"type": "str"},
                    "regionName": {"type": "str"},
                    "trustedCA": {"type": "dict", "options": {"name": {"type": "str"}}},
                    "chunkSizeMiB": {"type": "int"},
                    "rootDirectory": {"type": "str"},
                },
            },
            "ibmcos": {
                "type": "dict",
                "options": {
                    "bucket": {"type": "str", "required": True},
                    "location": {"type": "str", "required": True},
                    "chunkSizeMiB": {"type": "int"},
                    "rootDirectory": {"type": "str"},
                },
            },
            "oss": {
                "type": "dict",
                "options": {
                    "bucket": {"type": "str", "required": True},
                    "region": {"type": "str", "required": True},
                    "endpointAccessibility": {"type": "str", "choices": ["", "Internal", "Public"]},
                    "encryption": {
                        "type": "dict",
                        "options": {
                            "method": {"type": "str", "choices": ["", "AES256", "KMS"]},
                            "kms": {"type": "dict", "options": {"keyID": {"type": "str", "no_log": False}}},
                        },
                    },
                    "chunkSizeMiB": {"type": "int"},
                    "rootDirectory": {"type": "str"},
                },
            },
        },
    },
    "metadata": {
        "type": "dict",
        "options": {
            "postgresql": {
                "type": "dict",
                "options": {
                    "managed": {
                        "type": "dict",
                        "options": {
                            "size": {"type": "str"},
                            "storageClassName": {"type": "str"},
                            "emptyDir": {"type": "dict"},
                            "resources": {
                                "type": "dict",
                                "options": {
                                    "requests": {"type": "dict"},
                                    "limits": {"type": "dict"},
                                    "claims": {"type": "list", "elements": "dict"},
                                },
                            },
                        },
                    },
                    "secretName": {"type": "str", "no_log": False},
                },
            },
        },
    },
    "defaultRoute": {"type": "bool"},
    "routes": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "hostname": {"type": "str", "required": True},
            "secretName": {"type": "str", "no_log": False},
            "ingressClassName": {"type": "str"},
            "annotations": {"type": "dict"},
            "gateway": {
                "type": "dict",
                "options": {"name": {"type": "str"}, "namespace": {"type": "str"}, "sectionName": {"type": "str"}},
            },
        },
    },
    "routeDefaults": {
        "type": "dict",
        "options": {
            "domain": {"type": "str"},
            "ingressClassName": {"type": "str"},
            "annotations": {"type": "dict"},
            "gateway": {
                "type": "dict",
                "options": {"name": {"type": "str"}, "namespace": {"type": "str"}, "sectionName": {"type": "str"}},
            },
        },
    },
    "proxy": {
        "type": "dict",
        "options": {
            "http": {"type": "str"},
            "https": {"type": "str"},
            "noProxy": {"type": "str"},
            "secretName": {"type": "str", "no_log": False},
        },
    },
    "certificates": {
        "type": "dict",
        "options": {
            "issuerRef": {
                "type": "dict",
                "options": {"name": {"type": "str"}, "kind": {"type": "str"}, "group": {"type": "str"}},
            },
        },
    },
    "additionalTrustedCA": {"type": "dict", "options": {"name": {"type": "str"}}},
    "imagePullSecret": {
        "type": "dict",
        "no_log": False,
        "options": {
            "managementState": {"type": "str", "choices": ["Managed", "Unmanaged", "Removed"]},
            "additionalRegistryHosts": {"type": "list", "elements": "str"},
            "ignoredNamespaces": {"type": "list", "elements": "str"},
            "ignoreSystemNamespaces": {"type": "bool"},
        },
    },
    "imports": {
        "type": "dict",
        "options": {
            "pullSecrets": {"type": "bool", "no_log": False},
            "pullThrough": {"type": "bool"},
            "allowedRegistries": {"type": "list", "elements": "str"},
            "blockedRegistries": {"type": "list", "elements": "str"},
            "insecureRegistries": {"type": "list", "elements": "str"},
            "internalNetworks": {"type": "list", "elements": "str"},
            "mirrors": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "source": {"type": "str", "required": True},
                    "mirrors": {"type": "list", "required": True, "elements": "str"},
                    "mirrorSourcePolicy": {"type": "str", "choices": ["AllowContactingSource", "NeverContactSource"]},
                    "pull": {"type": "str", "choices": ["all", "digest-only", "tag-only"]},
                },
            },
            "trustedCA": {"type": "str"},
            "maxTags": {"type": "int"},
            "scheduledIntervalSeconds": {"type": "int"},
            "scheduledPerMinute": {"type": "int"},
        },
    },
    "resources": {
        "type": "dict",
        "options": {
            "requests": {"type": "dict"},
            "limits": {"type": "dict"},
            "claims": {"type": "list", "elements": "dict"},
        },
    },
    "nodeSelector": {"type": "dict"},
    "tolerations": {"type": "list", "elements": "dict"},
    "affinity": {"type": "dict"},
    "topologySpreadConstraints": {"type": "list", "elements": "dict"},
}

IMAGEPRUNER: dict[str, Any] = {
    "schedule": {"type": "str"},
    "suspend": {"type": "bool"},
    "keepTagRevisions": {"type": "int"},
    "keepYoungerThan": {"type": "int"},
    "keepYoungerThanDuration": {"type": "str"},
    "exclude": {"type": "list", "elements": "str"},
    "registryHosts": {"type": "list", "elements": "str"},
    "imageFields": {"type": "list", "elements": "str"},
    "garbageAtMost": {"type": "int"},
    "ignoreInvalidImageReferences": {"type": "bool"},
    "logLevel": {"type": "str", "choices": ["Normal", "Debug", "Trace", "TraceAll"]},
    "successfulJobsHistoryLimit": {"type": "int"},
    "failedJobsHistoryLimit": {"type": "int"},
    "resources": {
        "type": "dict",
        "options": {
            "requests": {"type": "dict"},
            "limits": {"type": "dict"},
            "claims": {"type": "list", "elements": "dict"},
        },
    },
    "nodeSelector": {"type": "dict"},
    "tolerations": {"type": "list", "elements": "dict"},
    "affinity": {"type": "dict"},
}
