"""The objects that people, the operator and the collection rely on by name."""

from __future__ import annotations

import pytest

from image_registry.server.import_settings import read_imports

NAMESPACE = "image-registry-system"


def variables(container):
    return {variable["name"]: variable for variable in container["env"]}


def values_of(container):
    return {name: variable.get("value") for name, variable in variables(container).items()}


def main_container(release, deployment):
    return release.named("Deployment", deployment)["spec"]["template"]["spec"]["containers"][0]


def test_the_names_of_the_contract_exist(render):
    release = render()
    assert release.names("Deployment") == {"image-registry", "image-api-server"}
    assert release.names("StatefulSet") == {"image-registry-db"}
    assert release.names("DaemonSet") == {"node-ca"}
    assert release.names("Service") == {"image-registry", "image-api-server", "image-registry-db"}
    assert release.names("APIService") == {"v1.image.alauda.io"}
    assert release.names("PersistentVolumeClaim") == {"image-registry-storage"}
    assert release.names("CronJob") == {"image-pruner", "image-registry-certificates"}
    assert {"registry", "image-api-server", "node-ca", "pruner"} <= release.names("ServiceAccount")
    assert main_container(release, "image-registry")["name"] == "registry"
    labels = release.named("Deployment", "image-registry")["spec"]["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/name"] == "image-registry"


def test_cluster_roles_are_word_by_word_those_of_the_golden_file(render, golden):
    release = render()
    found = {
        name: release.named("ClusterRole", name)["rules"]
        for name in release.names("ClusterRole")
        if not name.startswith(NAMESPACE)
    }
    assert found == golden["clusterRoles"]


def test_roles_that_another_release_owns_are_left_to_it(render):
    theirs = {"system:image-puller", "system:image-pusher"}
    release = render(values={"clusterRoles": {"leave": sorted(theirs)}})
    assert render().names("ClusterRole") - release.names("ClusterRole") == theirs


def test_rights_on_images_reach_the_roles_that_people_already_have(render):
    prefix = "rbac.authorization.k8s.io/aggregate-to-"

    def reached(name):
        labels = render().named("ClusterRole", name)["metadata"]["labels"]
        return {label.removeprefix(prefix) for label in labels if label.startswith(prefix)}

    assert reached("image.alauda.io:view") == {"view", "edit", "admin"}
    assert reached("image.alauda.io:edit") == {"edit", "admin"}
    assert reached("system:image-pusher") == set()


def test_the_servers_get_no_more_rights_than_the_golden_file_says(render, golden):
    release = render()
    roles = {
        f"{m['kind']}/{m['metadata']['name']}": m["rules"]
        for m in release
        if m["kind"] in {"Role", "ClusterRole"} and (m["kind"] == "Role" or m["metadata"]["name"].startswith(NAMESPACE))
    }
    assert roles == golden["ownRoles"]
    bindings = {
        f"{m['metadata'].get('namespace', '*')}/{m['metadata']['name']}": (
            m["roleRef"]["name"],
            [subject["name"] for subject in m["subjects"]],
        )
        for m in release
        if m["kind"] in {"RoleBinding", "ClusterRoleBinding"}
    }
    assert bindings == {key: (role, subjects) for key, (role, subjects) in golden["bindings"].items()}


def test_both_servers_know_from_whom_images_may_be_imported(render):
    imports = {
        "blockedRegistries": ["docker.io"],
        "internalNetworks": ["10.0.0.0/8"],
        "mirrors": [{"source": "quay.io", "mirrors": ["mirror.example.com/quay"], "pull": "digest-only"}],
    }
    release = render(values={"config": {"imports": imports}})
    for name in ("image-registry", "image-api-server"):
        found = read_imports(values_of(main_container(release, name))["REGISTRY_IMPORTS"])
        assert found.rules.blocked == ("docker.io",)
        assert found.rules.mirrors[0].tags is False
        assert found.max_tags == 50
        assert found.interval == 900


def test_proxies_reach_both_servers_and_their_credentials_come_from_a_secret(render):
    proxy = {"https": "http://proxy.example.com:3128", "noProxy": ".example.com", "secretName": "proxy"}
    release = render(values={"config": {"proxy": proxy}})
    for name in ("image-registry", "image-api-server"):
        found = {key: value for key, value in values_of(main_container(release, name)).items() if "PROXY" in key}
        assert found == {
            "REGISTRY_PROXY_HTTPS": "http://proxy.example.com:3128",
            "REGISTRY_PROXY_NO_PROXY": ".example.com",
            "REGISTRY_PROXY_CREDENTIALS": "/etc/image-registry/proxy",
        }
        spec = release.named("Deployment", name)["spec"]["template"]["spec"]
        assert {"name": "proxy", "secret": {"secretName": "proxy", "defaultMode": 0o440}} in spec["volumes"]
        mounts = {mount["name"]: mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}
        assert mounts["proxy"] == "/etc/image-registry/proxy"
    assert not any("PROXY" in name for name in values_of(main_container(render(), "image-registry")))


def test_the_api_service_is_a_plain_object_without_a_ca_bundle(render):
    api = render().named("APIService", "v1.image.alauda.io")
    assert set(api["spec"]) == {"group", "version", "groupPriorityMinimum", "versionPriority", "service"}
    assert api["spec"]["service"] == {"name": "image-api-server", "namespace": NAMESPACE, "port": 443}
    assert "annotations" not in api["metadata"], "no hook, no keep: it goes before its servers"


def test_no_secret_and_no_certificate_is_in_a_release(render, mode):
    release = render(mode)
    assert release.names("Secret") == set()
    own = {f"image-registry-{name}" for name in ("db-start", "integrity", "modes", "nodes", "test")}
    assert release.names("ConfigMap") <= own | {"extra-map", "extra-text"}


def test_service_ports_are_found_by_the_names_of_container_ports(render):
    release = render()
    for name, service_port, port in (("image-registry", 5000, 5000), ("image-api-server", 443, 8443)):
        (published,) = release.named("Service", name)["spec"]["ports"]
        (container_port,) = main_container(release, name)["ports"]
        assert (published["port"], container_port["containerPort"]) == (service_port, port)
        assert published["targetPort"] == container_port["name"]
    assert release.named("Service", "image-registry")["spec"]["ports"][0]["name"] == "5000-tcp"


def test_the_image_api_keeps_its_last_pod_during_an_upgrade(render):
    deployment = render().named("Deployment", "image-api-server")
    assert deployment["spec"]["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
    }
    spec = deployment["spec"]["template"]["spec"]
    sleep = spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert sleep[0] == "sleep"
    assert spec["containers"][0]["readinessProbe"]["httpGet"]["path"] == "/readyz"


@pytest.mark.parametrize(
    ("mode", "strategy"),
    [
        ("default", "Recreate"),
        ("shared", "RollingUpdate"),
        ("emptydir", "Recreate"),
        ("existing-claim", "Recreate"),
        *((kind, "RollingUpdate") for kind in ("s3", "gcs", "azure", "swift")),
    ],
)
def test_pods_of_the_data_plane_replace_each_other_as_their_storage_allows(render, mode, strategy):
    deployment = render(mode).named("Deployment", "image-registry")
    assert deployment["spec"]["strategy"]["type"] == strategy
    assert ("lifecycle" in deployment["spec"]["template"]["spec"]["containers"][0]) is (strategy == "RollingUpdate")


@pytest.mark.parametrize(
    ("mode", "name", "values", "seconds"),
    [
        ("default", "image-api-server", {}, "45"),
        ("default", "image-registry", {}, "55"),
        ("shared", "image-registry", {}, "45"),
        ("shared", "image-registry", {"registry": {"terminationGracePeriodSeconds": 3600}}, "3585"),
        ("shared", "image-registry", {"registry": {"terminationGracePeriodSeconds": 12}}, "1"),
    ],
)
def test_running_transfers_get_the_seconds_that_the_values_promise(render, mode, name, values, seconds):
    env = values_of(main_container(render(mode, values=values), name))
    assert env["REGISTRY_HTTP_GRACEFUL_TIMEOUT"] == seconds


def test_both_address_families_are_served(render):
    addresses = {
        name: values_of(main_container(render(), name))["REGISTRY_HTTP_ADDR"]
        for name in ("image-registry", "image-api-server")
    }
    assert addresses == {"image-registry": "[::]:5000", "image-api-server": "[::]:8443"}


def test_liveness_never_asks_the_database(render):
    for name in ("image-registry", "image-api-server"):
        container = main_container(render(), name)
        assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert container[probe]["httpGet"]["scheme"] == "HTTPS"


@pytest.mark.parametrize(
    ("mode", "annotations"),
    [("default", {"helm.sh/resource-policy": "keep"}), ("everything", {})],
)
def test_the_claim_outlives_the_release_unless_it_is_managed(render, mode, annotations):
    claim = render(mode).named("PersistentVolumeClaim", "image-registry-storage")
    assert claim["metadata"].get("annotations", {}) == annotations


def test_an_existing_claim_is_used_and_none_is_made(render):
    release = render("existing-claim")
    assert release.names("PersistentVolumeClaim") == set()
    volumes = release.named("Deployment", "image-registry")["spec"]["template"]["spec"]["volumes"]
    assert {"name": "storage", "persistentVolumeClaim": {"claimName": "old-registry-data"}} in volumes


def test_the_bundled_database_is_reached_by_verified_tls(render):
    for name in ("image-registry", "image-api-server"):
        pod = render().named("Deployment", name)["spec"]["template"]["spec"]
        for container in pod.get("initContainers", []) + pod["containers"]:
            env = values_of(container)
            assert env["REGISTRY_DATABASE_HOST"] == f"image-registry-db.{NAMESPACE}.svc"
            assert env["REGISTRY_DATABASE_SSLMODE"] == "verify-full"
            assert env["REGISTRY_DATABASE_SSLROOTCERT"] == "/etc/image-registry/database/ca.crt"
            assert env["REGISTRY_DATABASE_PASSWORD_FILE"] == "/etc/image-registry/database/password"
            assert not [name for name in env if "PASSWORD" in name and not name.endswith("_FILE")]


def test_an_external_database_is_described_by_its_secret_alone(render):
    release = render("external-database")
    assert release.names("StatefulSet") == set()
    assert "image-registry-db" not in release.names("Service") | release.names("NetworkPolicy")
    env = variables(main_container(release, "image-registry"))
    keys = {"HOST": "host", "PORT": "port", "NAME": "database", "USER": "username", "SSLMODE": "sslmode"}
    for variable, key in keys.items():
        assert env[f"REGISTRY_DATABASE_{variable}"]["valueFrom"]["secretKeyRef"] == {
            "name": "registry-postgresql",
            "key": key,
        }
    (volume,) = [
        v
        for v in release.named("Deployment", "image-registry")["spec"]["template"]["spec"]["volumes"]
        if v["name"] == "database"
    ]
    required, optional = (source["secret"] for source in volume["projected"]["sources"])
    assert "optional" not in required
    assert optional["optional"] is True, "ca.crt may be missing"


def test_the_data_plane_waits_a_moment_for_the_database_and_starts_without_it(render):
    (upgrade,) = render().named("Deployment", "image-registry")["spec"]["template"]["spec"]["initContainers"]
    assert upgrade["args"] == ["database", "upgrade", "--wait", "30", "--or-later"]


def test_the_image_api_starts_without_a_database(render):
    """While an APIService is unavailable no namespace of the cluster can be deleted."""
    assert "initContainers" not in render().named("Deployment", "image-api-server")["spec"]["template"]["spec"]


def test_the_database_restarts_when_its_start_files_change(render):
    def checksum(**values):
        release = render(values=values)
        return release.named("StatefulSet", "image-registry-db")["spec"]["template"]["metadata"]["annotations"]

    assert checksum(postgresql={"maxConnections": 50}) != checksum()
    assert checksum(config={"logLevel": "Debug"}) == checksum()


def test_removed_takes_the_servers_and_keeps_the_data(render):
    release = render("removed")
    for kind in ("Deployment", "APIService", "PodDisruptionBudget", "Ingress"):
        assert release.names(kind) == set()
    assert release.names("Service") == {"image-registry-db"}
    assert release.names("PersistentVolumeClaim") == {"image-registry-storage"}
    assert release.names("StatefulSet") == {"image-registry-db"}
    assert release.names("DaemonSet") == {"node-ca"}


def test_a_budget_is_made_for_more_than_one_pod_only(render):
    assert render().names("PodDisruptionBudget") == {"image-api-server"}
    assert render("emptydir").names("PodDisruptionBudget") == set()
    for name in ("image-registry", "image-api-server"):
        budget = render("shared").named("PodDisruptionBudget", name)["spec"]
        assert budget["maxUnavailable"] == 1
        assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert render("everything").names("PodDisruptionBudget") == set()


def test_only_our_servers_reach_the_database(render):
    release = render()
    (rule,) = release.named("NetworkPolicy", "image-registry-db")["spec"]["ingress"]
    names = {peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"] for peer in rule["from"]}
    assert names == {"image-registry", "image-api-server"}
    for name, port in (("image-registry", 5000), ("image-api-server", 8443)):
        assert release.named("NetworkPolicy", name)["spec"]["ingress"] == [
            {"ports": [{"port": port, "protocol": "TCP"}]}
        ]
    assert "ingress" not in release.named("NetworkPolicy", "node-ca")["spec"], "nobody calls node-ca"
    assert render("everything").names("NetworkPolicy") == set()


def test_one_value_sends_every_image_to_a_mirror(render):
    images = render("mirror").image_references()
    assert images == {
        f"mirror.example.com:5443/alauda/image-registry@sha256:{'1' * 64}",
        f"mirror.example.com:5443/library/postgres:17@sha256:{'2' * 64}",
    }
    for owner, pod in render("mirror").pods().items():
        assert pod["spec"]["imagePullSecrets"] == [{"name": "mirror-credentials"}], owner


def test_images_are_named_by_registry_repository_tag_and_digest(render):
    assert render().image_references() == {
        "docker.io/alauda/image-registry:2.0.0.dev0",
        "docker.io/library/postgres:17",
    }
    own = {"registry": "", "repository": "lab.local/image-registry", "tag": "dev"}
    assert "lab.local/image-registry:dev" in render(values={"image": own}).image_references()


def test_hooks_clean_up_after_themselves_and_have_deadlines(render, mode):
    release = render(mode)
    hooks = [m for m in release if "helm.sh/hook" in m["metadata"].get("annotations", {})]
    assert hooks
    for hook in hooks:
        annotations = hook["metadata"]["annotations"]
        assert annotations["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"
        if hook["kind"] == "Job":
            assert hook["spec"]["activeDeadlineSeconds"] == 300
            assert hook["spec"]["backoffLimit"] == 3
            account = hook["spec"]["template"]["spec"]["serviceAccountName"]
            helpers = [m for m in hooks if m["metadata"]["name"].endswith(account)]
            for helper in helpers:
                assert helper["metadata"]["annotations"]["helm.sh/hook"] == annotations["helm.sh/hook"]
                weight = int(helper["metadata"]["annotations"]["helm.sh/hook-weight"])
                assert helper is hook or weight < int(annotations["helm.sh/hook-weight"])


def test_certificates_are_made_before_and_published_after_an_install(render):
    release = render("routes")
    secrets = release.named("Job", "image-registry-bootstrap-secrets")
    assert secrets["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert secrets["spec"]["template"]["spec"]["containers"][0]["args"] == [
        "bootstrap",
        "secrets",
        "--namespace=image-registry-system",
        "--hostname=default-route-image-registry-system.apps.example.com",
        "--hostname=registry.example.com",
        "--hostname=192.0.2.10",
    ]
    publish = release.named("Job", "image-registry-bootstrap-api-service")
    assert publish["metadata"]["annotations"]["helm.sh/hook"] == "post-install,post-upgrade"
    arguments = publish["spec"]["template"]["spec"]["containers"][0]["args"]
    assert arguments == ["bootstrap", "api-service", "--namespace=image-registry-system", "--timeout=280"]


def test_certificates_are_renewed_every_day_by_the_steps_of_an_upgrade(render):
    release = render("routes")
    job = release.named("CronJob", "image-registry-certificates")["spec"]
    assert (job["schedule"], job["concurrencyPolicy"]) == ("27 3 * * *", "Forbid")
    pod = job["jobTemplate"]["spec"]["template"]["spec"]
    hooks = release.pods()
    (secrets,), (publish,) = pod["initContainers"], pod["containers"]
    hook = hooks["Job/image-registry-bootstrap-secrets"]["spec"]["containers"][0]
    assert secrets == {**hook, "name": "secrets"}
    hook = hooks["Job/image-registry-bootstrap-api-service"]["spec"]["containers"][0]
    assert publish == {**hook, "name": "api-service", "args": [*hook["args"][:-1], "--timeout=40"]}
    rules = [release.named("Role", f"image-registry-{name}")["rules"] for name in ("certificates", "bootstrap-secrets")]
    assert rules[0] == rules[1]


def test_the_renewal_of_certificates_is_left_out_on_request(render):
    for release in (render(values={"bootstrap": {"schedule": ""}}), render("removed")):
        assert release.names("CronJob") == {"image-pruner"}
        assert "image-registry-certificates" not in release.names("Role") | release.names("ServiceAccount")


def test_every_job_runs_where_it_is_told(render):
    placement = {"nodeSelector": {"infra": "yes"}, "tolerations": [{"key": "infra", "operator": "Exists"}]}
    pods = render(values={"bootstrap": placement, "imagePruner": placement}).pods()
    jobs = {owner: pod["spec"] for owner, pod in pods.items() if owner.startswith(("Job/", "CronJob/", "Pod/"))}
    assert len(jobs) == 5
    for owner, spec in jobs.items():
        assert spec["nodeSelector"] == {"infra": "yes", "kubernetes.io/os": "linux"}, owner
        assert spec["tolerations"] == placement["tolerations"], owner


def test_every_pod_runs_on_linux(render, mode):
    for owner, pod in render(mode).pods().items():
        assert pod["spec"]["nodeSelector"]["kubernetes.io/os"] == "linux", owner


def test_new_pods_are_spread_as_if_the_old_ones_were_gone(render):
    for name in ("image-registry", "image-api-server"):
        spread = render().named("Deployment", name)["spec"]["template"]["spec"]["topologySpreadConstraints"]
        assert [constraint["matchLabelKeys"] for constraint in spread] == [["pod-template-hash"]] * 2


def test_routes_reach_the_registry_by_https_without_limits_on_uploads(render):
    release = render("routes")
    assert release.names("Ingress") == {"default-route", "public"}
    default, public = (release.named("Ingress", name) for name in ("default-route", "public"))
    assert default["spec"]["tls"] == [{"hosts": ["default-route-image-registry-system.apps.example.com"]}]
    assert public["spec"]["tls"] == [{"hosts": ["registry.example.com"], "secretName": "registry-example-com"}]
    for ingress in (default, public):
        assert ingress["spec"]["ingressClassName"] == "nginx"
        annotations = ingress["metadata"]["annotations"]
        assert annotations["nginx.ingress.kubernetes.io/backend-protocol"] == "HTTPS"
        assert annotations["nginx.ingress.kubernetes.io/proxy-body-size"] == "0"
    assert public["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-read-timeout"] == "3600"
    names = values_of(main_container(release, "image-api-server"))["REGISTRY_EXTERNAL_HOSTNAMES"]
    assert names == "default-route-image-registry-system.apps.example.com,registry.example.com"


def test_a_new_route_restarts_nobody_who_serves_images(render):
    route = {"name": "legacy", "hostname": "registry.legacy.test", "ingressClassName": "nginx"}
    before, after = render(), render(values={"config": {"routes": [route]}})
    assert before.names("Ingress") < after.names("Ingress")
    assert after.named("Deployment", "image-registry") == before.named("Deployment", "image-registry")


def test_node_ca_writes_only_the_places_it_is_given(render):
    pod = render().named("DaemonSet", "node-ca")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["args"] == [
        "node-ca",
        "--service-host=image-registry.image-registry-system.svc:5000",
        "--ca-file=/etc/image-registry/ca/ca-bundle.crt",
        "--certs-dir=/host/certs.d",
        "--hosts-file=/host/hosts",
        "--daemonset=image-registry-system/node-ca",
        "--node=$(NODE_NAME)",
        "--certs-place=/etc/containerd/certs.d",
        "--docker-certs-dir=/host/docker-certs.d",
        "--containerd-dir=/host/containerd",
        "--containerd-place=/etc/containerd",
    ]
    writable = {m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")}
    assert writable == {"/host/certs.d", "/host/docker-certs.d", "/host/hosts", "/tmp"}
    assert render("everything").named("DaemonSet", "node-ca")["spec"]["template"]["spec"]["containers"][0][
        "securityContext"
    ] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "seLinuxOptions": {"type": "spc_t"},
    }


def test_extension_points_reach_the_pods(render):
    release = render("everything")
    for name in ("image-registry", "image-api-server"):
        template = release.named("Deployment", name)["spec"]["template"]
        assert template["metadata"]["annotations"]["example.com/scrape"] == "true"
        assert template["metadata"]["labels"]["example.com/team"] == "platform"
        container = template["spec"]["containers"][0]
        assert {"name": "TZ", "value": "UTC"} in container["env"]
        assert {"name": "extra", "mountPath": "/extra"} in container["volumeMounts"]
    assert {"extra-map", "extra-text"} <= release.names("ConfigMap")
    spec = release.named("Deployment", "image-registry")["spec"]
    assert spec["revisionHistoryLimit"] == 0, "zero is a value"
    assert spec["template"]["spec"]["nodeSelector"] == {"disk": "fast", "kubernetes.io/os": "linux"}
    (constraint,) = spec["template"]["spec"]["topologySpreadConstraints"]
    assert constraint["whenUnsatisfiable"] == "DoNotSchedule"


def test_settings_of_the_configuration_reach_the_registry(render):
    env = values_of(main_container(render("existing-claim"), "image-registry"))
    assert env["REGISTRY_READ_ONLY_FILE"] == "/etc/image-registry/modes/readOnly"
    assert env["REGISTRY_LOG_LEVEL"] == "Debug"
    assert env["REGISTRY_AUTH"] == "cluster"
    assert env["REGISTRY_INTERNAL_HOSTNAME"] == "image-registry.image-registry-system.svc:5000"


def test_every_setting_given_is_one_that_the_servers_read(render, mode):
    """A variable with a typo would be ignored in silence."""
    from dataclasses import fields

    from image_registry.server import storage_settings
    from image_registry.server.settings import PREFIX, Settings

    known = {PREFIX + field.name.upper() for field in fields(Settings)} | set(storage_settings.variables())
    parts = ("HOST", "PORT", "NAME", "USER", "SSLMODE", "SSLROOTCERT", "PASSWORD_FILE")
    known |= {f"{PREFIX}DATABASE_{part}" for part in parts}
    for owner, pod in render(mode).pods().items():
        for container in pod["spec"].get("initContainers", []) + pod["spec"]["containers"]:
            given = {name for name in (v["name"] for v in container.get("env", [])) if name.startswith(PREFIX)}
            assert given <= known, owner


def test_every_command_given_is_one_that_the_program_has(render, mode):
    from image_registry.server.command import cli

    for owner, pod in render(mode).pods().items():
        for container in pod["spec"].get("initContainers", []) + pod["spec"]["containers"]:
            if "command" in container:
                continue
            command, arguments = cli, list(container["args"])
            while arguments and hasattr(command, "commands"):
                command = command.commands[arguments.pop(0)]
            known = {option for parameter in command.params for option in parameter.opts}
            given = {argument.partition("=")[0] for argument in arguments if argument.startswith("--")}
            assert given <= known, f"{owner}: {command.name}"
            required = {p.opts[0] for p in command.params if p.required}
            assert required <= given, f"{owner}: {command.name}"


def test_read_only_and_its_reason_change_no_pod(render):
    def with_(reason):
        return render(values={"config": {"readOnly": True}, "registry": {"readOnlyReason": reason}})

    def mode(release):
        return release.named("ConfigMap", "image-registry-modes")["data"]

    assert mode(render()) == {"readOnly": "false"}
    assert mode(with_("the storage moves")) == {"readOnly": "true: the storage moves"}
    assert mode(with_("")) == {"readOnly": "true"}
    deployment = render().named("Deployment", "image-registry")
    assert with_("the storage moves").named("Deployment", "image-registry") == deployment


def test_limits_reach_the_process_under_the_names_of_its_settings(render):
    limits = {"read": {"maxRunning": 100, "maxInQueue": 50, "maxWaitInQueue": "1m30s"}}
    release = render(values={"config": {"requests": limits}, "registry": {"maxManifestBytes": 8388608}})
    env = values_of(main_container(release, "image-registry"))
    assert env["REGISTRY_REQUESTS_READ_MAXRUNNING"] == "100"
    assert env["REGISTRY_REQUESTS_READ_MAXINQUEUE"] == "50"
    assert env["REGISTRY_REQUESTS_READ_MAXWAITINQUEUE"] == "1m30s"
    assert env["REGISTRY_REQUESTS_WRITE_MAXRUNNING"] == "0"
    assert env["REGISTRY_MAX_MANIFEST_BYTES"] == "8388608"
