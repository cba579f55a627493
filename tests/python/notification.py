"""The notification participant once more, in Python, written from docs/PROTOCOL.md alone.

It proves that the page is enough: nothing of the Rust SDK is used, only nats-py, sqlite3 and smtplib.
Section numbers in the comments are those of the page.

Environment: NATS_URL, DATABASE (a file), SMTP (host:port), PREFIX (default amends).
"""

import asyncio
import base64
import datetime
import hashlib
import json
import os
import re
import smtplib
import sqlite3
import sys
import time
from email.message import EmailMessage

import nats
from nats.js import api, errors

ME = "notification"
PREFIX = os.environ.get("PREFIX", "amends")
HORIZON_S = 30 * 24 * 3600
BATCH = 64
EFFECT_ID = re.compile(r"^([0-9a-f-]{36})/([a-z0-9-]{1,64}(?:\.\d+)?)/(do|undo)/([1-9]\d*)$")

SCHEMA = """
CREATE TABLE IF NOT EXISTS inbox (
  effect_id TEXT PRIMARY KEY,
  state     TEXT NOT NULL CHECK (state IN ('open', 'final', 'tombstone')),
  meaning   TEXT,
  command   TEXT,    -- the envelope without its data: what a reply copies
  mail      TEXT,    -- open: what is being sent
  reply     BLOB,
  outcome   TEXT
) STRICT
"""


class Unreadable(Exception):
    """A message that becomes a dead letter (section 8)."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code, self.message = code, message


# --- section 3: messages -----------------------------------------------------------------------------


def decode(body):
    """The envelopes in a body: one, or a batch of them. Each is an envelope or an Unreadable."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Unreadable("not-json", str(error)) from None
    return [check(element) for element in value] if isinstance(value, list) else [check(value)]


def check(envelope):
    if not isinstance(envelope, dict):
        return Unreadable("not-an-envelope", "not an object")
    if "specversion" not in envelope:
        return Unreadable("not-an-envelope", "specversion is missing")
    if envelope["specversion"] != "1.0":
        return Unreadable("unknown-version", f"specversion {envelope['specversion']!r}")
    for name in ("id", "source", "type", "time", "sagaid", "sagastep", "sagadefinition", "effectid", "sendno"):
        if not isinstance(envelope.get(name), str):
            return Unreadable("missing-attribute", name)
    if has_nul(envelope):
        return Unreadable("nul-character", "U+0000")
    match = EFFECT_ID.match(envelope["effectid"])
    if not match or match[1] != envelope["sagaid"] or not envelope["sendno"].isdigit():
        return Unreadable("invalid-attribute", "effectid or sendno")
    if match[3] == "undo" and not isinstance(envelope.get("undoes"), str):
        return Unreadable("missing-attribute", "undoes")
    return envelope


def has_nul(value):
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(has_nul(key) or has_nul(item) for key, item in value.items())
    return isinstance(value, list) and any(has_nul(item) for item in value)


def meaning(command):
    text = json.dumps(
        {"type": command["type"], "data": command.get("data")},
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
    )
    return hashlib.sha256(text.encode()).hexdigest()


def reply(command, data):
    """Section 4."""
    copied = ("sagaid", "sagastep", "sagadefinition", "effectid", "sendno", "time")
    envelope = {
        "specversion": "1.0",
        "id": f"{command['effectid']}/{command['sendno']}/reply",
        "source": ME,
        "type": f"reply.{ME}",
        "datacontenttype": "application/json",
        **{name: command[name] for name in copied},
        "data": data,
    }
    return json.dumps(envelope, separators=(",", ":"), ensure_ascii=False).encode()


# --- sections 5 and 6: the inbox, and mail outside of it --------------------------------------------


class Inbox:
    def __init__(self, path):
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = FULL")
        self.db.execute(SCHEMA)

    def row(self, effect_id):
        cursor = self.db.execute("SELECT state, meaning, reply, outcome FROM inbox WHERE effect_id = ?", (effect_id,))
        return cursor.fetchone()

    def insert(self, effect_id, state, **columns):
        names, values = ["effect_id", "state", *columns], [effect_id, state, *columns.values()]
        marks = ", ".join("?" * len(values))
        sql = f"INSERT INTO inbox ({', '.join(names)}) VALUES ({marks}) ON CONFLICT DO NOTHING"
        return self.db.execute(sql, values).rowcount == 1

    def handle(self, command):
        """One transaction: the reply, or the mail that has to be sent now."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            answer = self.decide(command)
            self.db.execute("COMMIT")
            return answer
        except BaseException:
            self.db.execute("ROLLBACK")
            raise

    def decide(self, command):
        effect_id, name = command["effectid"], command["type"].rsplit(".", 1)[1]
        row = self.row(effect_id)
        if row is None and is_expired(command["sagaid"]):
            return reply(command, {"outcome": "expired"})
        if name == "fence":
            return self.fence(command, row)
        if row is not None:
            return self.known(command, row)
        if "/undo/" in effect_id:
            return self.undo(command)
        try:
            mail = compose(name, effect_id, command.get("data"))
        except (KeyError, TypeError) as error:
            outcome = {"outcome": "rejected", "code": "invalid-data", "message": f"{name}: {error!r}"}
            self.settle_new(command, outcome)
            return reply(command, outcome)
        envelope = json.dumps({key: value for key, value in command.items() if key != "data"})
        inserted = self.insert(
            effect_id, "open", meaning=meaning(command), command=envelope, mail=json.dumps(mail)
        )
        assert inserted, "the row was looked for in this very transaction"
        return mail

    def known(self, command, row):
        state, its_meaning, recorded, _ = row
        if state == "tombstone":
            return reply(command, {"outcome": "nothing_to_undo" if "/undo/" in command["effectid"] else "cancelled"})
        if its_meaning != meaning(command):
            return reply(command, {"outcome": "conflict"})
        return bytes(recorded) if state == "final" else reply(command, {"outcome": "pending"})

    def undo(self, command):
        """Nobody sends one, for both commands are retriable; the rules hold all the same."""
        if self.insert(command["undoes"], "tombstone"):
            outcome = {"outcome": "nothing_to_undo"}
        else:
            state, _, _, action = self.row(command["undoes"])
            if state == "open":
                return reply(command, {"outcome": "pending"})
            if state == "final" and action == "succeeded":
                outcome = {"outcome": "rejected", "code": "not-undoable", "message": "mail cannot be called back"}
            else:
                outcome = {"outcome": "nothing_to_undo"}
        self.settle_new(command, outcome)
        return reply(command, outcome)

    def fence(self, command, row):
        effect_id, is_undo = command["effectid"], "/undo/" in command["effectid"]
        if row is not None:
            state, _, recorded, _ = row
            if state == "final":
                return bytes(recorded)
            return reply(command, {"outcome": "cancelled" if state == "tombstone" else "pending"})
        if not is_undo:
            self.insert(effect_id, "tombstone")
            return reply(command, {"outcome": "cancelled"})
        if self.insert(command["undoes"], "tombstone"):
            return reply(command, {"outcome": "nothing_to_undo"})
        state, _, _, action = self.row(command["undoes"])
        if state == "open":
            return reply(command, {"outcome": "pending"})
        if state == "final" and action == "succeeded":
            self.insert(effect_id, "tombstone")
            return reply(command, {"outcome": "cancelled"})
        return reply(command, {"outcome": "nothing_to_undo"})

    def settle_new(self, command, outcome):
        self.insert(
            command["effectid"],
            "final",
            meaning=meaning(command),
            reply=reply(command, outcome),
            outcome=outcome["outcome"],
        )

    def settle(self, effect_id, outcome):
        """Writes the outcome of a mail, if nobody has; returns the reply that counts."""
        self.db.execute("BEGIN IMMEDIATE")
        (command,) = self.db.execute("SELECT command FROM inbox WHERE effect_id = ?", (effect_id,)).fetchone()
        self.db.execute(
            "UPDATE inbox SET state = 'final', reply = ?, outcome = ? WHERE effect_id = ? AND state = 'open'",
            (reply(json.loads(command), outcome), outcome["outcome"], effect_id),
        )
        recorded = self.row(effect_id)[2]
        self.db.execute("COMMIT")
        return bytes(recorded)

    def forget(self, effect_id):
        """The mail was certainly not handed over: as if nobody had asked."""
        self.db.execute("DELETE FROM inbox WHERE effect_id = ? AND state = 'open'", (effect_id,))

    def open_rows(self):
        return [row[0] for row in self.db.execute("SELECT effect_id FROM inbox WHERE state = 'open'")]


def is_expired(saga_id):
    made_at_s = int(saga_id.replace("-", "")[:12], 16) / 1000
    return time.time() - made_at_s > HORIZON_S


def compose(name, effect_id, data):
    to, order = data["to"], data["order"]
    if name == "send-confirmation":
        lines = "\n".join(f"{line['quantity']} x {line['sku']}" for line in data["lines"])
        subject, text = f"Your order {order}", f"Thank you. It is on its way:\n\n{lines}\n"
    elif name == "send-rejection":
        subject, text = f"Your order {order}", f"We are sorry, it did not work out: {data['reason']}.\n"
    else:
        raise Unreadable("unknown-command", name)
    digest = hashlib.sha256(effect_id.encode()).hexdigest()[:32]
    return {"to": to, "subject": subject, "text": text, "message_id": f"<{digest}@amends.example>"}


def send(mail):
    """The outcome, or None when the mail was certainly not handed over."""
    message = EmailMessage()
    message["From"], message["To"] = "orders@amends.example", mail["to"]
    message["Subject"], message["Message-ID"] = mail["subject"], mail["message_id"]
    message.set_content(mail["text"])

    def said(delivery):
        return {"outcome": "succeeded", "output": {"delivery": delivery, "message_id": mail["message_id"]}}

    host, port = os.environ["SMTP"].rsplit(":", 1)
    try:
        server = smtplib.SMTP(host, int(port), timeout=10)
        server.ehlo()
        server.mail(message["From"])
        code, _ = server.rcpt(mail["to"])
    except (OSError, smtplib.SMTPException):
        return None
    if code >= 500:
        return said("undeliverable")
    if code >= 400:
        return None
    try:
        code, _ = server.data(message.as_bytes())
    except (OSError, smtplib.SMTPException):
        return said("uncertain")
    if code >= 500:
        return said("undeliverable")
    return said("sent") if code < 400 else None


# --- the loop -------------------------------------------------------------------------------------


class Participant:
    def __init__(self, js, inbox):
        self.js, self.inbox = js, inbox

    async def run(self):
        # What a crash left behind: nobody knows whether those mails went out (section 6).
        for effect_id in self.inbox.open_rows():
            said = {"outcome": "succeeded", "output": {"delivery": "uncertain"}}
            await self.publish_reply(self.inbox.settle(effect_id, said))
        subscription = None
        while True:
            try:
                subscription = subscription or await self.subscribe()
                messages = await subscription.fetch(BATCH, timeout=5, heartbeat=1)
            except (nats.errors.TimeoutError, asyncio.TimeoutError):
                # No message, or no consumer any more: only its info tells.
                if not await self.consumer_exists():
                    subscription = None
                continue
            except (nats.errors.Error, errors.Error) as error:
                print(f"again in a moment: {error!r}", file=sys.stderr, flush=True)
                subscription = None
                await asyncio.sleep(0.5)
                continue
            for message in messages:
                await self.take(message)

    async def subscribe(self):
        stream = f"{PREFIX.upper()}_CMD"
        try:
            await self.js.consumer_info(stream, ME)
        except errors.NotFoundError:
            # The stream is made by whichever service comes first; here that is always another one.
            start = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=10)
            config = api.ConsumerConfig(
                durable_name=ME,
                filter_subject=f"{PREFIX}.cmd.{ME}.>",
                deliver_policy=api.DeliverPolicy.BY_START_TIME,
                opt_start_time=start,
                ack_policy=api.AckPolicy.EXPLICIT,
                ack_wait=60,
                max_deliver=-1,
                max_ack_pending=1024,
            )
            await self.js.add_consumer(stream, config)
        print("reading commands", file=sys.stderr, flush=True)
        return await self.js.pull_subscribe_bind(ME, stream)

    async def consumer_exists(self):
        try:
            await self.js.consumer_info(f"{PREFIX.upper()}_CMD", ME)
            return True
        except errors.NotFoundError:
            return False
        except (nats.errors.Error, errors.Error):
            return True

    async def take(self, message):
        """Handle, publish, and only then acknowledge."""
        try:
            await self.handle(message)
        except Unreadable as why:
            await self.set_aside(message, why)
        except (nats.errors.Error, errors.Error) as error:
            print(f"the broker does not take it: {error!r}", file=sys.stderr, flush=True)
            await message.nak(delay=2)
            return
        await message.ack()

    async def handle(self, message):
        unreadable = None
        for envelope in decode(message.data):
            if isinstance(envelope, dict) and message.subject != f"{PREFIX}.{envelope['type']}":
                envelope = Unreadable("unroutable", f"type {envelope['type']!r} on {message.subject}")
            if isinstance(envelope, Unreadable):
                unreadable = envelope
                continue
            try:
                answer = self.inbox.handle(envelope)
            except Unreadable as why:
                unreadable = why
                continue
            if isinstance(answer, dict):
                outcome = await asyncio.to_thread(send, answer)
                if outcome is None:
                    self.inbox.forget(envelope["effectid"])
                    answer = reply(envelope, {"outcome": "failed", "code": "mail-server-away", "retry_after_ms": 500})
                else:
                    answer = self.inbox.settle(envelope["effectid"], outcome)
            await self.publish_reply(answer)
        if unreadable:
            raise unreadable

    async def publish_reply(self, body):
        await self.js.publish(f"{PREFIX}.reply.{ME}", body, headers={"Content-Type": "application/cloudevents+json"})

    async def set_aside(self, message, why):
        meta, body = message.metadata, message.data
        identity = f"{ME}/{meta.stream}/{meta.sequence.stream}"
        stored_at = meta.timestamp.astimezone(datetime.timezone.utc).isoformat(timespec="milliseconds")
        data = {
            "participant": ME,
            "at": stored_at.replace("+00:00", "Z"),
            "reason": {"code": why.code, "message": why.message},
            "subject": message.subject,
            "stream": meta.stream,
            "stream_seq": meta.sequence.stream,
            "headers": dict(message.headers or {}),
            "body_base64": base64.b64encode(body[: 512 * 1024]).decode(),
            "body_bytes": len(body),
            "body_digest": hashlib.sha256(body).hexdigest(),
        }
        envelope = {
            "specversion": "1.0",
            "id": identity,
            "source": ME,
            "type": f"dead.{ME}",
            "time": data["at"],
            "datacontenttype": "application/json",
            "data": data,
        }
        await self.js.publish(f"{PREFIX}.dead.{ME}", json.dumps(envelope).encode(), headers={"Nats-Msg-Id": identity})


async def main():
    connection = await nats.connect(os.environ["NATS_URL"], name=ME, max_reconnect_attempts=-1, reconnect_time_wait=0.2)
    await Participant(connection.jetstream(timeout=5), Inbox(os.environ["DATABASE"])).run()


if __name__ == "__main__":
    asyncio.run(main())
