"""What programs with slixmpp have in common: somebody who logs in at the XMPP server of a gateway, and patience."""
import asyncio
import ssl

import slixmpp


class Person(slixmpp.ClientXMPP):
    def __init__(self, name, password, plugins):
        super().__init__(f"{name}@localhost/desk", password)
        for number in plugins:
            self.register_plugin(f"xep_{number}")
        self.ready = asyncio.Event()
        self.ssl_context.check_hostname = False
        self.ssl_context.verify_mode = ssl.CERT_NONE
        self.add_event_handler("session_start", self.begin)

    async def begin(self, _event):
        await self.get_roster()
        self.send_presence()
        self.ready.set()


async def log_in(person, port):
    person.connect(("127.0.0.1", int(port)))
    await asyncio.wait_for(person.ready.wait(), 30)


async def until(is_true, what):
    for _ in range(300):
        if is_true():
            return
        await asyncio.sleep(0.1)
    raise TimeoutError(what)
