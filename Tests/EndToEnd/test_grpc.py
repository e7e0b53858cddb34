"""The gRPC contract, through Python's grpcio: answers, refusals, duplicates, streams, health, reflection."""
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from cluster import MESSAGE_BYTES_MAX, wait_until
from traffic import Traffic

SEND = "/NeuTracer.TracerService/SendTraceBatch"


@pytest.fixture
def stub(shared_cluster, contract):
    return contract.services.TracerServiceStub(shared_cluster.channel())


@pytest.fixture
def send_bytes(shared_cluster):
    """Sends a request as the bytes given."""
    call = shared_cluster.channel().unary_unary(SEND)
    return lambda request: call(request, timeout=60)


def refusal(call, *arguments):
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments)
    return caught.value.code(), caught.value.details()


@pytest.mark.smoke
def test_a_batch_is_acknowledged(stub, contract):
    answer = stub.SendTraceBatch(Traffic(contract.messages).batch(), timeout=30)
    assert answer.success


def test_an_empty_batch_is_acknowledged(stub, contract):
    assert stub.SendTraceBatch(contract.messages.TraceBatch(), timeout=30).success


def test_status_counts_what_was_received(stub, contract):
    traffic = Traffic(contract.messages)
    before = stub.GetStatus(contract.messages.StatusRequest(client_id="test"), timeout=30)
    stub.SendTraceBatch(traffic.batch(), timeout=30)
    after = stub.GetStatus(contract.messages.StatusRequest(client_id="test"), timeout=30)
    assert after.active and after.server_version
    assert after.received_traces - before.received_traces == traffic.events


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\xff\xff\xff\xff",  # no tag
        b"\x0a\x7f\x0a",  # an event longer than the batch
        b"\x0a\x04\x0a\x10ab",  # a string longer than its event
        b"\x00\x00",  # field number 0
    ],
)
def test_malformed_batches_are_refused_and_harm_nothing(shared_cluster, stub, send_bytes, contract, request_bytes):
    refused_before = sum(shared_cluster.metrics().get("trace_batches_refused_total", {}).values())
    code, details = refusal(send_bytes, request_bytes)
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert details
    assert stub.SendTraceBatch(Traffic(contract.messages).batch(), timeout=30).success

    wait_until(
        lambda: sum(shared_cluster.metrics().get("trace_batches_refused_total", {}).values()) > refused_before,
        "the refusal in trace_batches_refused_total",
    )


def test_the_largest_message_is_taken_and_one_byte_more_refused(stub, send_bytes, contract):
    # One event, padded by a field that the server does not know and so must skip.
    def padded(size):
        event = contract.messages.TraceBatch()
        event.cpu_trace_data.add(timestamp="1760000000", pid=1, comm="pad")
        head = event.SerializeToString()
        tag = b"\xc2\x3e"  # field 1000, length-delimited
        body = size - len(head) - len(tag)
        for width in range(1, 6):
            length = _varint(body - width)
            if len(length) == width:
                return head + tag + length + bytes(body - width)
        raise AssertionError("no length fits")

    largest = padded(MESSAGE_BYTES_MAX)
    assert len(largest) == MESSAGE_BYTES_MAX
    assert contract.messages.TraceResponse.FromString(send_bytes(largest)).success
    code, details = refusal(send_bytes, largest + b"\x00")
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED, details
    assert stub.SendTraceBatch(Traffic(contract.messages).batch(), timeout=30).success


def _varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"client_id": "only-half"}, "sequence"),
        ({"sequence": 5}, "client_id"),
        ({"host": "h" * 256}, "host"),
        ({"client_id": "c" * 256, "sequence": 1}, "client_id"),
    ],
)
def test_bad_fields_are_refused_by_name(stub, contract, fields, named):
    code, details = refusal(stub.SendTraceBatch, Traffic(contract.messages).batch(**fields), 30)
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert named in details


@pytest.mark.smoke
def test_a_repeated_batch_counts_once(shared_cluster, stub, contract):
    traffic = Traffic(contract.messages)
    first = traffic.batch(client_id="repeats", sequence=1)
    before = shared_cluster.status()
    assert stub.SendTraceBatch(first, timeout=30).success
    assert stub.SendTraceBatch(first, timeout=30).success

    def counted():
        status = shared_cluster.status()
        return status["deduplicated_events"] - before["deduplicated_events"] == traffic.events

    wait_until(counted, "the repetition in deduplicated_events")

    other = Traffic(contract.messages).batch(rounds=3, client_id="repeats", sequence=1)
    code, details = refusal(stub.SendTraceBatch, other, 30)
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert "sequence" in details


@pytest.mark.smoke
def test_a_stream_is_acknowledged_in_order(stub, contract):
    traffic = Traffic(contract.messages)
    batches = [traffic.batch(rounds=2, client_id="stream", sequence=number) for number in range(1, 101)]
    acks = list(stub.StreamTraceBatches(iter(batches), timeout=60))
    assert [ack.sequence for ack in acks] == list(range(1, 101))
    assert all(ack.success for ack in acks), acks[0].message
    assert sum(ack.accepted_events for ack in acks) == traffic.events


def test_unknown_methods_are_unimplemented(shared_cluster):
    call = shared_cluster.channel().unary_unary("/NeuTracer.TracerService/NoSuchMethod")
    code, _ = refusal(call, b"")
    assert code == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.smoke
def test_health(shared_cluster):
    stub = health_pb2_grpc.HealthStub(shared_cluster.channel())
    for service in ("", "NeuTracer.TracerService"):
        answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=30)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    code, _ = refusal(stub.Check, health_pb2.HealthCheckRequest(service="no.such.Service"), 30)
    assert code == grpc.StatusCode.NOT_FOUND
    first = next(stub.Watch(health_pb2.HealthCheckRequest(), timeout=30))
    assert first.status == health_pb2.HealthCheckResponse.SERVING


def test_reflection(shared_cluster):
    database = ProtoReflectionDescriptorDatabase(shared_cluster.channel())
    assert "NeuTracer.TracerService" in database.get_services()
    file = database.FindFileContainingSymbol("NeuTracer.TracerService")
    methods = [method.name for service in file.service for method in service.method]
    assert methods == ["SendTraceBatch", "GetStatus", "StreamTraceBatches"]
