"""Somebody with matrix-nio. Arguments: homeserver, user, password. Takes one command per line as JSON, `{"id", "do", …}`,
and writes its outcome, `{"id", "value"}`, and each event that comes, `{"room", "event"}`, in the same way."""
import asyncio
import base64
import dataclasses
import io
import json
import sys

from nio import AsyncClient, EphemeralEvent, ErrorResponse, Event, InviteMemberEvent


def tell(**what):
    print(json.dumps(what), flush=True)


def ok(response):
    if isinstance(response, ErrorResponse):
        raise RuntimeError(str(response))
    return response


def tell_event(room, event):
    tell(room=room.room_id, event=event.source)


def tell_notice(room, event):
    tell(room=room.room_id, event={"type": type(event).__name__, "content": dataclasses.asdict(event)})


class Person:
    def __init__(self, client):
        self.client = client

    async def create(self, name, invite):
        return ok(await self.client.room_create(name=name, invite=invite)).room_id

    async def chat(self, with_):
        return ok(await self.client.room_create(invite=[with_], is_direct=True)).room_id

    async def send(self, room, kind, content):
        return ok(await self.client.room_send(room, kind, content)).event_id

    async def redact(self, room, event):
        return ok(await self.client.room_redact(room, event)).event_id

    async def upload(self, name, kind, data):
        content = base64.b64decode(data)
        response, _ = await self.client.upload(io.BytesIO(content), kind, name, filesize=len(content))
        return ok(response).content_uri

    async def download(self, mxc):
        return base64.b64encode(ok(await self.client.download(mxc)).body).decode()

    async def typing(self, room):
        ok(await self.client.room_typing(room))

    async def read(self, room, event):
        ok(await self.client.room_read_markers(room, event, event))

    async def rooms(self):
        return {room_id: room.display_name for room_id, room in self.client.rooms.items()}


async def commands():
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield json.loads(line)


async def obey(person, id, do, **arguments):
    try:
        tell(id=id, value=await getattr(person, do)(**arguments))
    except Exception as error:
        tell(id=id, error=str(error))


async def main():
    homeserver, user, password = sys.argv[1:]
    client = AsyncClient(homeserver, user)
    ok(await client.login(password, device_name="matrix-nio in a test"))
    client.add_event_callback(tell_event, Event)
    client.add_event_callback(tell_notice, InviteMemberEvent)
    client.add_ephemeral_callback(tell_notice, EphemeralEvent)
    ok(await client.sync(full_state=True))
    tell(id=0, value=client.user_id)
    syncing = asyncio.create_task(client.sync_forever(timeout=30000))
    async for command in commands():
        await obey(Person(client), **command)
    syncing.cancel()
    await client.logout()
    await client.close()


asyncio.run(main())
