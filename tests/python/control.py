"""Amends through a stock NATS client: what docs/OPERATIONS.md does with the nats CLI, done with nats-py.

It prints what it saw as one line of JSON; tests/system/control.rs compares it with what the APIs say.
Invariant: it knows subjects, streams and JSON from docs/ alone.
"""

import asyncio
import base64
import json
import os
import sys

import nats
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeout

INPUT = {
    "customer_id": "c-python",
    "email": "python@shop.example",
    "lines": [{"sku": "TEA-1", "quantity": 1, "unit_price": {"amount": 850, "currency": "EUR"}}],
    "total": {"amount": 850, "currency": "EUR"},
    "payment_token": "tok_visa",
}


async def ask(connection, operation, body):
    """Body and error of the answer."""
    reply = await connection.request(f"amends.svc.saga.{operation}", json.dumps(body).encode(), timeout=20)
    headers = reply.headers or {}
    code = headers.get("Nats-Service-Error-Code")
    error = [code, headers.get("Nats-Service-Error")] if code else None
    return json.loads(reply.data), error, headers.get("Content-Type")


async def api(connection, operation, body):
    """JetStream's own API."""
    reply = await connection.request(f"$JS.API.{operation}", json.dumps(body).encode(), timeout=10)
    answer = json.loads(reply.data)
    if "error" in answer:
        raise RuntimeError(f"{operation}: {answer['error']}")
    return answer


async def gather(connection, subject, seconds):
    """All answers to a question that anybody may answer."""
    answers = []
    inbox = connection.new_inbox()
    subscription = await connection.subscribe(inbox)
    await connection.publish(subject, b"", reply=inbox)
    while True:
        try:
            message = await subscription.next_msg(timeout=seconds)
        except NatsTimeout:
            return answers
        answers.append(json.loads(message.data))


async def control(connection):
    """Starts a saga, twice under one key; shows, lists and acts on it; makes mistakes."""
    start = {"definition": "order", "idempotency_key": "python-1", "actor": "ada", "input": INPUT, "wait_s": 20}
    ended, error, kind = await ask(connection, "start", start)
    again, _, _ = await ask(connection, "start", start)
    shown, _, _ = await ask(connection, "get", {"id": ended["id"]})
    listed, _, _ = await ask(connection, "list", {"status": "completed", "label": "customer:c-python"})
    action = {"id": ended["id"], "action": "cancel", "reason": "too late", "actor": "ada"}
    refused, refusal, problem_kind = await ask(connection, "action", action)
    _, missing, _ = await ask(connection, "signal", {"id": ended["id"], "name": "approval", "data": {}})
    _, no_key, _ = await ask(connection, "start", {"definition": "order", "input": INPUT})
    held = {"definition": "order", "idempotency_key": "python-2", "actor": "ada"}
    held["input"] = {**INPUT, "email": "python-2@shop.example"}
    held["start_at"] = "2099-01-01T00:00:00Z"
    _, too_late, _ = await ask(connection, "start", held)
    return {
        "started": ended,
        "error": error,
        "kind": kind,
        "again": again["id"],
        "shown": shown,
        "listed": [saga["id"] for saga in listed["sagas"]],
        "refused": refused,
        "refusal": refusal,
        "problem_kind": problem_kind,
        "missing": missing,
        "no_key": no_key,
        "too_late": too_late,
        "services": await gather(connection, "$SRV.PING", 1),
        "stats": await gather(connection, "$SRV.STATS.amends-orchestrator", 1),
        "info": await gather(connection, "$SRV.INFO.amends-orchestrator", 1),
    }


async def stored(connection, stream, seq):
    """A stored message: subject and body."""
    message = (await api(connection, f"STREAM.MSG.GET.{stream}", {"seq": seq}))["message"]
    return message["subject"], base64.b64decode(message.get("data", ""))


async def redrive(connection):
    """Sends every stored command again, and waits until each was answered again as before."""
    state = (await api(connection, "STREAM.INFO.AMENDS_CMD", {}))["state"]
    replies = (await api(connection, "STREAM.INFO.AMENDS_REPLY", {}))["state"]
    recorded = {}
    for seq in range(replies["first_seq"], replies["last_seq"] + 1):
        _, body = await stored(connection, "AMENDS_REPLY", seq)
        reply = json.loads(body)
        if reply["data"]["outcome"] not in ("pending", "failed"):
            recorded[reply["effectid"]] = body
    wanted, seen = {}, {}
    subscription = await connection.subscribe("amends.reply.>")
    for seq in range(state["first_seq"], state["last_seq"] + 1):
        subject, body = await stored(connection, "AMENDS_CMD", seq)
        command = json.loads(body)
        if command["type"].endswith(".fence"):
            continue
        wanted[command["effectid"]] = recorded[command["effectid"]]
        await connection.publish(subject, body)
    await connection.flush()
    while wanted.keys() - seen.keys():
        message = await subscription.next_msg(timeout=60)
        seen[json.loads(message.data)["effectid"]] = message.data
    different = [effect for effect, body in wanted.items() if json.loads(seen[effect])["data"] != json.loads(body)["data"]]
    identical = sum(1 for effect, body in wanted.items() if seen[effect] == body)
    return {"effects": len(wanted), "different": different, "identical": identical}


async def pause(connection):
    """Pauses and resumes a consumer as `nats consumer pause` does."""
    paused = await api(connection, "CONSUMER.PAUSE.AMENDS_CMD.inventory", {"pause_until": "2099-01-01T00:00:00Z"})
    return {"paused": paused["paused"]}


async def resume(connection):
    """Lets it go on."""
    resumed = await api(connection, "CONSUMER.PAUSE.AMENDS_CMD.inventory", {})
    return {"paused": resumed.get("paused", False)}


async def silence(connection):
    """Whether nobody answers the service subjects."""
    try:
        await ask(connection, "list", {})
    except NoRespondersError:
        return {"silent": True}
    return {"silent": False}


async def main():
    """Does what the command line names."""
    deed = {"control": control, "redrive": redrive, "pause": pause, "resume": resume, "silence": silence}
    connection = await nats.connect(os.environ["NATS_URL"])
    print(json.dumps(await deed[sys.argv[1]](connection)))
    await connection.close()


asyncio.run(main())
