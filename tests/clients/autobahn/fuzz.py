"""Autobahn's fuzzing client (Python 2.7), with a credential: its own settings have no place for a field.

fuzz.py SETTINGS.json, and NIGHTLATCH_TOKEN in the environment.
"""

import os
import sys

from autobahn.twisted.websocket import WebSocketClientFactory
from autobahntestsuite import wstest

plain = WebSocketClientFactory.setSessionParameters


def with_credential(self, *arguments, **parameters):
    plain(self, *arguments, **parameters)
    self.headers = {"Authorization": "Bearer " + os.environ["NIGHTLATCH_TOKEN"]}


WebSocketClientFactory.setSessionParameters = with_credential
sys.argv = ["wstest", "--mode", "fuzzingclient", "--spec", sys.argv[1]]
wstest.run()
