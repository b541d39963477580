"""A client in Python that learns every contract by reflection: no generated code.

    client.py GATEWAY CONTROL

The installation holds the movies of tests/fixtures/movies.csv.
"""

import re
import sys
import uuid

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


class Server:
    """Calls rpcs by their names with dictionaries."""

    def __init__(self, address, pool=None):
        self.channel = grpc.insecure_channel(address)
        self.pool = pool or descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(self.channel))

    def call(self, rpc, body=None, token=None):
        service, name = rpc.rsplit(".", 1)
        method = self.pool.FindServiceByName(service).FindMethodByName(name)
        asked = message_factory.GetMessageClass(method.input_type)
        answered = message_factory.GetMessageClass(method.output_type)
        call = self.channel.unary_unary(
            f"/{service}/{name}",
            request_serializer=asked.SerializeToString,
            response_deserializer=answered.FromString,
        )
        headers = [("authorization", f"Bearer {token}")] if token else []
        answer = call(json_format.ParseDict(body or {}, asked()), metadata=headers, timeout=20)
        return json_format.MessageToDict(answer, preserving_proto_field_name=True)

    def refused(self, rpc, body=None, token=None):
        try:
            answer = self.call(rpc, body, token)
        except grpc.RpcError as error:
            return error.code()
        raise AssertionError(f"{rpc} answered {answer}")


def main(gateway, control):
    quartet = Server(gateway)
    database = ProtoReflectionDescriptorDatabase(quartet.channel)
    services = set(database.get_services())
    for service in ["identity.v1.AccountService", "identity.v1.SessionService", "catalogue.v1.MovieService"]:
        assert f"quartet.{service}" in services, services

    accounts, sessions = "quartet.identity.v1.AccountService", "quartet.identity.v1.SessionService"
    movies = "quartet.catalogue.v1.MovieService"
    email, password = f"python.{uuid.uuid4()}@example.com", "Correct1!horse"

    registered = quartet.call(f"{accounts}.Register", {"email": email, "password": password})
    assert registered["email"] == email, registered
    assert quartet.refused(f"{sessions}.SignIn", {"email": email, "password": password}) == grpc.StatusCode.PERMISSION_DENIED

    code = mailed_code(control, email)
    quartet.call(f"{accounts}.Activate", {"email": email, "code": code})
    tokens = quartet.call(f"{sessions}.SignIn", {"email": email, "password": password})
    me = quartet.call(f"{accounts}.GetMe", token=tokens["access_token"])["account"]
    assert (me["email"], me["state"], me["roles"]) == (email, "ACCOUNT_STATE_ACTIVE", ["user"]), me

    # Signed in with a mailed code, on a second device.
    quartet.call(f"{sessions}.RequestSignInCode", {"email": email})
    code = mailed_code(control, email)
    second = quartet.call(f"{sessions}.SignInWithCode", {"email": email, "code": code, "device_name": "snake"})
    listed = quartet.call(f"{sessions}.ListSessions", token=tokens["access_token"])["sessions"]
    [phone] = [session for session in listed if session.get("device_name") == "snake"]
    assert len(listed) == 2 and phone["session_id"] == second["session_id"] and not phone.get("current"), listed
    quartet.call(f"{sessions}.RevokeSession", {"session_id": phone["session_id"]}, tokens["access_token"])
    assert quartet.refused(f"{accounts}.GetMe", token=second["access_token"]) == grpc.StatusCode.UNAUTHENTICATED

    profiles = "quartet.identity.v1.ProfileService"
    asked = {"profile": {"first_name": "Guido", "info": "spam"}, "update_mask": "firstName,info"}
    quartet.call(f"{profiles}.UpdateProfile", asked, tokens["access_token"])
    profile = quartet.call(f"{profiles}.GetProfile", token=tokens["access_token"])["profile"]
    assert (profile["first_name"], profile["info"]) == ("Guido", "spam"), profile

    # The movies of tests/fixtures/movies.csv.
    best = quartet.call(f"{movies}.ListMovies", {"order_by": "score desc", "page_size": 3})
    assert [movie["name"] for movie in best["movies"]] == ["The Day After", "Kaze no Machi", "Snow on the Volga"], best
    assert best["total_size"] == 10 and best["next_page_token"], best
    page = quartet.call(f"{movies}.ListMovies", {"filter": {"genres": ["Drama"], "countries": ["JP"]}})
    [kaze] = page["movies"]
    assert (page["total_size"], kaze["name"], kaze["original_name"]) == (1, "Kaze no Machi", "風の町"), page
    again = quartet.call(f"{movies}.GetMovie", {"movie_id": kaze["movie_id"]})["movie"]
    assert again == kaze and again["release_date"] == "1954-12-15", again
    unknown = {"movie_id": str(uuid.UUID(int=7 << 76))}
    assert quartet.refused(f"{movies}.GetMovie", unknown) == grpc.StatusCode.NOT_FOUND

    quartet.call(f"{sessions}.SignOut", token=tokens["access_token"])
    assert quartet.refused(f"{accounts}.GetMe", token=tokens["access_token"]) == grpc.StatusCode.UNAUTHENTICATED
    assert quartet.refused(f"{accounts}.GetMe") == grpc.StatusCode.UNAUTHENTICATED
    print("all well")


def mailed_code(control, email):
    """Reads the mailbox with hand-made bytes: the control service is no part of the public contracts."""
    channel = grpc.insecure_channel(control)
    call = channel.unary_unary("/quartet.control.v1.ControlService/ListMails")
    mails = call(b"\x0a" + bytes([len(email)]) + email.encode(), timeout=20).decode(errors="replace")
    # The last mail's.
    return re.findall(r"(?<![\w-])(\d{7})(?![\w-])", mails)[-1]


main(*sys.argv[1:])
