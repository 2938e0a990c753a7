"""Two people with slixmpp, each at the XMPP server of their own gateway. Arguments: port and password of alice, then of bob.
Writes what alice saw and could do as JSON."""
import asyncio
import base64
import hashlib
import json
import sys

import slixmpp_person
from slixmpp_person import log_in, until

PLUGINS = "0030 0048 0049 0054 0060 0084 0092 0115 0153 0163 0172 0191 0199".split()
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
)
PICTURE_ID = hashlib.sha1(PICTURE).hexdigest()


class Person(slixmpp_person.Person):
    def __init__(self, name, password):
        super().__init__(name, password, PLUGINS)

    async def begin(self, event):
        self["xep_0163"].add_interest("http://jabber.org/protocol/nick")
        self["xep_0163"].add_interest("urn:xmpp:avatar:metadata")
        await super().begin(event)


async def main():
    alice, bob = Person("alice", sys.argv[2]), Person("bob", sys.argv[4])
    nicks, pictures, presences = [], [], {}
    alice.add_event_handler(
        "user_nick_publish",
        lambda message: nicks.append(message["pubsub_event"]["items"]["item"]["nick"]["nick"]),
    )
    alice.add_event_handler("avatar_metadata_publish", lambda message: pictures.append(message["from"].bare))
    alice.add_event_handler(
        "changed_status", lambda presence: presences.update({presence["from"].full: presence["type"]})
    )
    await asyncio.gather(log_in(alice, sys.argv[1]), log_in(bob, sys.argv[3]))
    contact = next(jid for jid in alice.client_roster if jid != "alice@localhost")
    await until(lambda: f"{contact}/mycelium" in presences, "the presence")
    await bob["xep_0172"].publish_nick("Bobby")
    await bob["xep_0084"].publish_avatar(PICTURE)
    await bob["xep_0084"].publish_avatar_metadata([{"id": PICTURE_ID, "type": "image/png", "bytes": len(PICTURE)}])
    await until(lambda: nicks and contact in pictures, "name and picture")
    vcard = (await alice["xep_0054"].get_vcard(contact, cached=False))["vcard_temp"]
    picture = (await alice["xep_0084"].retrieve_avatar(contact, PICTURE_ID))["pubsub"]["items"]["item"]
    bookmarks = alice["xep_0048"].stanza.Bookmarks()
    bookmarks.add_conference("tea@groups.localhost", "Ali", name="Tea")
    await alice["xep_0049"].store(bookmarks)
    kept = (await alice["xep_0049"].retrieve("bookmarks"))["private"]["bookmarks"]
    await alice["xep_0191"].block([contact])
    blocked = [str(jid) for jid in (await alice["xep_0191"].get_blocked())["blocklist"]["items"]]
    await until(lambda: presences[f"{contact}/mycelium"] == "unavailable", "the blocked one to go")
    await alice["xep_0191"].unblock([contact])
    version = (await alice["xep_0092"].get_version("localhost"))["software_version"]
    seen = {
        "contact": contact,
        "subscription": alice.client_roster[contact]["subscription"],
        "nicks": nicks,
        "hasPhoto": vcard["PHOTO"]["BINVAL"] == PICTURE,
        "hasPicture": picture["avatar_data"]["value"] == PICTURE,
        "rooms": [str(room["jid"]) for room in kept["conferences"]],
        "blocked": blocked,
        "software": version["name"],
        "isAlive": await alice["xep_0199"].ping("localhost") < 20,
    }
    print(json.dumps(seen))
    alice.disconnect()
    bob.disconnect()
    await asyncio.sleep(0.5)


asyncio.get_event_loop().run_until_complete(main())
