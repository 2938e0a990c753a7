"""Two people with slixmpp, each at the XMPP server of their own gateway: a chat, a group and the archive. Arguments: port
and password of alice, then of bob. Writes what both saw as JSON."""
import asyncio
import json
import sys

import slixmpp
import slixmpp_person
from slixmpp_person import log_in, until

PLUGINS = "0030 0045 0059 0184 0199 0249 0308 0313 0359".split()
ROOM = "choir@groups.localhost"


class Person(slixmpp_person.Person):
    def __init__(self, name, password):
        super().__init__(name, password, PLUGINS)
        self.heard, self.in_room, self.receipts, self.invitations, self.occupants = [], [], [], [], set()
        self.add_event_handler("message", self.hear)
        self.add_event_handler("groupchat_message", self.hear_room)
        self.add_event_handler("groupchat_presence", lambda presence: self.occupants.add(presence["from"].resource))
        self.add_event_handler("receipt_received", lambda message: self.receipts.append(message["receipt"]))
        self.add_event_handler(
            "groupchat_direct_invite", lambda message: self.invitations.append(message["groupchat_invite"]["jid"])
        )
        self.add_event_handler("groupchat_invite", lambda message: self.invitations.append(message["from"]))

    def hear(self, message):
        if message["type"] == "chat" and message["body"]:
            self.heard.append(message["body"])

    def hear_room(self, message):
        if message["body"]:
            self.in_room.append([message["from"].resource, message["body"]])

    def contact(self):
        return next(jid for jid in self.client_roster if jid != self.boundjid.bare)

    async def archive(self, **which):
        bodies = []
        async for result in self["xep_0313"].iterate(rsm={"max": 2}, **which):
            bodies.append(result["mam_result"]["forwarded"]["stanza"]["body"])
        return bodies


async def main():
    alice, bob = Person("alice", sys.argv[2]), Person("bob", sys.argv[4])
    await asyncio.gather(log_in(alice, sys.argv[1]), log_in(bob, sys.argv[3]))
    to_bob, to_alice = alice.contact(), bob.contact()

    first = alice.make_message(mto=to_bob, mbody="Tea at fvie?", mtype="chat")
    first["request_receipt"] = True
    first.send()
    await until(lambda: bob.heard, "the first message")
    await until(lambda: first["id"] in alice.receipts, "its receipt")
    correction = alice.make_message(mto=to_bob, mbody="Tea at five?", mtype="chat")
    correction["replace"]["id"] = first["id"]
    correction.send()
    await until(lambda: len(bob.heard) == 2, "the correction")
    bob.send_message(mto=to_alice, mbody="Yes", mtype="chat")
    await until(lambda: alice.heard, "the answer")

    await alice["xep_0045"].join_muc_wait(ROOM, "alice", maxchars=0)
    form = await alice["xep_0045"].get_room_config(ROOM)
    await alice["xep_0045"].set_room_config(ROOM, form)
    alice["xep_0045"].invite(ROOM, to_bob)
    await until(lambda: bob.invitations, "the invitation")
    room = bob.invitations[0]
    await bob["xep_0045"].join_muc_wait(slixmpp.JID(room), "bob")
    await until(lambda: len(alice.occupants) == 2 and len(bob.occupants) == 2, "both in the room")
    alice.send_message(mto=ROOM, mbody="La", mtype="groupchat")
    await until(lambda: ["alice", "La"] in bob.in_room, "what alice sang")
    bob.send_message(mto=room, mbody="Li", mtype="groupchat")
    await until(lambda: ["bob", "Li"] in alice.in_room, "what bob sang")

    seen = {
        "alice": alice.heard,
        "bob": bob.heard,
        "rooms": [alice.in_room, bob.in_room],
        "archives": [await alice.archive(with_jid=to_bob), await bob.archive(with_jid=to_alice)],
        "roomArchive": await bob.archive(jid=room),
    }
    print(json.dumps(seen))
    alice.disconnect()
    bob.disconnect()
    await asyncio.sleep(0.5)


asyncio.get_event_loop().run_until_complete(main())
