"""Geary in a session bus of its own, driven as a screen reader would: run by `dbus-run-session`.

The first line on standard input is JSON with host, user and password, which go to the session's keyring, where the
account dialog would have put the password. Each further line is a JSON list [number, command, argument…]; its answer is
one line, the number and {"value": …} or {"error": …}. What is read is what is on the screen, and commands are those of Geary's own menus
and keys, which it offers on the bus.
"""
import json
import subprocess
import sys
import time
import warnings

import gi

gi.require_version("Atspi", "2.0")
from gi.repository import Atspi, Gio, GLib  # noqa: E402

# The bindings call the old name of every second function deprecated; both names exist in all versions.
warnings.simplefilter("ignore")

bus = Gio.bus_get_sync(Gio.BusType.SESSION)


def await_name(name):
    """Waits until somebody on the bus owns a name; the test's own bound ends a wait that never ends."""
    while True:
        args = GLib.Variant("(s)", (name,))
        path = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameHasOwner")
        if bus.call_sync(*path, args, None, Gio.DBusCallFlags.NONE, -1, None).unpack()[0]:
            return
        time.sleep(0.05)


def start(account):
    keyring = ["gnome-keyring-daemon", "--unlock", "--components=secrets"]
    subprocess.run(keyring, input=b"keyring", stdout=subprocess.DEVNULL, check=True)
    await_name("org.freedesktop.secrets")
    attributes = ["xdg:schema", "org.gnome.Geary", "proto", "IMAP", "host", account["host"], "login", account["user"]]
    store = ["secret-tool", "store", "--label=Geary IMAP password", *attributes]
    subprocess.run(store, input=account["password"].encode(), check=True)
    subprocess.Popen(["geary"], stdin=subprocess.DEVNULL, stdout=sys.stderr)


def ask(question, node, unknown=None):
    """Asks a widget. They come and go while we look, and not every one can answer everything."""
    try:
        return question(node)
    except GLib.Error:
        return unknown


def nodes(node):
    """A widget and everything in it."""
    yield node
    for index in range(ask(Atspi.Accessible.get_child_count, node, 0)):
        child = ask(lambda parent: parent.get_child_at_index(index), node)
        if child is not None:
            yield from nodes(child)


def is_shown(node):
    states = ask(Atspi.Accessible.get_state_set, node)
    return states is not None and states.contains(Atspi.StateType.SHOWING)


def showing(*roles):
    """Everything on the screen that has one of these roles."""
    desktop = Atspi.get_desktop(0)
    programs = [desktop.get_child_at_index(index) for index in range(desktop.get_child_count())]
    geary = [program for program in programs if program is not None and ask(name_of, program) == "geary"]
    everything = [node for program in geary for node in nodes(program)]
    return [node for node in everything if ask(Atspi.Accessible.get_role_name, node) in roles and is_shown(node)]


def name_of(node):
    return node.get_name()


def text_of(node):
    return Atspi.Text.get_text(node, 0, Atspi.Text.get_character_count(node))


def conversations():
    """The list, or nothing while a placeholder is shown; what else calls itself a table lists addresses in a box."""
    return [table for table in showing("table") if ask(Atspi.Accessible.get_table_iface, table) is not None]


def only(found):
    if len(found) != 1:
        raise LookupError(f"{len(found)} of them on the screen")
    return found[0]


def labelled(role, name):
    return [node for node in showing(role) if ask(name_of, node) == name]


def shown():
    return {
        "labels": [name for label in showing("label") if (name := ask(name_of, label))],
        "text": "\n".join(ask(text_of, part, "") for part in showing("section", "paragraph", "document web")),
        "conversations": sum(ask(Atspi.Table.get_n_rows, table, 0) for table in conversations()),
    }


def activate(owner, action, *parameters):
    method = ("org.gnome.Geary", owner, "org.gtk.Actions", "Activate")
    args = GLib.Variant("(sava{sv})", (action, parameters, {}))
    bus.call_sync(*method, args, None, Gio.DBusCallFlags.NONE, -1, None)


def act(action):
    """One of the commands of the window, such as `archive-conversation`."""
    activate("/org/gnome/Geary/window/1", action)


def inbox():
    """Shows the inbox of the first account, as Alt+1 does."""
    activate("/org/gnome/Geary/window/1", "select-inbox", GLib.Variant("i", 0))


def select(row):
    """Selects one conversation; 0 is the newest."""
    table = only(conversations())
    for other in range(Atspi.Table.get_n_rows(table)):
        if other != row:
            Atspi.Table.remove_row_selection(table, other)
    Atspi.Table.add_row_selection(table, row)


def fill(text):
    """Fills the entry that is shown."""
    Atspi.EditableText.set_text_contents(only(showing("text")), text)


def click(label):
    """Clicks where a label is, as with the mouse."""
    place = Atspi.Component.get_extents(only(labelled("label", label)), Atspi.CoordType.SCREEN)
    Atspi.generate_mouse_event(place.x + place.width // 2, place.y + place.height // 2, "b1c")


def press(name):
    """Presses the button with this name."""
    Atspi.Action.do_action(only(labelled("push button", name)), 0)


def compose(mailto):
    """Opens the composer with what a mailto: link says."""
    activate("/org/gnome/Geary", "mailto", GLib.Variant("s", mailto))


commands = {command.__name__: command for command in (shown, act, inbox, select, fill, click, press, compose)}
start(json.loads(sys.stdin.readline()))
for line in sys.stdin:
    number, command, *arguments = json.loads(line)
    try:
        answer = {"value": commands[command](*arguments)}
    except (LookupError, GLib.Error) as error:
        answer = {"error": str(error)}
    print(number, json.dumps(answer), flush=True)
