"""TLS context, files and principal of connections to Kafka; every client uses them."""

import ast
import ssl
from pathlib import Path

import pytest
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError, TopicAuthorizationFailedError
from broker.certificates import Authority
from test_architecture import TREES, imports

from traderecon.transport.errors import NotAccepted
from traderecon.transport.security import PLAINTEXT, Security, denied, make_security


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


def test_every_connection_uses_the_settings() -> None:
    way = "traderecon.client.kafka_client.KafkaClient"
    assert [name for name, tree in TREES.items() if way in imports(tree)] == ["traderecon.client.connection"]


def test_every_client_of_aiokafka_gets_its_arguments() -> None:
    clients = {"AIOKafkaConsumer", "AIOKafkaProducer", "AIOKafkaAdminClient", "create_conn"}
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Attribute | ast.Name) and ast.unparse(called).split(".")[-1] in clients:
                assert isinstance(node, ast.Call)
                spread = [ast.unparse(keyword.value) for keyword in node.keywords if keyword.arg is None]
                assert any(exception.endswith("ecurity.arguments()") for exception in spread), f"{name}:{node.lineno}"


def test_the_host_is_checked_and_tls_is_new_enough(authority: Authority) -> None:
    context = make_security("SSL", ca_file=authority.certificate).context
    assert context is not None
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT, "a CA that is accepted is accepted by every Python"
    assert [exception["subject"] for exception in context.get_ca_certs()] == [((("commonName", "authority"),),)]


def test_a_client_and_an_app_get_the_same_security() -> None:
    security = make_security("SASL_SSL", username="worker", password="hunter2", mechanism="SCRAM-SHA-256")
    arguments = dict(security.arguments())
    assert arguments.pop("ssl_context") is security.context
    assert arguments == {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-256",
        "sasl_plain_username": "worker",
        "sasl_plain_password": "hunter2",
    }
    assert dict(PLAINTEXT.arguments()) == {"security_protocol": "PLAINTEXT"}
    assert security.principal == "User:worker"
    assert "hunter2" not in f"{security!r} {security} {security.credentials()!r}"


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
@pytest.mark.parametrize("name", ["ca_file", "cert_file", "key_file"])
def test_a_file_that_cannot_be_used_is_named_with_its_setting(
    authority: Authority, tmp_path: Path, name: str, content: bytes | None
) -> None:
    ours = authority.issue("ours")
    files = {"ca_file": authority.certificate, "cert_file": ours.chain, "key_file": ours.key, name: tmp_path / "it"}
    if content is not None:
        (tmp_path / "it").write_bytes(content)
    with pytest.raises(NotAccepted, match=rf"TRADERECON_KAFKA_{name.upper()}: {tmp_path / 'it'} cannot be used"):
        make_security("SSL", ca_file=files["ca_file"], cert_file=files["cert_file"], key_file=files["key_file"])


def test_a_key_of_another_certificate_is_named(authority: Authority) -> None:
    ours, theirs = authority.issue("ours"), authority.issue("theirs")
    with pytest.raises(NotAccepted, match="TRADERECON_KAFKA_KEY_FILE"):
        make_security("SSL", ca_file=authority.certificate, cert_file=ours.chain, key_file=theirs.key)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (TopicAuthorizationFailedError("legs"), "may not Write to topic legs"),
        (TopicAuthorizationFailedError({"b", "a"}), "may not Write to topic a, b"),
        (GroupAuthorizationFailedError("traderecon-intake"), "may not Read group traderecon-intake"),
        (KafkaError("Unexpected error during coordination GroupAuthorizationFailedError('g')"), "may not Read group g"),
    ],
)
def test_a_denied_right_is_found_among_the_causes(error: Exception, text: str) -> None:
    outer = RuntimeError("refused")
    outer.__cause__ = error
    for exception in (error, outer):
        assert (denied(exception, "User:worker", operation="Write") or "").startswith(
            f"the principal User:worker {text}: "
        )


def test_other_trouble_is_no_denial() -> None:
    assert denied(KafkaError("not now"), "User:worker") is None
    assert denied(None, "User:worker") is None


def test_who_we_are_without_a_name() -> None:
    assert Security().principal == "User:ANONYMOUS"
    assert Security("SSL", certificate=Path("ours.pem")).principal == "of the certificate ours.pem"
