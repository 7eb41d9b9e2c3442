"""A merchant's application at its smallest: it says "ready" to whatever koogate asks.

    python3 examples/hello_hook.py        # needs nothing but Python 3; listens on 127.0.0.1:3000

A real one creates the account on "instance.create", does the same thing once when an operationId comes twice, and
verifies the signature first: docs/events.md shows how.
"""
import json, wsgiref.simple_server

def hook(request, respond):
    event = json.loads(request["wsgi.input"].read(int(request["CONTENT_LENGTH"])))
    respond("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"status": "ready", "access": {"frontEndUrl": f"https://app.example.com/{event['instanceId']}"}}).encode()]

wsgiref.simple_server.make_server("127.0.0.1", 3000, hook).serve_forever()
